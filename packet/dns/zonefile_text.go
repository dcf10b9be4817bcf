package dns

import (
	"errors"
	"fmt"

	"github.com/miekg/dns"
)

// spelling follows a master file's comments, strings and escapes (RFC 1035
// section 5.1), byte by byte, for what the parser passes over: it takes \300 modulo
// 256, and cuts a string in two that is longer than 255 octets.
type spelling struct {
	comment, quoted bool
	braces          int
	ended           bool // the record
	escape          int  // octets since a backslash with it; 0 is none
	code            int  // of its digits
	length          int  // octets of the string or word
	long            bool // a string or word of the record was longer than 255 octets
}

// add takes a byte. generated is for what $GENERATE makes text of, where
// digits may be yet to come.
func (t *spelling) add(c byte, generated bool) error {
	if t.ended {
		t.ended, t.long, t.length = false, false, 0
	}
	if t.comment {
		t.comment = c != '\n'
		t.ended = !t.comment && t.braces == 0
		return nil
	}
	digit := '0' <= c && c <= '9'
	switch {
	case t.escape == 1 && !digit: // \X
		t.escape = 0
		if c == '\n' || c == '\r' {
			break
		}
		t.count()
		return nil
	case t.escape > 0 && digit:
		t.code = 10*t.code + int(c-'0')
		if t.escape++; t.escape < 4 {
			return nil
		}
		t.escape = 0
		t.count()
		if t.code > 255 {
			return fmt.Errorf("\\%03d: an escape is for an octet, up to \\255 (RFC 1035 section 5.1)", t.code)
		}
		return nil
	case t.escape > 0:
		if !generated {
			return errors.New("a backslash and less than three digits (RFC 1035 section 5.1)")
		}
		t.escape = 0
		t.count()
	}
	switch {
	case c == '\\':
		t.escape, t.code = 1, 0
	case c == '"':
		t.quoted = !t.quoted
		t.length = 0
	case t.quoted:
		t.count()
	case c == ';':
		t.comment = true
		t.length = 0
	case c == ' ' || c == '\t':
		t.length = 0
	case c == '\n':
		t.ended = t.braces == 0
	case c == '(':
		t.braces++
	case c == ')':
		t.braces--
	case c != '\r':
		t.count()
	}
	return nil
}

func (t *spelling) count() {
	t.length++
	t.long = t.long || t.length > 255
}

// cut reports whether the parser cuts long strings of a type in two, and not
// names, numbers or parameters.
func cut(rr dns.RR) bool {
	switch rr.(type) {
	case *dns.TXT, *dns.SPF, *dns.AVC, *dns.NINFO, *dns.RESINFO, *dns.UINFO, *dns.HINFO, *dns.ISDN:
		return true
	}
	return false
}

// cutGenerated reports whether a string of text that $GENERATE made seems to
// be cut: it is as long as one can be, and not the last.
func cutGenerated(rr dns.RR) bool {
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
