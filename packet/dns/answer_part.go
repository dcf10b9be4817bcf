package dns

import "slices"

// partial is a reply that is put together in parts.
type partial struct {
	dst    []byte
	start  int // of the message in dst
	limit  int // of its octets, without the OPT record's
	counts [3]uint16
	head   uint16
}

func (q *query) newPartial(dst []byte, most int, cookie []byte) partial {
	limit := q.limit(most) - q.optLength(cookie, false)
	p := partial{dst: slices.Grow(dst, HeaderSize+len(q.question)), start: len(dst), limit: limit}
	p.dst = append(p.dst[:p.start+HeaderSize], q.question...)
	return p
}

func (p *partial) size() int { return len(p.dst) - p.start }

func (p *partial) finish(q *query, cookie []byte) ([]byte, responseCode) {
	ar := p.counts[2]
	if q.edns {
		ar++
	}
	q.putHeader(p.dst[p.start:], p.head, p.counts[0], p.counts[1], ar)
	return q.appendOPT(p.dst, 0, cookie, false), responseCode(p.head & maskRcode)
}

// add appends as many parts of an answer as there is room for. Names in what
// is left out are not pointed to, so that what pointers lead to is where it
// would be. end is where the question's name ends.
func (p *partial) add(z *Zones, a *answer, end int) {
	p.head |= a.head
	template := z.wire[a.at : a.at+uint32(a.size)]
	parts := z.parts[a.parts:]
	if a.parts == 0 {
		parts = []part{{a.size, a.an + a.ns + a.ar, a.section(), true}}
	}
	moves := z.moves[a.moves:]
	moves = moves[1 : 1+moves[0]]
	for from := 0; from < len(template); {
		part := parts[0]
		fits := p.size()+int(part.end)-from <= p.limit
		if !fits && part.must {
			p.head |= flagTC
			if part.section < 2 {
				return
			}
		}
		if fits {
			p.dst = append(p.dst, template[from:part.end]...)
			p.counts[part.section] += part.count
		}
		for len(moves) > 0 && moves[0] < part.end {
			if fits {
				move(p.dst[len(p.dst)-int(part.end-moves[0]):], end)
			}
			moves = moves[1:]
		}
		from, parts = int(part.end), parts[1:]
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

func (z *Zones) appendPart(dst []byte, q *query, a *answer, most int, cookie []byte) ([]byte, responseCode) {
	p := q.newPartial(dst, most, cookie)
	p.add(z, a, HeaderSize+len(q.name))
	return p.finish(q, cookie)
}
