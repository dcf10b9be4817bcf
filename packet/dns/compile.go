package dns

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// compiler makes Zones of zones.
type compiler struct {
	Zones
	names    []string // of nodes; empty where the name is another's
	byApex   map[string]*zone
	renderer renderer

	redirects bool // some zone has a DNAME record
}

func compile(zones []*zone) (*Zones, error) {
	c := compiler{byApex: make(map[string]*zone)}
	c.nodes, c.answers, c.names = make([]node, 1), make([]answer, 1), make([]string, 1)
	c.moves, c.parts = make([]uint16, 1), make([]part, 1)
	for _, z := range zones {
		if other := c.byApex[z.apex]; other != nil {
			return nil, z.soa.where.errorf("the zone %s is in %s too", text(z.apex), *other.soa.where.file)
		}
		c.byApex[z.apex] = z
		c.redirects = c.redirects || z.redirects
	}
	for _, z := range zones {
		if z.apex != "\x00" {
			z.above = c.zoneOf(parent(z.apex))
		}
		if z.above != nil {
			z.above.children = true
			z.above.delegate(z)
		}
	}
	for _, z := range zones {
		if err := c.zone(z); err != nil {
			return nil, err
		}
	}
	c.table = newTable(len(c.nodes) - 1)
	for i, name := range c.names[1:] {
		if name != "" {
			c.table.insert(name, uint32(i+1))
			c.depth = max(c.depth, labels(name))
		}
	}
	for _, z := range zones {
		data := z.soa.data[0]
		serial := binary.BigEndian.Uint32([]byte(data[len(data)-20:]))
		c.list = append(c.list, Zone{text(z.apex), serial, z.records, z.file})
	}
	done := c.Zones
	done.nodes, done.answers = slices.Clip(done.nodes), slices.Clip(done.answers)
	return &done, nil
}

// zoneOf returns the zone that a name is in, or nil.
func (c *compiler) zoneOf(name string) *zone {
	for {
		if z := c.byApex[name]; z != nil {
			return z
		}
		if name == "\x00" {
			return nil
		}
		name = parent(name)
	}
}

// delegate gives the apex of a zone that is loaded beside this one, which
// contains it, its place here: below that begin other authoritative data (RFC
// 1034 sections 4.2.1 and 4.3.2, step 3a) even if nothing here says so. In that
// case the NS records are the zone's own, and so are its servers' addresses.
func (z *zone) delegate(child *zone) {
	at, where := z.find(child.apex)
	if where == delegated || where == redirected || child.owners[child.apex].wild() {
		return
	}
	cut := &owner{name: child.apex}
	if where == present {
		cut.sets = at.sets
	}
	ns := *child.owners[child.apex].set(typeNS)
	cut.sets = append(slices.Clone(cut.sets), ns)
	cut.arrange()
	z.owners[child.apex] = cut
	for _, data := range ns.data {
		name := target(typeNS, data)
		server, glue := child.owners[name], z.owners[name]
		if glue == nil {
			glue = &owner{name: name}
		}
		if server == nil || glue.set(typeA) != nil || glue.set(typeAAAA) != nil {
			continue
		}
		for _, rtype := range []uint16{typeA, typeAAAA} {
			if set := server.set(rtype); set != nil {
				glue.sets = append(glue.sets, *set)
			}
		}
		glue.arrange()
		z.owners[name] = glue
	}
	z.between(child.apex)
}

// zone makes the nodes of a zone.
func (c *compiler) zone(z *zone) error {
	primary := target(typeSOA, z.soa.data[0])
	mailbox := target(typeSOA, z.soa.data[0][len(primary):])
	z.nodata, z.nxdomain = c.negative(z, z.apex)

	for _, o := range z.all {
		for i := range o.sets {
			z.records += len(o.sets[i].data)
		}
		if z.children && c.zoneOf(o.name) != z {
			continue
		}
		if err := c.fits(z, o); err != nil {
			return err
		}
		at, where := z.find(o.name)
		if where == delegated && at != o {
			continue
		}
		o.node, o.covers = uint32(len(c.nodes)), uint32(len(c.nodes))
		n := node{name: uint32(len(c.wire)), length: uint8(len(o.name)), other: z.nodata, missing: z.nxdomain}
		c.wire = append(c.wire, o.name...)
		if o.name != z.apex && !o.wild() && (within(primary, o.name) || within(mailbox, o.name)) {
			n.other, n.missing = c.negative(z, o.name)
		}
		switch {
		case where == delegated:
			c.cut(z, o, &n)
		case o.set(typeCNAME) != nil:
			c.alias(z, o, &n)
		default:
			c.name(z, o, &n)
		}
		c.close(&n)
		c.nodes, c.names = append(c.nodes, n), append(c.names, o.name)
		if o.wild() && o.set(typeCNAME) != nil && n.kind&kindAlias != 0 {
			c.returns(z, o)
		}
		if len(c.wire) > math.MaxUint32-maxTCPSize {
			return fmt.Errorf("%s: the answers need more than 4 GiB", *z.soa.where.file)
		}
	}
	for _, o := range z.all {
		if o.wild() && o.name != z.apex && o.node != 0 {
			c.nodes[z.owners[parent(o.name)].node].wildcard = o.covers
		}
	}
	return nil
}

// fits refuses an RRset that is too large for any message: over TCP, with an
// OPT record and a cookie of the greatest length.
func (c *compiler) fits(z *zone, o *owner) error {
	for i := range o.sets {
		set := &o.sets[i]
		most := 0 // without compression
		for _, data := range set.data {
			most += len(o.name) + 10 + len(data)
		}
		room := maxTCPSize - HeaderSize - 4 - optSize - 4 - maxCookie
		name, suffix := o.name, o.name
		if o.wild() {
			name, suffix, room = "", parent(o.name), room-maxName
		} else {
			room -= len(o.name)
		}
		if most <= room {
			continue
		}
		r := &c.renderer
		r.start(suffix, name != "")
		r.shifts = c.redirects
		if r.append(placed{name, set, set.ttl, true}, 0) && len(r.buf) <= room {
			continue
		}
		return set.where.errorf("%s has %d %s records: more than a message has room for (RFC 1035 section 4.2.2)",
			text(o.name), len(set.data), appendType(nil, set.rtype))
	}
	return nil
}

// close takes the answers from first on for the node's.
func (c *compiler) close(n *node) {
	if own := c.answers[n.first:]; len(own) > 0 {
		n.only = own[0]
		c.answers = slices.Delete(c.answers, int(n.first), int(n.first)+1)
	}
	n.count = uint16(uint32(len(c.answers)) - n.first)
}

// negative makes the answers where the type, or the name, is not there.
// Names of the SOA record are compressed by the suffix that all names have
// which the answers are for.
func (c *compiler) negative(z *zone, suffix string) (nodata, nxdomain uint32) {
	f := &found{authority: true}
	f.add(1, placed{z.apex, &z.soa, z.negative, true})
	a := c.render(f, suffix, false)
	nodata = c.keep(a)
	a.head |= uint16(rcodeNXDomain)
	return nodata, c.keep(a)
}

// name makes the answers of a name that has records of its own, or none.
func (c *compiler) name(z *zone, o *owner, n *node) {
	if dname := o.set(typeDNAME); dname != nil {
		n.kind |= kindRedirect
		n.missing = uint32(len(c.aliases))
		f := &found{authority: true}
		f.add(0, placed{o.name, dname, dname.ttl, true})
		c.aliases = append(c.aliases, redirection{c.keep(c.render(f, o.name, false)), z.apex})
	}
	n.first = uint32(len(c.answers))
	for i := range o.sets {
		n.kind |= kindAny
		c.keep(c.resolved(z, o, o.sets[i].rtype))
	}
	if o.name != z.apex {
		return
	}
	n.kind |= kindApex
	if z.above != nil { // DS records are the parent's (RFC 4035 section 3.1.4.1)
		above, where := z.above.find(z.apex)
		f := z.above.resolve(z.apex, z.apex, above, where, typeDS)
		c.keep(c.render(f, z.apex, true).of(typeDS))
		if where == delegated {
			f := &found{}
			z.above.refer(f, above)
			c.keep(c.render(f, above.name, false).of(typeFromAbove))
		}
	}
}

// alias makes the answers of a name that has a CNAME record.
func (c *compiler) alias(z *zone, o *owner, n *node) {
	n.kind |= kindAny | kindAlias
	n.other = c.keep(c.resolved(z, o, 0))
	n.first = uint32(len(c.answers))
	c.keep(c.resolved(z, o, typeCNAME))
	for _, rtype := range z.special(o.name) {
		c.keep(c.resolved(z, o, rtype))
	}
}

// returns makes nodes of the names that the chain of aliases from a wildcard
// comes to and that the wildcard covers, or that are its own. Asked for one of
// these, what answers for all others would have its CNAME record twice.
func (c *compiler) returns(z *zone, wildcard *owner) {
	for _, name := range z.resolve(wildcard.name, "", wildcard, present, 0).visited[1:] {
		at, where := z.find(name)
		n := node{name: uint32(len(c.wire)), length: uint8(len(name)), missing: z.nxdomain}
		switch {
		case where == absent && z.wildcard(at) == wildcard && (!z.children || c.zoneOf(name) == z):
			n.wildcard = wildcard.covers
		case where == present && at == wildcard: // its own name
			c.names[wildcard.covers] = ""
			wildcard.node = uint32(len(c.nodes))
		default:
			continue
		}
		c.wire = append(c.wire, name...)
		c.alias(z, &owner{name: name, sets: wildcard.sets, alone: true}, &n)
		c.close(&n)
		c.nodes, c.names = append(c.nodes, n), append(c.names, name)
	}
}

// cut makes the answers of a delegated name: what is asked about it and the
// names below it gets the referral, but for its DS records (RFC 4035 section
// 3.1.4.1).
func (c *compiler) cut(z *zone, o *owner, n *node) {
	nodata, f := n.other, new(found)
	z.refer(f, o)
	n.other = c.keep(c.render(f, o.name, false))
	n.missing = n.other
	n.first = uint32(len(c.answers))
	if o.set(typeDS) == nil {
		c.keep(c.answers[nodata].of(typeDS))
		return
	}
	c.keep(c.resolved(z, o, typeDS))
}

func (c *compiler) keep(a answer) uint32 {
	c.answers = append(c.answers, a)
	return uint32(len(c.answers) - 1)
}

func (a answer) of(rtype uint16) answer {
	a.rtype = rtype
	return a
}

// resolved renders what a question about an owner comes to, for all names that
// it covers if it is a wildcard.
func (c *compiler) resolved(z *zone, o *owner, rtype uint16) answer {
	where := present
	if o.set(typeNS) != nil && o.name != z.apex {
		where = delegated
	}
	if o.wild() && !o.alone {
		return c.render(z.resolve(o.name, "", o, where, rtype), parent(o.name), false).of(rtype)
	}
	return c.render(z.resolve(o.name, o.name, o, where, rtype), o.name, true).of(rtype)
}

// render writes the template of an answer.
func (c *compiler) render(f *found, name string, fixed bool) answer {
	a := answer{at: uint32(len(c.wire)), head: uint16(f.rcode)}
	if f.authority {
		a.head |= flagAA
	}
	r := &c.renderer
	r.start(name, fixed)
	r.shifts = c.redirects
all:
	for section, sets := range f.sections {
		for _, p := range sets {
			size, moves := len(r.buf), len(r.moves)
			if r.append(p, uint8(section)) {
				continue
			}
			r.buf, r.moves = r.buf[:size], r.moves[:moves]
			if p.must {
				a.head |= flagTC // more than any message has room for
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
	if len(r.moves) > 0 {
		a.moves = uint32(len(c.moves))
		c.moves = append(append(c.moves, uint16(len(r.moves))), r.moves...)
	}
	if len(r.parts) > 1 {
		a.parts = uint32(len(c.parts))
		c.parts = append(c.parts, r.parts...)
	}
	return a
}
