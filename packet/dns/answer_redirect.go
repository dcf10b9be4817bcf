package dns

import (
	"encoding/binary"
	"slices"
)

// alias is a name that stands in a reply for the one that was asked for. It is
// written as a prefix that is at one place and a suffix that is at another.
type alias struct {
	name   [maxName + 1]byte // in wire form and lower case
	length int
	at     int // of the prefix, in the message
	prefix int // octets
	suffix int // where the rest is
}

// place returns where an octet of the name is in the message.
func (a *alias) place(octet int) int {
	if octet < a.prefix {
		return a.at + octet
	}
	return a.suffix + octet - a.prefix
}

// appendRedirected answers a query for a name below that of a DNAME record:
// with it, a CNAME record made from it (RFC 6672 section 3.1), and what there
// is for the name that this leads to. That answer is not looked up but at
// query time, and was rendered for a question of its own; its pointers are
// turned to where things are here.
func (z *Zones) appendRedirected(dst []byte, q *Query, n *node, most int, cookie []byte) ([]byte, Rcode) {
	p := q.newPartial(dst, most, cookie)
	a := alias{length: len(q.Name), at: HeaderSize, prefix: len(q.Name)}
	copy(a.name[:], q.Name)
	var used [maxChain]*redirection
	redirect := &z.aliases[n.missing]
	for i := range used {
		if slices.Contains(used[:i], redirect) {
			break // round in a circle, or ever longer
		}
		used[i] = redirect
		at := p.size()
		if !p.graft(z, &z.answers[redirect.answer], &a) || p.head&flagTC != 0 {
			break
		}
		target := at + 2 + 10 // of the record, behind a pointer to its owner and what has a fixed length
		if n.length == 1 {
			target-- // the root is not pointed to
		}
		length := p.size() - target
		kept := a.length - int(n.length)
		if kept+length > maxName {
			p.head = p.head&^maskRcode | uint16(YXDomain) // RFC 6672 section 2.2
			break
		}
		at = p.size()
		p.dst = binary.BigEndian.AppendUint16(p.dst, pointer|uint16(a.at))
		p.dst = append(p.dst, 0, typeCNAME, 0, classIN)
		p.dst = append(p.dst, p.dst[p.start+target-6:p.start+target-2]...) // the TTL
		p.dst = append(p.dst, byte((kept+2)>>8), byte(kept+2))
		next := alias{length: kept + length, at: p.size(), prefix: kept, suffix: target}
		p.dst = append(p.dst, a.name[:kept]...)
		p.dst = binary.BigEndian.AppendUint16(p.dst, pointer|uint16(target))
		if p.size() > p.limit {
			p.dst = p.dst[:p.start+at]
			p.head |= flagTC
			break
		}
		p.counts[0]++
		copy(next.name[:], a.name[:kept])
		copy(next.name[kept:], p.dst[p.start+target:p.start+target+length])
		lower(next.name[:], next.name[:next.length])
		if string(next.name[:next.length]) == string(q.lowered[:len(q.Name)]) {
			break // round in a circle
		}
		if q.Type == typeCNAME {
			break // this is it
		}
		a = next

		var (
			exact    bool
			referral *answer
		)
		if n, exact, referral = z.below(a.name[:a.length], redirect.apex, q.Type); referral != nil {
			p.graft(z, referral, &a)
		}
		if n == nil {
			break // outside the zone
		}
		if !exact && n.kind&kindRedirect != 0 {
			redirect = &z.aliases[n.missing]
			continue
		}
		last := &z.answers[n.missing]
		switch {
		case exact:
			last = z.answer(n, q.Type)
		case n.wildcard != 0:
			last = z.answer(&z.nodes[n.wildcard], q.Type)
		}
		p.graft(z, last, &a)
		break
	}
	return p.finish(q, cookie)
}

// below returns the node that is closest to a name of the zone at apex. If the
// name is in a zone below that, it returns what the zone at apex says: in most
// cases the referral there, if there is one.
// If it is outside the zone, it returns neither.
func (z *Zones) below(name []byte, apex string, rtype uint16) (closest *node, exact bool, referral *answer) {
	var other *node // the apex of a zone in between
	for i := 0; ; i += 1 + int(name[i]) {
		if n := z.find(name[i:]); n != nil {
			if closest == nil {
				closest, exact = n, i == 0
			}
			if n.kind&kindApex != 0 {
				if string(name[i:]) == apex {
					break
				}
				other = n
			}
		}
		if name[i] == 0 {
			return nil, false, nil
		}
	}
	switch {
	case other == nil:
		return closest, exact, nil
	case exact && other == closest && rtype == typeDS: // that is about it, but not in it
		return nil, false, z.answer(other, typeDS)
	}
	for i := range z.answers[other.first : other.first+uint32(other.count)] {
		if a := &z.answers[other.first+uint32(i)]; a.rtype == typeFromAbove {
			return nil, false, a
		}
	}
	return nil, false, nil
}

// graft appends an answer about the alias's name. It reports whether all that
// its pointers should lead to can be pointed to.
func (p *partial) graft(z *Zones, a *answer, name *alias) bool {
	before := *p
	base := p.size()
	end := HeaderSize + name.length // of the name, in the question that a is for
	p.add(z, a, end)
	m := p.dst[p.start:]
	for at := base; at < len(m); {
		var ok bool
		if at, ok = turnName(m, at, base, end, name); !ok {
			*p = before
			return false
		}
		layout := layoutOf(binary.BigEndian.Uint16(m[at:]))
		next := at + 10 + int(binary.BigEndian.Uint16(m[at+8:]))
		if layout.compress {
			at += 10 + layout.skip
			for range layout.names {
				if at, ok = turnName(m, at, base, end, name); !ok {
					*p = before
					return false
				}
			}
		}
		at = next
	}
	return true
}

// turnName turns the pointer of the name at i, if it has one, and returns
// where the name ends.
func turnName(m []byte, i, base, end int, name *alias) (after int, ok bool) {
	for m[i] <= maxLabel {
		if m[i] == 0 {
			return i + 1, true
		}
		i += 1 + int(m[i])
	}
	to := int(binary.BigEndian.Uint16(m[i:]) & maxPointer)
	if to < end {
		to = name.place(to - HeaderSize)
	} else {
		to += base - end - 4 // Type and Class
	}
	if to > maxPointer {
		return 0, false
	}
	binary.BigEndian.PutUint16(m[i:], pointer|uint16(to))
	return i + 2, true
}
