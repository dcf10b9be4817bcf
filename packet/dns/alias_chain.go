package dns

import "encoding/binary"

// aliasChain is a reply that is assembled at query time, alias by alias: a DNAME record, the CNAME
// record that follows from the DNAME record (RFC 6672 section 3.1), and the answer for the CNAME
// record's target. The templates were rendered for other questions: appendAnswer changes their
// pointers.
//
// As in zone.resolve, the chain ends at a name that the chain already has, and after maxChain
// links. A DNAME record that makes several links is in the reply once (RFC 2181 section 5).
type aliasChain struct {
	zone      *servedZone
	query     *query
	reply     partialReply
	current   alias                // the chain's last name
	names     [maxChain + 1]uint16 // offsets in the message
	dnames    [maxChain + 1]chainDNAME
	numDNAMEs int
}

// chainDNAME is a DNAME record in the reply.
type chainDNAME struct {
	redirection  uint32 // in servedZone.aliases
	targetOffset uint16 // of the record's data in the message
}

// appendAliasChain answers a query for a name below that of n's DNAME record.
func (z *servedZone) appendAliasChain(dst []byte, q *query, n *node, maxSize int, cookie []byte) ([]byte, responseCode) {
	var c aliasChain
	c.zone, c.query = z, q
	c.reply = q.newPartialReply(dst, maxSize, cookie)
	c.current.length, c.current.offset = len(q.name), HeaderSize
	copy(c.current.name[:], q.lowerName[:len(q.name)])
	exact := false
	for link := 0; link <= maxChain && n != nil; link++ {
		c.names[link] = uint16(c.current.offset)
		cname := c.appendLink(n, exact)
		if cname == 0 || q.rtype == typeCNAME {
			break
		}
		n, exact = c.followAlias(cname, link)
	}
	return c.reply.finish(q, cookie)
}

// appendLink appends the alias of the current name, and returns the offset of the CNAME record. If
// the name has no alias, or the reply has no room, the chain ends: appendLink appends the parts of
// the last answer that fit, and returns 0. n is the node of the name, or the closest node above.
func (c *aliasChain) appendLink(n *node, exact bool) (cname int) {
	if !exact && n.kind&kindRedirect != 0 {
		targetOffset := c.appendDNAME(n.missingAnswer)
		cname = c.reply.size()
		if targetOffset == 0 || !c.reply.appendSynthesizedCNAME(&c.current, c.current.length-int(n.length), targetOffset) {
			return 0
		}
		return cname
	}
	z, rtype := c.zone, c.query.rtype
	last := &z.answers[n.missingAnswer]
	if exact || n.wildcard != 0 {
		owner := n
		if !exact {
			owner = &z.nodes[n.wildcard]
		}
		if owner.kind&kindAlias != 0 && rtype != typeCNAME && rtype != typeANY {
			cname = c.reply.size()
			if !c.reply.appendAnswer(z, z.findAnswer(owner, typeCNAME), &c.current) {
				return 0
			}
			return cname
		}
		last = z.findAnswer(owner, rtype)
	}
	if last.rtype != typeDNAME || !exact || c.findDNAME(n.missingAnswer) < 0 {
		c.reply.appendAnswer(z, last, &c.current)
	}
	return 0
}

// appendDNAME returns the offset of a DNAME record's data in the reply. If the reply does not have
// the record, appendDNAME appends the record first; 0 is no room.
func (c *aliasChain) appendDNAME(redirection uint32) (targetOffset int) {
	if i := c.findDNAME(redirection); i >= 0 {
		return int(c.dnames[i].targetOffset)
	}
	offset := c.reply.size()
	if !c.reply.appendAnswer(c.zone, &c.zone.answers[c.zone.aliases[redirection]], &c.current) {
		return 0
	}
	targetOffset = skipName(c.reply.dst[c.reply.start:], offset) + 10
	c.dnames[c.numDNAMEs] = chainDNAME{redirection, uint16(targetOffset)}
	c.numDNAMEs++
	return targetOffset
}

// findDNAME returns the index of a DNAME record in dnames, or -1.
func (c *aliasChain) findDNAME(redirection uint32) int {
	for i := range c.dnames[:c.numDNAMEs] {
		if c.dnames[i].redirection == redirection {
			return i
		}
	}
	return -1
}

// followAlias makes the target of the CNAME record at offset cname the current name, and returns the
// closest node. nil ends the chain: the chain already has the name, or the name is in another zone.
func (c *aliasChain) followAlias(cname, link int) (n *node, exact bool) {
	m := c.reply.dst[c.reply.start:]
	c.current.readFrom(m, skipName(m, cname)+10)
	for _, offset := range c.names[:link+1] {
		if c.current.equals(m, int(offset)) {
			return nil, false
		}
	}
	return c.zone.closestTo(c.current.name[:c.current.length])
}

// appendSynthesizedCNAME appends the CNAME record that follows from a DNAME record. Its target is
// the first prefixLength octets of the alias, and the DNAME record's target at targetOffset: a
// pointer, or the root label, because not all software accepts a pointer to the root.
func (p *partialReply) appendSynthesizedCNAME(a *alias, prefixLength, targetOffset int) bool {
	recordOffset, m := p.size(), p.dst[p.start:]
	if prefixLength+skipName(m, targetOffset)-targetOffset > maxName {
		p.flags = p.flags&^maskRcode | uint16(rcodeYXDomain) // RFC 6672 section 2.2
		return false
	}
	p.dst = binary.BigEndian.AppendUint16(p.dst, pointer|uint16(a.offset))
	p.dst = append(p.dst, 0, typeCNAME, 0, classIN)
	p.dst = append(p.dst, m[targetOffset-6:targetOffset-2]...) // the TTL
	end := []byte{byte((pointer | targetOffset) >> 8), byte(targetOffset)}
	if m[targetOffset] == 0 {
		end = []byte{0}
	}
	p.dst = binary.BigEndian.AppendUint16(p.dst, uint16(prefixLength+len(end)))
	if a.offset == HeaderSize {
		p.dst = append(p.dst, m[HeaderSize:HeaderSize+prefixLength]...) // in upper and lower case as sent
	} else {
		p.dst = append(p.dst, a.name[:prefixLength]...)
	}
	p.dst = append(p.dst, end...)
	if p.size() > p.limit {
		p.dst = p.dst[:p.start+recordOffset]
		p.flags |= flagTC
		return false
	}
	p.counts[0]++
	return true
}

// closestTo returns the node closest to a name, or nil for a name outside the zone.
func (z *servedZone) closestTo(name []byte) (n *node, exact bool) {
	for i := 0; len(name)-i >= len(z.apex); i += 1 + int(name[i]) {
		if n := z.findNode(name[i:]); n != nil {
			return n, i == 0
		}
	}
	return nil, false
}

// appendAnswer appends an answer for the alias's name, and reports whether the whole answer fits.
// If not, TC is set.
func (p *partialReply) appendAnswer(z *servedZone, a *answer, name *alias) bool {
	recordsStart := p.size()
	nameEnd := HeaderSize + name.length // of the name in the question that a was rendered for
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

// rebasePointer changes the pointer that ends the name at i, if any, and returns the end of the
// name. Templates point only to offsets that leave room for maxPrefix octets before the template.
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
		to += base - end - 4 // the question's type and class
	}
	binary.BigEndian.PutUint16(m[i:], pointer|uint16(to))
	return i + 2
}
