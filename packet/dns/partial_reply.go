package dns

import "slices"

// partialReply is a reply that is assembled part by part.
type partialReply struct {
	dst    []byte
	start  int // of the message in dst
	limit  int // of the message's size, without the OPT record
	counts [3]uint16
	flags  uint16
}

func (q *query) newPartialReply(dst []byte, maxSize int, cookie []byte) partialReply {
	limit := q.sizeLimit(maxSize) - q.optLength(cookie, false)
	p := partialReply{dst: slices.Grow(dst, HeaderSize+len(q.question)), start: len(dst), limit: limit}
	p.dst = append(p.dst[:p.start+HeaderSize], q.question...)
	return p
}

func (p *partialReply) size() int { return len(p.dst) - p.start }

func (p *partialReply) finish(q *query, cookie []byte) ([]byte, responseCode) {
	ar := p.counts[2]
	if q.edns {
		ar++
	}
	q.putHeader(p.dst[p.start:], p.flags, p.counts[0], p.counts[1], ar)
	return q.appendOPT(p.dst, 0, cookie, false), responseCode(p.flags & maskRcode)
}

// appendParts appends the parts of an answer that fit. Pointers never lead to a part that may be
// left out, so every target of a pointer has its expected offset. nameEnd is the end of the
// question's name in the message.
func (p *partialReply) appendParts(z *servedZone, a *answer, nameEnd int) {
	p.flags |= a.flags
	template := z.wire[a.offset : a.offset+uint32(a.size)]
	parts := z.parts[a.parts:]
	if a.parts == 0 {
		parts = []templatePart{{a.size, a.an + a.ns + a.ar, a.section(), true}}
	}
	moves := z.relocations[a.relocations:]
	moves = moves[1 : 1+moves[0]]
	for offset := 0; offset < len(template); {
		part := parts[0]
		fits := p.size()+int(part.end)-offset <= p.limit
		if !fits && part.required {
			p.flags |= flagTC
			if part.section < 2 {
				return
			}
		}
		if fits {
			p.dst = append(p.dst, template[offset:part.end]...)
			p.counts[part.section] += part.count
		}
		for len(moves) > 0 && moves[0] < part.end {
			if fits {
				relocatePointer(p.dst[len(p.dst)-int(part.end-moves[0]):], nameEnd)
			}
			moves = moves[1:]
		}
		offset, parts = int(part.end), parts[1:]
	}
}

func (a *answer) section() uint8 {
	switch {
	case a.an > 0:
		return 0
	case a.ns > 0:
		return 1
	}
	return 2
}

func (z *servedZone) appendPartialAnswer(dst []byte, q *query, a *answer, maxSize int, cookie []byte) ([]byte, responseCode) {
	p := q.newPartialReply(dst, maxSize, cookie)
	p.appendParts(z, a, HeaderSize+len(q.name))
	return p.finish(q, cookie)
}
