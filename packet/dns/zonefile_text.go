package dns

import (
	"errors"
	"fmt"

	"github.com/miekg/dns"
)

// textChecker follows the comments, strings and escapes of a master file (RFC 1035 section 5.1),
// byte by byte, to find errors that the parser accepts: the parser reads \300 modulo 256, and
// splits a string of more than 255 octets in two.
type textChecker struct {
	comment, quoted bool
	parentheses     int
	recordEnded     bool // the record
	escapeOctets    int  // octets since a backslash, the backslash included; 0 outside an escape
	escapeCode      int  // value of the digits
	length          int  // octets of the string or word
	long            bool // the record has a string or word of more than 255 octets
}

// add reads a byte. generated means a line of $GENERATE, whose escapes may get their digits later.
func (t *textChecker) add(c byte, generated bool) error {
	if t.recordEnded {
		t.recordEnded, t.long, t.length = false, false, 0
	}
	if t.comment {
		t.comment = c != '\n'
		t.recordEnded = !t.comment && t.parentheses == 0
		return nil
	}
	digit := '0' <= c && c <= '9'
	switch {
	case t.escapeOctets == 1 && !digit: // \X
		t.escapeOctets = 0
		if c == '\n' || c == '\r' {
			break
		}
		t.countOctet()
		return nil
	case t.escapeOctets > 0 && digit:
		t.escapeCode = 10*t.escapeCode + int(c-'0')
		if t.escapeOctets++; t.escapeOctets < 4 {
			return nil
		}
		t.escapeOctets = 0
		t.countOctet()
		if t.escapeCode > 255 {
			return fmt.Errorf("\\%03d: an escape is for an octet, up to \\255 (RFC 1035 section 5.1)", t.escapeCode)
		}
		return nil
	case t.escapeOctets > 0:
		if !generated {
			return errors.New("a backslash and less than three digits (RFC 1035 section 5.1)")
		}
		t.escapeOctets = 0
		t.countOctet()
	}
	switch {
	case c == '\\':
		t.escapeOctets, t.escapeCode = 1, 0
	case c == '"':
		t.quoted = !t.quoted
		t.length = 0
	case t.quoted:
		t.countOctet()
	case c == ';':
		t.comment = true
		t.length = 0
	case c == ' ' || c == '\t':
		t.length = 0
	case c == '\n':
		t.recordEnded = t.parentheses == 0
	case c == '(':
		t.parentheses++
	case c == ')':
		t.parentheses--
	case c != '\r':
		t.countOctet()
	}
	return nil
}

func (t *textChecker) countOctet() {
	t.length++
	t.long = t.long || t.length > 255
}

// splitsLongStrings reports whether the parser splits long strings in records of the type. The
// words of other types are names, numbers or parameters.
func splitsLongStrings(rr dns.RR) bool {
	switch rr.(type) {
	case *dns.TXT, *dns.SPF, *dns.AVC, *dns.NINFO, *dns.RESINFO, *dns.UINFO, *dns.HINFO, *dns.ISDN:
		return true
	}
	return false
}

// hasSplitString reports whether a TXT record by $GENERATE seems to have a split string: a string
// of the largest size that is not the last.
func hasSplitString(rr dns.RR) bool {
	txt, ok := rr.(*dns.TXT)
	if !ok {
		return false
	}
	for i, s := range txt.Txt {
		if i < len(txt.Txt)-1 && len(s) == 255 {
			return true
		}
	}
	return false
}
