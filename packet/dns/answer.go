package dns

import (
	"encoding/binary"
	"slices"
)

// Append answers a query that q.Decode has read: it appends the whole reply to
// dst and returns it, with its rcode. It allocates only if dst has no room for
// the reply. dst must not be the message's memory.
// rcode is what Decode returned; other than rcodeNoError, it is all that is said.
//
// most is what the transport has room for: MaxUDPSize, or whatever less was
// configured, within what the client can take, or maxTCPSize. What does not fit
// is left out, RRset by RRset: first addresses that are only helpful, and
// without a word; if the answer, the authority or the address of a server
// below a delegation (RFC 9471) has to go, the reply ends there with TC set.
//
// cookie is put into the OPT record if the query has one; nil is none.
func (z *Zones) appendReply(dst []byte, q *query, rcode responseCode, maxSize int, cookie []byte) (reply []byte, answered responseCode) {
	if rcode != rcodeNoError {
		return appendError(dst, q, rcode, cookie), rcode
	}
	n, exact := z.closestNode(q)
	q.matchedName = nil
	if n == nil {
		if z.sinkhole != nil {
			return z.sinkhole.appendAnswer(dst, q, z.sinkhole.findAnswer(&z.sinkhole.nodes[0], q.rtype), maxSize, cookie)
		}
		return appendEmptyReply(dst, q, rcodeRefused, 0, cookie, true), rcodeRefused
	}
	if !exact {
		q.matchedName = z.wire[n.name : n.name+uint32(n.length)]
		if n.kind&kindRedirect != 0 {
			return z.appendAliasChain(dst, q, n, maxSize, cookie)
		}
		if n.wildcard == 0 {
			return z.appendAnswer(dst, q, &z.answers[n.missingAnswer], maxSize, cookie)
		}
		n = &z.nodes[n.wildcard]
	}
	q.matchedName = z.wire[n.name : n.name+uint32(n.length)]
	return z.appendAnswer(dst, q, z.findAnswer(n, q.rtype), maxSize, cookie)
}

// closest returns the node of the query's name or, if there is none, that of
// the longest name above it.
func (z *Zones) closestNode(q *query) (n *node, exact bool) {
	for i := max(0, q.labels-z.maxLabels); i <= q.labels; i++ {
		if n := z.findNode(q.lowerName[q.labelStarts[i]:len(q.name)]); n != nil {
			return n, i == 0
		}
	}
	return nil, false
}

// answer returns a node's answer to a question for a type.
func (z *Zones) findAnswer(n *node, rtype uint16) *answer {
	if n.firstAnswer.rtype == rtype || rtype == typeANY && n.kind&kindAny != 0 {
		return &n.firstAnswer // one RRset will do for ANY (RFC 8482 section 4.1)
	}
	answers := z.answers[n.moreAnswers : n.moreAnswers+uint32(n.numAnswers)]
	for i := range answers {
		if answers[i].rtype == rtype {
			return &answers[i]
		}
	}
	return &z.answers[n.noDataAnswer]
}

// append appends the reply with an answer.
func (z *Zones) appendAnswer(dst []byte, q *query, a *answer, maxSize int, cookie []byte) ([]byte, responseCode) {
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

// move makes a pointer that counts from where the question's name ends one
// that counts from where the message begins.
func relocatePointer(pointer []byte, end int) {
	binary.BigEndian.PutUint16(pointer, binary.BigEndian.Uint16(pointer)+uint16(end))
}

// putHeader writes the header (RFC 1035 section 4.1.1) and what all replies
// have in it: the opcode and RD are copied, RA is not set, nor are Z, AD and CD.
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

// appendError appends a reply that has only an rcode to say, as rcodeBadCookie.
func appendError(dst []byte, q *query, rcode responseCode, cookie []byte) []byte {
	return appendEmptyReply(dst, q, rcode, 0, cookie, false)
}

// appendTruncated appends a reply that has nothing but TC set: the client is
// to ask again over TCP.
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
