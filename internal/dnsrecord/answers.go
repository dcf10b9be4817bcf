package dnsrecord

import (
	"encoding/binary"
	"strconv"

	"github.com/udpshard/udpshard/internal/rdata"
	"github.com/udpshard/udpshard/packet/record"
)

// maxAnswers is how many bytes the members answer_data and answer_data_truncated have at most.
const maxAnswers = 4096

// answers writes the records in the answer section of replies as text. The memory is used again by
// the next reply.
type answers struct {
	name []byte // of the owner, in wire form
	data []byte // of the record, without compression
	text []byte
}

func answerCount(reply []byte) int { return int(binary.BigEndian.Uint16(reply[6:])) }

// append appends the members answer_data, with a string for each record, and
// answer_data_truncated, if not all records have room.
func (a *answers) append(dst, reply []byte) []byte {
	const truncated = `"answer_data_truncated":true,`
	limit := len(dst) + maxAnswers - len(truncated) - len("],")
	before := len(dst)
	dst = append(dst, `"answer_data":`...)
	separator := byte('[')
	at, ok := skipQuestions(reply)
	for range answerCount(reply) {
		if at, ok = a.read(reply, at, ok); !ok {
			break
		}
		end := len(dst)
		dst = append(dst, separator)
		if dst = record.AppendString(dst, a.text); len(dst) > limit {
			dst, ok = dst[:end], false
			break
		}
		separator = ','
	}
	if separator == ',' {
		dst = append(dst, ']', ',')
	} else {
		dst = dst[:before]
	}
	if !ok {
		dst = append(dst, truncated...)
	}
	return dst
}

// read reads the record at an offset of a reply into a.text, and returns the offset behind it.
func (a *answers) read(reply []byte, at int, ok bool) (int, bool) {
	if !ok {
		return 0, false
	}
	a.name, at = appendExpanded(a.name[:0], reply, at)
	if at < 0 || len(reply)-at < 10 {
		return 0, false
	}
	fixed := reply[at : at+10]
	rtype := binary.BigEndian.Uint16(fixed)
	start := at + 10
	end := start + int(binary.BigEndian.Uint16(fixed[8:]))
	if end > len(reply) {
		return 0, false
	}
	a.data = appendData(a.data[:0], reply, start, end, rtype)
	a.text = rdata.AppendName(a.text[:0], a.name)
	a.text = append(a.text, ' ')
	a.text = strconv.AppendUint(a.text, uint64(binary.BigEndian.Uint32(fixed[4:])), 10)
	a.text = append(a.text, ' ')
	a.text = AppendClass(a.text, binary.BigEndian.Uint16(fixed[2:]))
	a.text = append(a.text, ' ')
	a.text = rdata.AppendType(a.text, rtype)
	a.text = append(a.text, ' ')
	a.text = rdata.AppendText(a.text, rtype, a.data)
	return end, true
}

// skipQuestions returns the end of the question section.
func skipQuestions(reply []byte) (at int, ok bool) {
	at = HeaderSize
	if binary.BigEndian.Uint16(reply[4:]) == 0 {
		return at, true
	}
	for at < len(reply) && reply[at] != 0 {
		at += 1 + int(reply[at])
	}
	return at + 5, at+5 <= len(reply)
}

// compressed has the types whose data may have compressed names (RFC 3597 section 4): names follow
// the first skip octets.
var compressed = map[uint16]struct{ skip, names int }{
	2: {0, 1}, 3: {0, 1}, 4: {0, 1}, 5: {0, 1}, 6: {0, 2}, 7: {0, 1}, 8: {0, 1}, 9: {0, 1},
	12: {0, 1}, 14: {0, 2}, 15: {2, 1}, // NS MD MF CNAME SOA MB MG MR PTR MINFO MX
}

// appendData appends the data of a record, in message[start:end], without compression.
func appendData(dst, message []byte, start, end int, rtype uint16) []byte {
	layout, ok := compressed[rtype]
	if ok && end-start > layout.skip {
		dst = append(dst, message[start:start+layout.skip]...)
		start += layout.skip
		for range layout.names {
			if dst, start = appendExpanded(dst, message, start); start < 0 || start > end {
				return dst
			}
		}
	}
	return append(dst, message[start:end]...)
}

// appendExpanded appends the name at an offset of a message without pointers, and returns the offset
// behind the name, or -1 for a name that is not well-formed.
func appendExpanded(dst, message []byte, at int) ([]byte, int) {
	end := -1
	for limit := at; at < len(message); {
		n := int(message[at])
		switch {
		case n == 0:
			if end < 0 {
				end = at + 1
			}
			return append(dst, 0), end
		case n < 64 && at+1+n <= len(message):
			dst = append(dst, message[at:at+1+n]...)
			at += 1 + n
		case n >= 0xc0 && at+1 < len(message):
			if end < 0 {
				end = at + 2
			}
			at = int(binary.BigEndian.Uint16(message[at:]) & 0x3fff)
			if at >= limit { // a pointer leads back (RFC 1035 section 4.1.4)
				return dst, -1
			}
			limit = at
		default:
			return dst, -1
		}
	}
	return dst, -1
}
