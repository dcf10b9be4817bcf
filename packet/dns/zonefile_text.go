package dns

import (
	"errors"
	"fmt"

	"github.com/miekg/dns"
)

// spelling follows a master file's comments, strings and escapes (RFC 1035
// section 5.1), byte by byte, for what the parser passes over: it takes \300 modulo
// 256, and cuts a string in two that is longer than 255 octets.
type textChecker struct {
	comment, quoted bool
	parentheses     int
	recordEnded     bool // the record
	escapeOctets    int  // octets since a backslash with it; 0 is none
	escapeCode      int  // of its digits
	length          int  // octets of the string or word
	long            bool // a string or word of the record was longer than 255 octets
}

// add takes a byte. generated is for what $GENERATE makes text of, where
// digits may be yet to come.
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

// cut reports whether the parser cuts long strings of a type in two, and not
// names, numbers or parameters.
func splitsLongStrings(rr dns.RR) bool {
	switch rr.(type) {
	case *dns.TXT, *dns.SPF, *dns.AVC, *dns.NINFO, *dns.RESINFO, *dns.UINFO, *dns.HINFO, *dns.ISDN:
		return true
	}
	return false
}

// cutGenerated reports whether a string of text that $GENERATE made seems to
// be cut: it is as long as one can be, and not the last.
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
