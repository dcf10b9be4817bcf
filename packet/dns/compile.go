package dns

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
)

// compiler builds a servedZone.
type compiler struct {
	servedZone
	unlisted  map[uint32]bool // nodes whose name another node has
	wildcards []wildcardNode
	renderer  renderer
	redirects bool // the zone has a DNAME record
}

// wildcardNode is the node for the names that a wildcard covers.
type wildcardNode struct {
	name string // of the wildcard
	node uint32
}

// newCompiler returns a compiler without nodes, with room for nodes and their answers.
func newCompiler(nodes, wire int) compiler {
	return compiler{
		servedZone: servedZone{
			nodes: make([]node, 1, nodes+1), wire: make([]byte, 0, wire),
			answers: make([]answer, 1), relocations: make([]uint16, 1), parts: make([]templatePart, 1),
		},
		unlisted: make(map[uint32]bool),
	}
}

// compile renders the answers of a zone. children are the zones below.
func (z *zone) compile(children []delegation) (*servedZone, error) {
	for i := range children {
		z.delegate(&children[i])
	}
	c := newCompiler(z.owners.Len(), z.wireSize())
	c.apex, c.redirects = strings.Clone(z.apex), z.has&hasDNAME != 0
	if err := c.compileZone(z); err != nil {
		return nil, err
	}
	c.table = newTable(len(c.nodes) - 1)
	for i := 1; i < len(c.nodes); i++ {
		if name := c.nameOf(&c.nodes[i]); !c.unlisted[uint32(i)] {
			c.table.insert(name, uint32(i))
			c.maxLabels = max(c.maxLabels, countLabels(name))
		}
	}
	data := z.soa.data[0]
	serial := binary.BigEndian.Uint32([]byte(data[len(data)-20:]))
	c.info = Zone{nameText(z.apex), serial, z.numRecords, z.file}
	c.delegation = z.delegation()
	done := c.servedZone
	done.nodes, done.answers, done.wire = trim(done.nodes), trim(done.answers), trim(done.wire)
	return &done, nil
}

// trim returns a copy if a slice has much more capacity than elements.
func trim[T any](s []T) []T {
	if cap(s)-len(s) > len(s)/8 {
		return append(make([]T, 0, len(s)), s...)
	}
	return s
}

// wireSize returns an estimate of the octets of names and templates, a little too high for names with
// addresses only.
func (z *zone) wireSize() (n int) {
	for i := range uint32(z.owners.Len()) {
		n += int(z.owners.At(i).length)
	}
	for i := range uint32(z.records.Len()) {
		n += 12 + int(z.records.At(i).size)
	}
	return min(n+n/64, 1<<30) + 2048
}

// maxAnswers and maxAnswer limit the bytes of all answers: a constant part, and a part for each
// record. An answer to an alias has the records of the alias's target, so a small file with many
// aliases of a large set could need all memory. Names with an address need some 100 bytes.
const (
	maxAnswers = 16 << 20
	maxAnswer  = 2 << 10
)

// compileZone makes the nodes of a zone.
func (c *compiler) compileZone(z *zone) error {
	primary := targetName(typeSOA, z.soa.data[0])
	z.soaNames = [2]string{primary, targetName(typeSOA, z.soa.data[0][len(primary):])}
	z.noDataAnswer, z.nxdomainAnswer = c.negativeAnswers(z, z.apex)
	most := min(maxAnswers+z.records.Len()*maxAnswer, math.MaxUint32-maxTCPSize)
	for i := range uint32(z.owners.Len()) {
		o := z.owner(i)
		if err := c.checkSizes(z, o); err != nil {
			return err
		}
		c.compileOwner(z, o)
		if len(c.wire) > most {
			return fmt.Errorf("%s: the answers need more than %d MiB, since too many names are aliases of large records", z.file, most>>20)
		}
	}
	for _, w := range c.wildcards {
		parent, _ := z.find(parentName(w.name))
		c.nodes[z.owners.At(parent).node].wildcard = w.node
	}
	return nil
}

// compileOwner makes the node of an owner, unless a delegation or a DNAME record above hides the
// owner.
func (c *compiler) compileOwner(z *zone, o *owner) {
	at, state := o.entry, present
	if z.has&(hasNS|hasDNAME) != 0 {
		at, state = z.locate(o.name)
	}
	if state == redirected || state == delegated && at != o.entry {
		return
	}
	z.owners.At(o.entry).node = uint32(len(c.nodes))
	covered := o.isWildcard() && o.name != z.apex
	if covered {
		c.wildcards = append(c.wildcards, wildcardNode{o.name, uint32(len(c.nodes))})
	}
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
	c.addNode(n)
	if covered && n.kind&kindAlias != 0 {
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
func (c *compiler) addNode(n node) {
	if own := c.answers[n.moreAnswers:]; len(own) > 0 {
		n.firstAnswer = own[0]
		c.answers = slices.Delete(c.answers, int(n.moreAnswers), int(n.moreAnswers)+1)
	}
	n.numAnswers = uint16(uint32(len(c.answers)) - n.moreAnswers)
	c.nodes = append(c.nodes, n)
}

// compileName makes the answers of a name without a CNAME record. The name may have no records.
func (c *compiler) compileName(z *zone, o *owner, n *node) {
	if dname := o.set(typeDNAME); dname != nil {
		n.kind |= kindRedirect
		n.missingAnswer = uint32(len(c.aliases))
		f := &lookupResult{authority: true}
		f.addPlacement(0, placement{o.name, dname, dname.ttl, true})
		c.aliases = append(c.aliases, c.addAnswer(c.render(f, o.name, false)))
	}
	n.moreAnswers = uint32(len(c.answers))
	for i := range o.sets {
		n.kind |= kindAny
		c.addAnswer(c.renderResolved(z, o, o.sets[i].rtype))
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
	self := z.owners.At(wildcard.entry)
	coveredNode := self.node
	for _, name := range z.resolve(wildcard.name, "", wildcard, present, 0).visited[1:] {
		var below uint32 // node for the names below
		switch at, state := z.locate(name); {
		case state == absent && "\x01*"+z.nameOf(at) == wildcard.name:
			below = coveredNode
		case state == present && at == wildcard.entry: // the wildcard's own name
			c.unlisted[coveredNode] = true
			self.node = uint32(len(c.nodes))
		default:
			continue
		}
		n := c.newNode(z, name)
		n.wildcard = below
		c.compileAlias(z, &owner{name: name, sets: wildcard.sets, entry: wildcard.entry, onlySelf: true}, &n)
		c.addNode(n)
	}
}

// compileDelegation makes the answers of a delegated name. Queries for the name and for names below
// get the referral, except queries for DS records of the name (RFC 4035 section 3.1.4.1).
func (c *compiler) compileDelegation(z *zone, o *owner, n *node) {
	nodata, f, suffix := n.noDataAnswer, new(lookupResult), o.name
	if o.isWildcard() {
		suffix = parentName(o.name) // of the names that the wildcard covers
	}
	z.addReferral(f, o)
	n.noDataAnswer = c.addAnswer(c.render(f, suffix, false))
	n.missingAnswer = n.noDataAnswer
	n.moreAnswers = uint32(len(c.answers))
	if o.set(typeDS) == nil {
		c.addAnswer(c.answers[nodata].withType(typeDS))
		return
	}
	c.addAnswer(c.renderResolved(z, o, typeDS))
}
