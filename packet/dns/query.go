package dns

import "encoding/binary"

// HeaderSize is the size of a message's header in octets, and the smallest size of a message (RFC
// 1035 section 4.1.1).
const HeaderSize = 12

// The flags word, the second word of the header (RFC 1035 section 4.1.1, RFC 2535 section 6.1).
const (
	flagQR      = 1 << 15
	maskOpcode  = 0xf << 11
	flagAA      = 1 << 10
	flagTC      = 1 << 9
	flagRD      = 1 << 8
	maskRcode   = 0xf
	opcodeQuery = 0
)

// query is a decoded query. Its slices are views of the message. A query belongs to one thread, and
// is reused for one message after another. The zero query is ready for use.
type query struct {
	id    uint16
	flags uint16 // the flags word, as sent
	name  []byte // in wire form, as sent; nil without a readable question
	rtype uint16
	class uint16
	end   int // of the question in the message; 12 without a question

	malformed string // the part that breaks the rules; "": none

	edns    bool   // the message is readable to its end, and has one OPT record
	size    uint16 // largest UDP message that the sender accepts, as sent; 0 without EDNS
	version uint8
	do      bool
	cookie  []byte // the data of option 10 (RFC 7873), nil without
	subnet  []byte // the data of option 8 (RFC 7871), nil without
	nsid    []byte // serverNSID if the query asks for it (RFC 5001)

	serverNSID  []byte // Options.NSID
	question    []byte // name, type and class
	matchedName []byte // name of the node that the answer comes from; with the rate limit and NXDOMAIN, of the zone; nil outside all zones
	labels      int    // of the name, without the root
	zone        []byte // origin of the zone that the answer comes from; nil outside all zones
	labelStarts [maxLabels + 1]uint8
	lowerName   [maxName + 1]byte
}

// reset clears the fields of the last message.
func (q *query) reset() {
	q.name, q.question, q.rtype, q.class, q.end, q.labels, q.zone = nil, nil, 0, 0, HeaderSize, 0, nil
	q.edns, q.size, q.version, q.do, q.cookie, q.subnet, q.nsid = false, 0, 0, false, nil, nil, nil
	q.malformed = ""
}

// opcode returns the kind of query: 0 is a standard query (RFC 1035 section 4.1.1).
func (q *query) opcode() int { return int(q.flags&maskOpcode) >> 11 }

// decode reads a message. If ok is false, no reply is due: the message is shorter than a header, or
// is a response (a reply could go back and forth for ever). TC has no meaning in a query, and is
// ignored. Otherwise rcode is rcodeNoError for a query to look up, or the first of these errors that
// applies:
//
//   - rcodeFormErr: the message is unreadable, has no question or several, has several OPT records
//     (RFC 6891 section 6.1.1), or is longer than the counts of its header say. With cookies, a
//     message without a question but with a COOKIE option asks for a cookie (RFC 7873 section 5.4).
//   - rcodeBadVers: the version of EDNS is above 0 (RFC 6891 section 6.1.3).
//   - rcodeNotImp: the opcode is not 0, even if the rest is unreadable; type AXFR, and type 0.
//   - rcodeNotAuth: type IXFR. Zone transfers are not offered.
//   - rcodeRefused: the class is neither IN nor ANY.
func (q *query) decode(message []byte) (rcode responseCode, ok bool) {
	q.reset()
	if len(message) < HeaderSize {
		q.malformed = "header"
		return rcodeFormErr, false
	}
	q.id = binary.BigEndian.Uint16(message)
	q.flags = binary.BigEndian.Uint16(message[2:])
	switch {
	case q.flags&flagQR != 0:
		q.malformed = "qr"
		return rcodeFormErr, false
	case !q.readQuestion(message):
		q.malformed = "question"
	case !q.readRecords(message):
		q.malformed = "records"
	}
	formed := q.malformed == ""
	if !formed {
		q.edns, q.size, q.cookie, q.subnet, q.nsid = false, 0, nil, nil, nil
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

// wantsCookie reports whether a decoded query asks for a cookie only: a readable query (else cookie
// is nil) without a question (RFC 7873 section 5.4). decode has not returned rcodeBadVers.
func (q *query) wantsCookie() bool {
	return q.name == nil && q.cookie != nil && q.opcode() == opcodeQuery
}

// readQuestion reads the question section, of at most one question. A pointer in the name is an
// error, since the message has no earlier name.
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

// readRecords reads the records of all sections for the OPT record, which belongs in the additional
// section (RFC 6891 section 6.1.1).
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
