package dns

import (
	"encoding/binary"
	"slices"
)

// madeBy is a DNAME record of a chain.
type chainDNAME struct {
	redirection  uint32 // in Zones.aliases
	targetOffset int    // where in the message its data is
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
func (z *Zones) appendAliasChain(dst []byte, q *query, n *node, maxSize int, cookie []byte) ([]byte, responseCode) {
	p := q.newPartialReply(dst, maxSize, cookie)
	a := alias{length: len(q.name), offset: HeaderSize}
	copy(a.name[:], q.lowerName[:a.length])
	var (
		names   [maxChain + 1]int // where those of the chain are
		made    [maxChain + 1]chainDNAME
		records int
		apex    = z.aliases[n.missingAnswer].apex
		exact   bool
	)
	for link := range names {
		names[link] = a.offset
		at := p.size()
		switch {
		case !exact && n.kind&kindRedirect != 0:
			i := slices.IndexFunc(made[:records], func(m chainDNAME) bool { return m.redirection == n.missingAnswer })
			if i < 0 {
				i = records
				if !p.appendAnswer(z, &z.answers[z.aliases[n.missingAnswer].answer], &a) {
					return p.finish(q, cookie)
				}
				made[i] = chainDNAME{n.missingAnswer, skipName(p.dst[p.start:], at) + 10}
				records++
				at = p.size()
			}
			if !p.appendSynthesizedCNAME(&a, a.length-int(n.length), made[i].targetOffset) {
				return p.finish(q, cookie)
			}
		default:
			answers := n
			if !exact && n.wildcard != 0 {
				answers = &z.nodes[n.wildcard]
			}
			if (exact || n.wildcard != 0) && answers.kind&kindAlias != 0 && q.rtype != typeCNAME && q.rtype != typeANY {
				if !p.appendAnswer(z, z.findAnswer(answers, typeCNAME), &a) {
					return p.finish(q, cookie)
				}
				break
			}
			last := &z.answers[n.missingAnswer]
			if exact || n.wildcard != 0 {
				last = z.findAnswer(answers, q.rtype)
			}
			if last.rtype == typeDNAME && exact && slices.ContainsFunc(made[:records], func(m chainDNAME) bool { return m.redirection == n.missingAnswer }) {
				return p.finish(q, cookie) // it is there
			}
			p.appendAnswer(z, last, &a)
			return p.finish(q, cookie)
		}
		if q.rtype == typeCNAME {
			break // this is it
		}
		m := p.dst[p.start:]
		a.readFrom(m, skipName(m, at)+10)
		for _, before := range names[:link+1] {
			if a.equals(m, before) {
				return p.finish(q, cookie) // round in a circle
			}
		}
		var referral *answer
		if n, exact, referral = z.closestInZone(a.name[:a.length], apex, q.rtype); referral != nil {
			p.appendAnswer(z, referral, &a)
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
func (p *partialReply) appendSynthesizedCNAME(a *alias, prefixLength, targetOffset int) bool {
	recordOffset, m := p.size(), p.dst[p.start:]
	if prefixLength+skipName(m, targetOffset)-targetOffset > maxName {
		p.flags = p.flags&^maskRcode | uint16(rcodeYXDomain) // RFC 6672 section 2.2
		return false
	}
	p.dst = binary.BigEndian.AppendUint16(p.dst, pointer|uint16(a.offset))
	p.dst = append(p.dst, 0, typeCNAME, 0, classIN)
	p.dst = append(p.dst, m[targetOffset-6:targetOffset-2]...) // the TTL
	p.dst = append(p.dst, byte((prefixLength+2)>>8), byte(prefixLength+2))
	if a.offset == HeaderSize {
		p.dst = append(p.dst, m[HeaderSize:HeaderSize+prefixLength]...) // in the letters that were sent
	} else {
		p.dst = append(p.dst, a.name[:prefixLength]...)
	}
	p.dst = binary.BigEndian.AppendUint16(p.dst, pointer|uint16(targetOffset))
	if p.size() > p.limit {
		p.dst = p.dst[:p.start+recordOffset]
		p.flags |= flagTC
		return false
	}
	p.counts[0]++
	return true
}

// below returns the node that is closest to a name of the zone at apex. If the
// name is in a zone below that, it returns what the zone at apex says: in most
// cases the referral there, if there is one.
// If it is outside the zone, it returns neither.
func (z *Zones) closestInZone(name []byte, apex string, rtype uint16) (closest *node, exact bool, referral *answer) {
	var innerApex *node // the apex of a zone in between
	exactApex := false  // it is that name
	for i := 0; ; i += 1 + int(name[i]) {
		if n := z.findNode(name[i:]); n != nil {
			inZone := n.kind&kindApex == 0 || string(name[i:]) == apex
			switch {
			case !inZone:
				innerApex, closest, exactApex = n, nil, i == 0
			case closest == nil:
				closest, exact = n, i == 0
			}
			if inZone && n.kind&kindApex != 0 {
				break
			}
		}
		if name[i] == 0 {
			return nil, false, nil
		}
	}
	if innerApex == nil {
		return closest, exact, nil
	}
	for i := range z.answers[innerApex.moreAnswers : innerApex.moreAnswers+uint32(innerApex.numAnswers)] {
		if a := &z.answers[innerApex.moreAnswers+uint32(i)]; a.rtype == typeFromAbove {
			if exactApex && rtype == typeDS { // that is about it, but not in it
				a = z.findAnswer(innerApex, typeDS)
			}
			return nil, false, a
		}
	}
	return closest, false, nil // a DNAME record above it comes first
}

// graft appends an answer about the alias's name. It reports whether all of
// it is there; if not, TC is set.
func (p *partialReply) appendAnswer(z *Zones, a *answer, name *alias) bool {
	recordsStart := p.size()
	nameEnd := HeaderSize + name.length // of the name, in the question that a is for
	p.appendParts(z, a, nameEnd)
	m := p.dst[p.start:]
	for at := recordsStart; at < len(m); {
		at = rebasePointer(m, at, recordsStart, nameEnd, name)
		layout := layoutOf(binary.BigEndian.Uint16(m[at:]))
		next := at + 10 + int(binary.BigEndian.Uint16(m[at+8:]))
		if layout.compress {
			at += 10 + layout.skip
			for range layout.names {
				at = rebasePointer(m, at, recordsStart, nameEnd, name)
			}
		}
		at = next
	}
	return p.flags&flagTC == 0
}

// turnName turns the pointer of the name at i, if it has one, and returns
// where the name ends. Templates end their targets early enough for a prefix
// of maxPrefix octets.
func rebasePointer(m []byte, i, base, end int, name *alias) (after int) {
	for m[i] <= maxLabel {
		if m[i] == 0 {
			return i + 1
		}
		i += 1 + int(m[i])
	}
	to := int(binary.BigEndian.Uint16(m[i:]) & maxPointer)
	if to < end {
		to = name.offsetOf(m, to-HeaderSize)
	} else {
		to += base - end - 4 // Type and Class
	}
	binary.BigEndian.PutUint16(m[i:], pointer|uint16(to))
	return i + 2
}
