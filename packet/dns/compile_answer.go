package dns

// checkSizes refuses an RRset that is too large for a message over TCP with an OPT record, the
// longest cookie and the longest NSID.
func (c *compiler) checkSizes(z *zone, o *owner) error {
	for i := range o.sets {
		set := &o.sets[i]
		most := 0 // without compression
		for _, data := range set.data {
			most += len(o.name) + 10 + len(data)
		}
		room := maxTCPSize - HeaderSize - 4 - optSize - 4 - maxCookie - 4 - MaxNSID
		name, suffix := o.name, o.name
		if o.isWildcard() {
			name, suffix, room = "", parentName(o.name), room-maxName
		} else {
			room -= len(o.name)
		}
		if most <= room {
			continue
		}
		r := &c.renderer
		r.startTemplate(suffix, name != "")
		r.behindDNAME = c.redirects
		if r.appendSet(placement{name, set, set.ttl, true}, 0) && len(r.buf) <= room {
			continue
		}
		return set.position.Errorf("%s has %d %s records: more than a message has room for (RFC 1035 section 4.2.2)",
			nameText(o.name), len(set.data), appendType(nil, set.rtype))
	}
	return nil
}

// negativeAnswers makes the answers for a type or a name that does not exist. The names of the SOA
// record are compressed with suffix, which ends every name that gets the answers.
func (c *compiler) negativeAnswers(z *zone, suffix string) (nodata, nxdomain uint32) {
	f := &lookupResult{authority: true}
	f.addPlacement(1, placement{z.apex, &z.soa, z.negativeTTL, true})
	a := c.render(f, suffix, false)
	nodata = c.addAnswer(a)
	a.flags |= uint16(rcodeNXDomain)
	return nodata, c.addAnswer(a)
}

func (c *compiler) addAnswer(a answer) uint32 {
	c.answers = append(c.answers, a)
	return uint32(len(c.answers) - 1)
}

func (a answer) withType(rtype uint16) answer {
	a.rtype = rtype
	return a
}

// renderResolved renders the answer to a query about an owner. If the owner is a wildcard, the
// answer is for all names that the wildcard covers.
func (c *compiler) renderResolved(z *zone, o *owner, rtype uint16) answer {
	state := present
	if z.isCut(o) {
		state = delegated
	}
	if o.isWildcard() && !o.onlySelf {
		return c.render(z.resolve(o.name, "", o, state, rtype), parentName(o.name), false).withType(rtype)
	}
	return c.render(z.resolve(o.name, o.name, o, state, rtype), o.name, true).withType(rtype)
}

// render writes the template of an answer.
func (c *compiler) render(f *lookupResult, name string, nameKnown bool) answer {
	a := answer{offset: uint32(len(c.wire)), flags: uint16(f.rcode)}
	if f.authority {
		a.flags |= flagAA
	}
	r := &c.renderer
	r.startTemplate(name, nameKnown)
	r.behindDNAME = c.redirects
all:
	for section, sets := range f.sections {
		for _, p := range sets {
			size, moves := len(r.buf), len(r.relocations)
			if r.appendSet(p, uint8(section)) {
				continue
			}
			r.buf, r.relocations = r.buf[:size], r.relocations[:moves]
			if p.required {
				a.flags |= flagTC // larger than any message
				break all
			}
		}
	}
	a.size = uint16(len(r.buf))
	for _, p := range r.parts {
		counts := [...]*uint16{&a.an, &a.ns, &a.ar}
		*counts[p.section] += p.count
	}
	c.wire = append(c.wire, r.buf...)
	if len(r.relocations) > 0 {
		a.relocations = uint32(len(c.relocations))
		c.relocations = append(append(c.relocations, uint16(len(r.relocations))), r.relocations...)
	}
	if len(r.parts) > 1 {
		a.parts = uint32(len(c.parts))
		c.parts = append(c.parts, r.parts...)
	}
	return a
}
