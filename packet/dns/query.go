package dns

import "encoding/binary"

// HeaderSize is how many octets every message has at the least (RFC 1035 section
// 4.1.1).
const HeaderSize = 12

// The header's second word (RFC 1035 section 4.1.1, RFC 2535 section 6.1).
const (
	flagQR      = 1 << 15
	maskOpcode  = 0xf << 11
	flagAA      = 1 << 10
	flagTC      = 1 << 9
	flagRD      = 1 << 8
	maskRcode   = 0xf
	opcodeQuery = 0
)

// Query is a decoded query. Its slices are views of the message. A Query is
// reused for one message after the other and belongs to one thread; the zero
// Query is ready.
type query struct {
	id    uint16
	flags uint16 // the header's second word, as sent
	name  []byte // in wire form, as sent; nil where there is no question that can be read
	rtype uint16
	class uint16
	end   int // of the question in the message; 12 where there is none

	edns    bool   // there is one OPT record, and the message could be read to its end
	size    uint16 // of a UDP message that the sender can take, as sent; 0 without EDNS
	version uint8
	do      bool
	cookie  []byte // the data of option 10 (RFC 7873), nil without

	question    []byte // Name, Type and Class
	matchedName []byte // the name of the zones that the answer is of: the query's own, a wildcard's, a delegation's, or the closest that there is; nil outside
	labels      int    // of Name, without the root
	labelStarts [maxLabels + 1]uint8
	lowerName   [maxName + 1]byte
}

// Opcode returns the kind of query: 0 is a standard one (RFC 1035 section 4.1.1).
func (q *query) opcode() int { return int(q.flags&maskOpcode) >> 11 }

// Decode reads a message, as it came. If ok is false, it is not to be answered
// at all: it is shorter than a header, a response (a reply to which could go
// round for ever), or it is said to be truncated, which no client does. Else
// rcode is rcodeNoError for a query to look up, or that with which to answer at
// once, the first of these that is so:
//
//   - rcodeFormErr: it cannot be read, has not one question or has more than one
//     OPT record (RFC 6891 section 6.1.1), or bytes follow what its header
//     counts. Where cookies are given, one that has none, but a COOKIE option,
//     asks for a cookie (RFC 7873 section 5.4).
//   - rcodeBadVers: a version of EDNS above 0 (RFC 6891 section 6.1.3).
//   - rcodeNotImp: an opcode other than 0, whether or not the rest can be read;
//     type AXFR, and type 0.
//   - rcodeNotAuth: type IXFR. Zones are not given away.
//   - rcodeRefused: a class other than IN and ANY.
func (q *query) decode(message []byte) (rcode responseCode, ok bool) {
	if len(message) < HeaderSize {
		return rcodeFormErr, false
	}
	q.id = binary.BigEndian.Uint16(message)
	q.flags = binary.BigEndian.Uint16(message[2:])
	q.name, q.question, q.rtype, q.class, q.end, q.labels = nil, nil, 0, 0, HeaderSize, 0
	q.edns, q.size, q.version, q.do, q.cookie = false, 0, 0, false, nil
	if q.flags&(flagQR|flagTC) != 0 {
		return rcodeFormErr, false
	}
	formed := q.readQuestion(message) && q.readRecords(message)
	if !formed {
		q.edns, q.size, q.cookie = false, 0, nil
	}
	switch {
	case q.edns && q.version != 0:
		return rcodeBadVers, true
	case q.opcode() != opcodeQuery:
		return rcodeNotImp, true
	case !formed || q.name == nil:
		return rcodeFormErr, true
	case q.rtype == typeAXFR || q.rtype == 0:
		return rcodeNotImp, true
	case q.rtype == typeIXFR:
		return rcodeNotAuth, true
	case q.class != classIN && q.class != classANY:
		return rcodeRefused, true
	}
	return rcodeNoError, true
}

// wantsCookie says whether a query that Decode has read asks for nothing but a
// cookie: it is one, has no question, and could be read, or it would have no
// Cookie either (RFC 7873 section 5.4). Decode has not returned rcodeBadVers.
func (q *query) wantsCookie() bool {
	return q.name == nil && q.cookie != nil && q.opcode() == opcodeQuery
}

// readQuestion reads the question section of none or one question. Its name
// has nothing that it could point to, so that a pointer is an error.
func (q *query) readQuestion(message []byte) bool {
	switch binary.BigEndian.Uint16(message[4:]) {
	case 0:
		return true
	case 1:
	default:
		return false
	}
	rest := message[HeaderSize:]
	i, n := 0, 0
	for i < len(rest) && rest[i] != 0 {
		if rest[i] > maxLabel {
			return false
		}
		q.labelStarts[n] = uint8(i)
		n++
		if i += 1 + int(rest[i]); i >= maxName {
			return false
		}
	}
	if i++; len(rest) < i+4 {
		return false
	}
	q.labelStarts[n] = uint8(i - 1)
	q.labels = n
	q.name = rest[:i:i]
	q.rtype = binary.BigEndian.Uint16(rest[i:])
	q.class = binary.BigEndian.Uint16(rest[i+2:])
	q.question = rest[:i+4]
	q.end = HeaderSize + i + 4
	lowerInto(q.lowerName[:], q.name)
	return true
}

// readRecords reads over the records of all other sections for the OPT
// record, which is in the last one (RFC 6891 section 6.1.1).
func (q *query) readRecords(message []byte) bool {
	counts := message[6:HeaderSize]
	if len(message) == q.end && binary.BigEndian.Uint32(counts) == 0 && counts[4]|counts[5] == 0 {
		return true
	}
	at, opts := q.end, 0
	for section := range 3 {
		for range binary.BigEndian.Uint16(counts[2*section:]) {
			name := at
			at = skipName(message, at)
			if at < 0 || len(message)-at < 10 {
				return false
			}
			fixed := message[at : at+10]
			end := at + 10 + int(binary.BigEndian.Uint16(fixed[8:]))
			if end > len(message) {
				return false
			}
			if binary.BigEndian.Uint16(fixed) == typeOPT {
				opts++
				if section != 2 || opts > 1 || message[name] != 0 || !q.readOPT(fixed, message[at+10:end]) {
					return false
				}
			}
			at = end
		}
	}
	return at == len(message)
}
