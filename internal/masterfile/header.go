package masterfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/udpshard/udpshard/internal/rdata"
)

// Types with a meaning for the reader (IANA, DNS Parameters).
const (
	typeSOA   = 6
	typeTXT   = 16
	typeSVCB  = 64
	typeHTTPS = 65
	typeSPF   = 99
)

// header is what is between the owner and the data of a record.
type header struct {
	rtype  uint16
	ttl    uint32
	hasTTL bool
}

// parseHeader parses the fields behind the owner, and returns the fields of the data.
func parseHeader(fields []rdata.Field) (header, []rdata.Field, error) {
	var h header
	for hasClass := false; len(fields) > 0; fields = fields[1:] {
		text := fields[0].Text
		switch {
		case fields[0].Quoted:
			return h, nil, fmt.Errorf("%.80q: a quoted string before the type", text)
		case !h.hasTTL && '0' <= text[0] && text[0] <= '9': // no type and no class begins with a digit
			ttl, err := parseTTL(text)
			if err != nil {
				return h, nil, err
			}
			h.ttl, h.hasTTL = ttl, true
			continue
		case !hasClass && isClass(text):
			if hasClass = strings.EqualFold(text, "IN") || strings.EqualFold(text, "CLASS1"); !hasClass {
				return h, nil, fmt.Errorf("class %s: only class IN is supported", strings.ToUpper(text))
			}
			continue
		}
		rtype, ok := rdata.Type(text)
		if !ok {
			return h, nil, fmt.Errorf("%.80q: not a type, TTL or class (an unknown type is written as TYPE and a number, RFC 3597)", text)
		}
		h.rtype = rtype
		return h, fields[1:], nil
	}
	return h, nil, errors.New("the line ends before the type of the record")
}

// isClass reports whether the text is a class (RFC 1035 section 3.2.4, RFC 3597 section 5).
func isClass(text string) bool {
	if len(text) == 2 {
		return strings.EqualFold(text, "IN") || strings.EqualFold(text, "CH") || strings.EqualFold(text, "HS") || strings.EqualFold(text, "CS")
	}
	if len(text) <= 5 || !strings.EqualFold(text[:5], "CLASS") {
		return false
	}
	_, err := strconv.ParseUint(text[5:], 10, 16)
	return err == nil
}

func parseTTL(text string) (uint32, error) {
	ttl, err := rdata.ParseTTL(text)
	if err != nil {
		return 0, fmt.Errorf("TTL %.80q: %w", text, err)
	}
	return ttl, nil
}

// ttls are the TTLs for records without a TTL, in seconds.
type ttls struct {
	standard, last       uint32 // of $TTL, and of the last record with a TTL
	hasStandard, hasLast bool
}

// next returns the TTL of a record: the stated TTL, or that of $TTL, or the last stated TTL. A SOA
// record without any gets its minimum (RFC 2308 section 4), which then is as that of $TTL.
func (t *ttls) next(h header, data []byte, warn func(string, ...any)) (uint32, error) {
	switch {
	case h.hasTTL:
		t.last, t.hasLast = limitTTL(h.ttl, warn), true
		return t.last, nil
	case t.hasStandard:
		return t.standard, nil
	case t.hasLast:
		return t.last, nil
	case h.rtype == typeSOA:
		minimum := binary.BigEndian.Uint32(data[len(data)-4:])
		t.standard, t.hasStandard = limitTTL(minimum, warn), true
		warn("no TTL: the minimum of the SOA record, %d s, is used", t.standard)
		return t.standard, nil
	}
	return 0, errors.New("no TTL: write $TTL before the record")
}

// limitTTL returns 0 for a TTL with the highest bit set (RFC 2181 section 8).
func limitTTL(ttl uint32, warn func(string, ...any)) uint32 {
	if ttl > math.MaxInt32 {
		warn("TTL %d: more than 2147483647, and therefore 0 (RFC 2181 section 8)", ttl)
		return 0
	}
	return ttl
}
