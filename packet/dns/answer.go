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
func (z *Zones) appendReply(dst []byte, q *query, rcode responseCode, most int, cookie []byte) (reply []byte, answered responseCode) {
	if rcode != rcodeNoError {
		return appendError(dst, q, rcode, cookie), rcode
	}
	n, exact := z.closest(q)
	q.found = nil
	if n == nil {
		if z.sink != nil {
			return z.sink.append(dst, q, z.sink.answer(&z.sink.nodes[0], q.rtype), most, cookie)
		}
		return appendBare(dst, q, rcodeRefused, 0, cookie, true), rcodeRefused
	}
	if !exact {
		q.found = z.wire[n.name : n.name+uint32(n.length)]
		if n.kind&kindRedirect != 0 {
			return z.appendRedirected(dst, q, n, most, cookie)
		}
		if n.wildcard == 0 {
			return z.append(dst, q, &z.answers[n.missing], most, cookie)
		}
		n = &z.nodes[n.wildcard]
	}
	q.found = z.wire[n.name : n.name+uint32(n.length)]
	return z.append(dst, q, z.answer(n, q.rtype), most, cookie)
}

// closest returns the node of the query's name or, if there is none, that of
// the longest name above it.
func (z *Zones) closest(q *query) (n *node, exact bool) {
	for i := max(0, q.labels-z.depth); i <= q.labels; i++ {
		if n := z.find(q.lowered[q.starts[i]:len(q.name)]); n != nil {
			return n, i == 0
		}
	}
	return nil, false
}

// answer returns a node's answer to a question for a type.
func (z *Zones) answer(n *node, rtype uint16) *answer {
	if n.only.rtype == rtype || rtype == typeANY && n.kind&kindAny != 0 {
		return &n.only // one RRset will do for ANY (RFC 8482 section 4.1)
	}
	answers := z.answers[n.first : n.first+uint32(n.count)]
	for i := range answers {
		if answers[i].rtype == rtype {
			return &answers[i]
		}
	}
	return &z.answers[n.other]
}

// append appends the reply with an answer.
func (z *Zones) append(dst []byte, q *query, a *answer, most int, cookie []byte) ([]byte, responseCode) {
	opt := q.optLength(cookie, false)
	size := q.end + int(a.size)
	if size+opt > q.limit(most) {
		return z.appendPart(dst, q, a, most, cookie)
	}
	start := len(dst)
	dst = slices.Grow(dst, size+opt)[:start+size]
	m := dst[start:]
	ar := a.ar
	if q.edns {
		ar++
	}
	q.putHeader(m, a.head, a.an, a.ns, ar)
	copy(m[HeaderSize:], q.question)
	copy(m[q.end:], z.wire[a.at:a.at+uint32(a.size)])
	moves := z.moves[a.moves:]
	for _, position := range moves[1 : 1+moves[0]] {
		move(m[q.end+int(position):], HeaderSize+len(q.name))
	}
	if q.edns {
		dst = q.appendOPT(dst, 0, cookie, false)
	}
	return dst, responseCode(a.head & maskRcode)
}

// move makes a pointer that counts from where the question's name ends one
// that counts from where the message begins.
func move(pointer []byte, end int) {
	binary.BigEndian.PutUint16(pointer, binary.BigEndian.Uint16(pointer)+uint16(end))
}

// putHeader writes the header (RFC 1035 section 4.1.1) and what all replies
// have in it: the opcode and RD are copied, RA is not set, nor are Z, AD and CD.
func (q *query) putHeader(m []byte, head, an, ns, ar uint16) {
	binary.BigEndian.PutUint16(m, q.id)
	binary.BigEndian.PutUint16(m[2:], flagQR|q.flags&(maskOpcode|flagRD)|head)
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
	return appendBare(dst, q, rcode, 0, cookie, false)
}

// appendTruncated appends a reply that has nothing but TC set: the client is
// to ask again over TCP.
func appendTruncated(dst []byte, q *query, cookie []byte) []byte {
	return appendBare(dst, q, rcodeNoError, flagTC, cookie, false)
}

func appendBare(dst []byte, q *query, rcode responseCode, head uint16, cookie []byte, extended bool) []byte {
	start := len(dst)
	dst = slices.Grow(dst, q.end+q.optLength(cookie, extended))[:start+HeaderSize]
	var ar uint16
	if q.edns {
		ar = 1
	}
	q.putHeader(dst[start:], head|uint16(rcode)&maskRcode, 0, 0, ar)
	dst = append(dst, q.question...)
	return q.appendOPT(dst, rcode, cookie, extended)
}
