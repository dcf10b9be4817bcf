package dns

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// compiler builds Zones.
type compiler struct {
	Zones
	names    []string // of nodes; empty if another node has the name
	byApex   map[string]*zone
	renderer renderer

	redirects bool // some zone has a DNAME record
}

func compile(zones []*zone) (*Zones, error) {
	c := compiler{byApex: make(map[string]*zone)}
	c.nodes, c.answers, c.names = make([]node, 1), make([]answer, 1), make([]string, 1)
	c.relocations, c.parts = make([]uint16, 1), make([]templatePart, 1)
	for _, z := range zones {
		if other := c.byApex[z.apex]; other != nil {
			return nil, z.soa.position.errorf("the zone %s is in %s too", nameText(z.apex), *other.soa.position.file)
		}
		c.byApex[z.apex] = z
		c.redirects = c.redirects || z.redirects
	}
	for _, z := range zones {
		if z.apex != "\x00" {
			z.above = c.zoneOf(parentName(z.apex))
		}
		if z.above != nil {
			z.above.children = true
			z.above.delegate(z)
		}
	}
	for _, z := range zones {
		if err := c.compileZone(z); err != nil {
			return nil, err
		}
	}
	c.table = newTable(len(c.nodes) - 1)
	for i, name := range c.names[1:] {
		if name != "" {
			c.table.insert(name, uint32(i+1))
			c.maxLabels = max(c.maxLabels, countLabels(name))
		}
	}
	for _, z := range zones {
		data := z.soa.data[0]
		serial := binary.BigEndian.Uint32([]byte(data[len(data)-20:]))
		c.list = append(c.list, Zone{nameText(z.apex), serial, z.records, z.file})
	}
	done := c.Zones
	done.nodes, done.answers = slices.Clip(done.nodes), slices.Clip(done.answers)
	return &done, nil
}

// zoneOf returns the zone that contains a name, or nil.
func (c *compiler) zoneOf(name string) *zone {
	for {
		if z := c.byApex[name]; z != nil {
			return z
		}
		if name == "\x00" {
			return nil
		}
		name = parentName(name)
	}
}

// compileZone makes the nodes of a zone.
func (c *compiler) compileZone(z *zone) error {
	primary := targetName(typeSOA, z.soa.data[0])
	z.soaNames = [2]string{primary, targetName(typeSOA, z.soa.data[0][len(primary):])}
	z.noDataAnswer, z.nxdomainAnswer = c.negativeAnswers(z, z.apex)
	for _, o := range z.sortedOwners {
		for i := range o.sets {
			z.records += len(o.sets[i].data)
		}
		if z.children && c.zoneOf(o.name) != z {
			continue
		}
		if err := c.checkSizes(z, o); err != nil {
			return err
		}
		c.compileOwner(z, o)
		if len(c.wire) > math.MaxUint32-maxTCPSize {
			return fmt.Errorf("%s: the answers need more than 4 GiB", *z.soa.position.file)
		}
	}
	for _, o := range z.sortedOwners {
		if o.isWildcard() && o.name != z.apex && o.node != 0 {
			c.nodes[z.owners[parentName(o.name)].node].wildcard = o.coveredNode
		}
	}
	return nil
}

// compileOwner makes the node of an owner, unless a delegation above hides the owner.
func (c *compiler) compileOwner(z *zone, o *owner) {
	at, state := z.findOwner(o.name)
	if state == delegated && at != o {
		return
	}
	o.node, o.coveredNode = uint32(len(c.nodes)), uint32(len(c.nodes))
	n := c.newNode(z, o.name)
	if o.name != z.apex && !o.isWildcard() && (isWithin(z.soaNames[0], o.name) || isWithin(z.soaNames[1], o.name)) {
		n.noDataAnswer, n.missingAnswer = c.negativeAnswers(z, o.name)
	}
	switch {
	case state == delegated:
		c.compileDelegation(z, o, &n)
	case o.set(typeCNAME) != nil:
		c.compileAlias(z, o, &n)
	default:
		c.compileName(z, o, &n)
	}
	c.addNode(n, o.name)
	if o.isWildcard() && n.kind&kindAlias != 0 {
		c.addWildcardLoopNodes(z, o)
	}
}

// newNode returns a node for a name of the zone, with the negative answers of the zone.
func (c *compiler) newNode(z *zone, name string) node {
	n := node{name: uint32(len(c.wire)), length: uint8(len(name)), noDataAnswer: z.noDataAnswer, missingAnswer: z.nxdomainAnswer}
	c.wire = append(c.wire, name...)
	return n
}

// addNode adds a node. The answers from n.moreAnswers on belong to the node.
func (c *compiler) addNode(n node, name string) {
	if own := c.answers[n.moreAnswers:]; len(own) > 0 {
		n.firstAnswer = own[0]
		c.answers = slices.Delete(c.answers, int(n.moreAnswers), int(n.moreAnswers)+1)
	}
	n.numAnswers = uint16(uint32(len(c.answers)) - n.moreAnswers)
	c.nodes, c.names = append(c.nodes, n), append(c.names, name)
}

// compileName makes the answers of a name without a CNAME record. The name may have no records.
func (c *compiler) compileName(z *zone, o *owner, n *node) {
	if dname := o.set(typeDNAME); dname != nil {
		n.kind |= kindRedirect
		n.missingAnswer = uint32(len(c.aliases))
		f := &lookupResult{authority: true}
		f.addPlacement(0, placement{o.name, dname, dname.ttl, true})
		c.aliases = append(c.aliases, redirection{c.addAnswer(c.render(f, o.name, false)), z.apex})
	}
	n.moreAnswers = uint32(len(c.answers))
	for i := range o.sets {
		n.kind |= kindAny
		c.addAnswer(c.renderResolved(z, o, o.sets[i].rtype))
	}
	if o.name != z.apex {
		return
	}
	n.kind |= kindApex
	if z.above != nil { // DS records belong to the zone above (RFC 4035 section 3.1.4.1)
		above, state := z.above.findOwner(z.apex)
		f := z.above.resolve(z.apex, z.apex, above, state, typeDS)
		c.addAnswer(c.render(f, z.apex, true).withType(typeDS))
		if state == delegated {
			f := &lookupResult{}
			z.above.addReferral(f, above)
			c.addAnswer(c.render(f, above.name, false).withType(typeFromAbove))
		}
	}
}

// compileAlias makes the answers of a name with a CNAME record.
func (c *compiler) compileAlias(z *zone, o *owner, n *node) {
	n.kind |= kindAny | kindAlias
	n.noDataAnswer = c.addAnswer(c.renderResolved(z, o, 0))
	n.moreAnswers = uint32(len(c.answers))
	c.addAnswer(c.renderResolved(z, o, typeCNAME))
	for _, rtype := range z.chainEndTypes(o.name) {
		c.addAnswer(c.renderResolved(z, o, rtype))
	}
}

// addWildcardLoopNodes makes nodes for the names in a wildcard's alias chain that are the
// wildcard's own name, or that the wildcard covers. For these names the template of the wildcard
// would have the wildcard's CNAME record twice.
func (c *compiler) addWildcardLoopNodes(z *zone, wildcard *owner) {
	for _, name := range z.resolve(wildcard.name, "", wildcard, present, 0).visited[1:] {
		at, state := z.findOwner(name)
		var below uint32 // node for the names below
		switch {
		case state == absent && z.wildcardOf(at) == wildcard && (!z.children || c.zoneOf(name) == z):
			below = wildcard.coveredNode
		case state == present && at == wildcard: // the wildcard's own name
			c.names[wildcard.coveredNode] = ""
			wildcard.node = uint32(len(c.nodes))
		default:
			continue
		}
		n := c.newNode(z, name)
		n.wildcard = below
		c.compileAlias(z, &owner{name: name, sets: wildcard.sets, onlySelf: true}, &n)
		c.addNode(n, name)
	}
}

// compileDelegation makes the answers of a delegated name. Queries for the name and for names below
// get the referral, except queries for DS records of the name (RFC 4035 section 3.1.4.1).
func (c *compiler) compileDelegation(z *zone, o *owner, n *node) {
	nodata, f := n.noDataAnswer, new(lookupResult)
	z.addReferral(f, o)
	n.noDataAnswer = c.addAnswer(c.render(f, o.name, false))
	n.missingAnswer = n.noDataAnswer
	n.moreAnswers = uint32(len(c.answers))
	if o.set(typeDS) == nil {
		c.addAnswer(c.answers[nodata].withType(typeDS))
		return
	}
	c.addAnswer(c.renderResolved(z, o, typeDS))
}
