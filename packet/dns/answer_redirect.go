package dns

import (
	"encoding/binary"
	"slices"
)

// alias is a name that stands in a reply for the one that was asked for.
type alias struct {
	name   [maxName + 1]byte // in wire form and lower case
	length int
	at     int // where the message has it, compressed or not
}

// place returns where in the message an octet of the name is, with which one
// of its labels begins.
func (a *alias) place(m []byte, octet int) int {
	for i := a.at; ; {
		if m[i] > maxLabel {
			i = int(binary.BigEndian.Uint16(m[i:]) & maxPointer)
			continue
		}
		if octet <= 0 {
			return i
		}
		octet -= 1 + int(m[i])
		i += 1 + int(m[i])
	}
}

// read takes the name that is at a place in the message.
func (a *alias) read(m []byte, at int) {
	a.length, a.at = 0, at
	for i := at; ; {
		if m[i] > maxLabel {
			i = int(binary.BigEndian.Uint16(m[i:]) & maxPointer)
			continue
		}
		next := i + 1 + int(m[i])
		a.length += copy(a.name[a.length:], m[i:next])
		if m[i] == 0 {
			lower(a.name[:], a.name[:a.length])
			return
		}
		i = next
	}
}

// stands reports whether the name is the one at a place in the message.
func (a *alias) stands(m []byte, at int) bool {
	for octet := 0; ; {
		if m[at] > maxLabel {
			at = int(binary.BigEndian.Uint16(m[at:]) & maxPointer)
			continue
		}
		for end := at + int(m[at]); at <= end; at++ {
			if a.name[octet] != lowerByte(m[at]) {
				return false
			}
			octet++
		}
		if octet == a.length {
			return true
		}
	}
}

// madeBy is a DNAME record of a chain.
type madeBy struct {
	redirect uint32 // in Zones.aliases
	target   int    // where in the message its data is
}

// appendRedirected answers a query for a name below that of a DNAME record:
// with it, a CNAME record made from it (RFC 6672 section 3.1), and what there
// is for the name that this leads to, link by link. That is not looked up but
// at query time, and was rendered for a question of its own; its pointers are
// turned to where things are here.
//
// The chain ends, as zone.resolve's does, with a name that it has had, and
// after maxChain links. A DNAME record that makes several links is there once
// (RFC 2181 section 5).
func (z *Zones) appendRedirected(dst []byte, q *query, n *node, most int, cookie []byte) ([]byte, responseCode) {
	p := q.newPartial(dst, most, cookie)
	a := alias{length: len(q.name), at: HeaderSize}
	copy(a.name[:], q.lowered[:a.length])
	var (
		names   [maxChain + 1]int // where those of the chain are
		made    [maxChain + 1]madeBy
		records int
		apex    = z.aliases[n.missing].apex
		exact   bool
	)
	for link := range names {
		names[link] = a.at
		at := p.size()
		switch {
		case !exact && n.kind&kindRedirect != 0:
			i := slices.IndexFunc(made[:records], func(m madeBy) bool { return m.redirect == n.missing })
			if i < 0 {
				i = records
				if !p.graft(z, &z.answers[z.aliases[n.missing].answer], &a) {
					return p.finish(q, cookie)
				}
				made[i] = madeBy{n.missing, skipName(p.dst[p.start:], at) + 10}
				records++
				at = p.size()
			}
			if !p.synthesize(&a, a.length-int(n.length), made[i].target) {
				return p.finish(q, cookie)
			}
		default:
			answers := n
			if !exact && n.wildcard != 0 {
				answers = &z.nodes[n.wildcard]
			}
			if (exact || n.wildcard != 0) && answers.kind&kindAlias != 0 && q.rtype != typeCNAME && q.rtype != typeANY {
				if !p.graft(z, z.answer(answers, typeCNAME), &a) {
					return p.finish(q, cookie)
				}
				break
			}
			last := &z.answers[n.missing]
			if exact || n.wildcard != 0 {
				last = z.answer(answers, q.rtype)
			}
			if last.rtype == typeDNAME && exact && slices.ContainsFunc(made[:records], func(m madeBy) bool { return m.redirect == n.missing }) {
				return p.finish(q, cookie) // it is there
			}
			p.graft(z, last, &a)
			return p.finish(q, cookie)
		}
		if q.rtype == typeCNAME {
			break // this is it
		}
		m := p.dst[p.start:]
		a.read(m, skipName(m, at)+10)
		for _, before := range names[:link+1] {
			if a.stands(m, before) {
				return p.finish(q, cookie) // round in a circle
			}
		}
		var referral *answer
		if n, exact, referral = z.below(a.name[:a.length], apex, q.rtype); referral != nil {
			p.graft(z, referral, &a)
		}
		if n == nil {
			break // outside the zone
		}
	}
	return p.finish(q, cookie)
}

// synthesize appends a CNAME record for the alias's name, of which it keeps
// the first octets, and for the rest has what is at target: the data of a
// DNAME record.
func (p *partial) synthesize(a *alias, kept, target int) bool {
	at, m := p.size(), p.dst[p.start:]
	if kept+skipName(m, target)-target > maxName {
		p.head = p.head&^maskRcode | uint16(rcodeYXDomain) // RFC 6672 section 2.2
		return false
	}
	p.dst = binary.BigEndian.AppendUint16(p.dst, pointer|uint16(a.at))
	p.dst = append(p.dst, 0, typeCNAME, 0, classIN)
	p.dst = append(p.dst, m[target-6:target-2]...) // the TTL
	p.dst = append(p.dst, byte((kept+2)>>8), byte(kept+2))
	if a.at == HeaderSize {
		p.dst = append(p.dst, m[HeaderSize:HeaderSize+kept]...) // in the letters that were sent
	} else {
		p.dst = append(p.dst, a.name[:kept]...)
	}
	p.dst = binary.BigEndian.AppendUint16(p.dst, pointer|uint16(target))
	if p.size() > p.limit {
		p.dst = p.dst[:p.start+at]
		p.head |= flagTC
		return false
	}
	p.counts[0]++
	return true
}

// below returns the node that is closest to a name of the zone at apex. If the
// name is in a zone below that, it returns what the zone at apex says: in most
// cases the referral there, if there is one.
// If it is outside the zone, it returns neither.
func (z *Zones) below(name []byte, apex string, rtype uint16) (closest *node, exact bool, referral *answer) {
	var other *node // the apex of a zone in between
	whole := false  // it is that name
	for i := 0; ; i += 1 + int(name[i]) {
		if n := z.find(name[i:]); n != nil {
			own := n.kind&kindApex == 0 || string(name[i:]) == apex
			switch {
			case !own:
				other, closest, whole = n, nil, i == 0
			case closest == nil:
				closest, exact = n, i == 0
			}
			if own && n.kind&kindApex != 0 {
				break
			}
		}
		if name[i] == 0 {
			return nil, false, nil
		}
	}
	if other == nil {
		return closest, exact, nil
	}
	for i := range z.answers[other.first : other.first+uint32(other.count)] {
		if a := &z.answers[other.first+uint32(i)]; a.rtype == typeFromAbove {
			if whole && rtype == typeDS { // that is about it, but not in it
				a = z.answer(other, typeDS)
			}
			return nil, false, a
		}
	}
	return closest, false, nil // a DNAME record above it comes first
}

// graft appends an answer about the alias's name. It reports whether all of
// it is there; if not, TC is set.
func (p *partial) graft(z *Zones, a *answer, name *alias) bool {
	base := p.size()
	end := HeaderSize + name.length // of the name, in the question that a is for
	p.add(z, a, end)
	m := p.dst[p.start:]
	for at := base; at < len(m); {
		at = turnName(m, at, base, end, name)
		layout := layoutOf(binary.BigEndian.Uint16(m[at:]))
		next := at + 10 + int(binary.BigEndian.Uint16(m[at+8:]))
		if layout.compress {
			at += 10 + layout.skip
			for range layout.names {
				at = turnName(m, at, base, end, name)
			}
		}
		at = next
	}
	return p.head&flagTC == 0
}

// turnName turns the pointer of the name at i, if it has one, and returns
// where the name ends. Templates end their targets early enough for a prefix
// of maxPrefix octets.
func turnName(m []byte, i, base, end int, name *alias) (after int) {
	for m[i] <= maxLabel {
		if m[i] == 0 {
			return i + 1
		}
		i += 1 + int(m[i])
	}
	to := int(binary.BigEndian.Uint16(m[i:]) & maxPointer)
	if to < end {
		to = name.place(m, to-HeaderSize)
	} else {
		to += base - end - 4 // Type and Class
	}
	binary.BigEndian.PutUint16(m[i:], pointer|uint16(to))
	return i + 2
}
