package dns

import (
	"encoding/binary"
	"slices"
)

// appendReply appends the reply to a decoded query to dst, and returns the reply with its rcode.
// rcode is the result of decode: an error is sent without looking the name up. appendReply
// allocates only if dst has no room for the reply. dst must not share memory with the message.
//
// maxSize is the limit of the transport: MaxUDPSize or a smaller configured size (together with the
// client's own limit), or maxTCPSize. RRsets that do not fit are left out. Additional addresses go
// first, without a mark. If the answer, the authority or the address of a server below a delegation
// (RFC 9471) does not fit, the reply ends at that place, with TC set.
//
// cookie goes into the OPT record, if the query has an OPT record; nil is no cookie.
func (z *Zones) appendReply(dst []byte, q *query, rcode responseCode, maxSize int, cookie []byte) (reply []byte, answered responseCode) {
	if rcode != rcodeNoError {
		return appendError(dst, q, rcode, cookie), rcode
	}
	q.matchedName = nil
	zone, apexLabel := z.findZone(q)
	if zone == nil {
		if s := z.sinkhole; s != nil {
			return s.appendAnswer(dst, q, s.findAnswer(&s.nodes[0], q.rtype), maxSize, cookie)
		}
		return appendEmptyReply(dst, q, rcodeRefused, 0, cookie, true), rcodeRefused
	}
	return zone.appendReply(dst, q, apexLabel, maxSize, cookie)
}

// findZone returns the zone of a query's name, and the index of the apex's first label in the name.
// DS records of an apex belong to the zone above (RFC 4035 section 3.1.4.1).
func (z *Zones) findZone(q *query) (zone *servedZone, apexLabel int) {
	for i := max(0, q.labels-z.maxLabels); i <= q.labels-z.minLabels; i++ {
		found := z.byApex[string(q.lowerName[q.labelStarts[i]:len(q.name)])]
		if found == nil {
			continue
		}
		if zone, apexLabel = found, i; i > 0 || q.rtype != typeDS {
			break
		}
	}
	return zone, apexLabel
}

func (z *servedZone) appendReply(dst []byte, q *query, apexLabel, maxSize int, cookie []byte) ([]byte, responseCode) {
	q.zone = q.lowerName[q.labelStarts[apexLabel]:len(q.name)]
	n, exact := z.closestNode(q, apexLabel)
	q.matchedName = z.nameOf(n)
	if !exact {
		if n.kind&kindRedirect != 0 {
			return z.appendAliasChain(dst, q, n, maxSize, cookie)
		}
		if n.wildcard == 0 {
			return z.appendAnswer(dst, q, &z.answers[n.missingAnswer], maxSize, cookie)
		}
		n = &z.nodes[n.wildcard]
		q.matchedName = z.nameOf(n)
	}
	return z.appendAnswer(dst, q, z.findAnswer(n, q.rtype), maxSize, cookie)
}

// closestNode returns the node of the query's name or, if the name has none, of the longest name
// above: at the least the node of the apex.
func (z *servedZone) closestNode(q *query, apexLabel int) (n *node, exact bool) {
	i := max(0, q.labels-z.maxLabels)
	for ; i < apexLabel; i++ {
		if n := z.findNode(q.lowerName[q.labelStarts[i]:len(q.name)]); n != nil {
			return n, i == 0
		}
	}
	return z.findNode(q.zone), apexLabel == 0
}

// findAnswer returns a node's answer to a query for a type.
func (z *servedZone) findAnswer(n *node, rtype uint16) *answer {
	if n.firstAnswer.rtype == rtype || rtype == typeANY && n.kind&kindAny != 0 {
		return &n.firstAnswer // a single RRset is enough for ANY (RFC 8482 section 4.1)
	}
	answers := z.answers[n.moreAnswers : n.moreAnswers+uint32(n.numAnswers)]
	for i := range answers {
		if answers[i].rtype == rtype {
			return &answers[i]
		}
	}
	return &z.answers[n.noDataAnswer]
}

// appendAnswer appends the reply with an answer.
func (z *servedZone) appendAnswer(dst []byte, q *query, a *answer, maxSize int, cookie []byte) ([]byte, responseCode) {
	opt := q.optLength(cookie, false)
	size := q.end + int(a.size)
	if size+opt > q.sizeLimit(maxSize) {
		return z.appendPartialAnswer(dst, q, a, maxSize, cookie)
	}
	start := len(dst)
	dst = slices.Grow(dst, size+opt)[:start+size]
	message := dst[start:]
	ar := a.ar
	if q.edns {
		ar++
	}
	q.putHeader(message, a.flags, a.an, a.ns, ar)
	copy(message[HeaderSize:], q.question)
	copy(message[q.end:], z.wire[a.offset:a.offset+uint32(a.size)])
	moves := z.relocations[a.relocations:]
	for _, position := range moves[1 : 1+moves[0]] {
		relocatePointer(message[q.end+int(position):], HeaderSize+len(q.name))
	}
	if q.edns {
		dst = q.appendOPT(dst, 0, cookie, false)
	}
	return dst, responseCode(a.flags & maskRcode)
}

// relocatePointer changes a pointer that counts from the end of the question's name into a pointer
// that counts from the start of the message.
func relocatePointer(pointer []byte, end int) {
	binary.BigEndian.PutUint16(pointer, binary.BigEndian.Uint16(pointer)+uint16(end))
}

// putHeader writes the header (RFC 1035 section 4.1.1). The opcode and RD are copied from the
// query; RA, Z, AD and CD are 0.
func (q *query) putHeader(m []byte, flags, an, ns, ar uint16) {
	binary.BigEndian.PutUint16(m, q.id)
	binary.BigEndian.PutUint16(m[2:], flagQR|q.flags&(maskOpcode|flagRD)|flags)
	var qd uint16
	if q.name != nil {
		qd = 1
	}
	binary.BigEndian.PutUint16(m[4:], qd)
	binary.BigEndian.PutUint16(m[6:], an)
	binary.BigEndian.PutUint16(m[8:], ns)
	binary.BigEndian.PutUint16(m[10:], ar)
}

// appendError appends a reply with an rcode such as rcodeBadCookie, and without records.
func appendError(dst []byte, q *query, rcode responseCode, cookie []byte) []byte {
	return appendEmptyReply(dst, q, rcode, 0, cookie, false)
}

// appendTruncated appends a reply without records and with TC set: the client asks again over TCP.
func appendTruncated(dst []byte, q *query, cookie []byte) []byte {
	return appendEmptyReply(dst, q, rcodeNoError, flagTC, cookie, false)
}

func appendEmptyReply(dst []byte, q *query, rcode responseCode, flags uint16, cookie []byte, extended bool) []byte {
	start := len(dst)
	dst = slices.Grow(dst, q.end+q.optLength(cookie, extended))[:start+HeaderSize]
	var ar uint16
	if q.edns {
		ar = 1
	}
	q.putHeader(dst[start:], flags|uint16(rcode)&maskRcode, 0, 0, ar)
	dst = append(dst, q.question...)
	return q.appendOPT(dst, rcode, cookie, extended)
}
