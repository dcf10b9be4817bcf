package dns

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// zone is the content of a zone's file, from reading to compiling. Names are in wire form and in
// lower case.
type zone struct {
	apex           string
	owners         map[string]*owner // with empty non-terminals
	sortedOwners   []*owner          // by name, then empty non-terminals
	soa            rrset
	negativeTTL    uint32 // seconds for which clients may cache negative answers (RFC 2308 section 5)
	children       bool   // another zone begins within the zone
	redirects      bool   // the zone has a DNAME record
	file           string // name in errors
	records        int
	above          *zone  // the closest zone that contains the zone
	noDataAnswer   uint32 // index of the answer for a missing type; nxdomainAnswer: for a missing name
	nxdomainAnswer uint32
	soaNames       [2]string // primary server and mailbox of the SOA record
}

// owner is a name with its records.
type owner struct {
	name        string
	sets        []rrset // by type
	node        uint32
	coveredNode uint32 // of a wildcard: node for the names that the wildcard covers
	onlySelf    bool   // of a wildcard: the sets are for the wildcard's own name only
}

// rrset is all records of a name and a type (RFC 2181 section 5).
type rrset struct {
	rtype    uint16
	ttl      uint32
	data     []string // as in the wire, not compressed, in canonical order (RFC 4034 section 6.3)
	position position // of the first record
}

// position is the file and line of a record.
type position struct {
	file *string
	line int
}

func (p position) String() string { return fmt.Sprintf("%s:%d", *p.file, p.line) }

func (p position) errorf(format string, args ...any) error {
	return fmt.Errorf("%s: "+format, append([]any{p}, args...)...)
}

// isWildcard reports whether the name is a wildcard (RFC 4592 section 2.1.1).
func (o *owner) isWildcard() bool { return strings.HasPrefix(o.name, "\x01*") }

func (o *owner) set(rtype uint16) *rrset {
	for i := range o.sets {
		if o.sets[i].rtype == rtype {
			return &o.sets[i]
		}
	}
	return nil
}

// addEmptyNonTerminals adds the empty non-terminals above a name (RFC 8020 section 2).
func (z *zone) addEmptyNonTerminals(name string) {
	for up := name; up != z.apex; {
		up = parentName(up)
		if z.owners[up] != nil {
			return
		}
		o := &owner{name: up}
		z.owners[up] = o
		z.sortedOwners = append(z.sortedOwners, o)
	}
}

// sortSets sorts sets and records, and removes duplicate records.
func (o *owner) sortSets() {
	slices.SortFunc(o.sets, func(a, b rrset) int { return cmp.Compare(a.rtype, b.rtype) })
	for i := range o.sets {
		set := &o.sets[i]
		if len(set.data) == 1 {
			continue
		}
		slices.SortStableFunc(set.data, func(a, b string) int {
			return strings.Compare(canonicalData(set.rtype, a), canonicalData(set.rtype, b))
		})
		set.data = slices.Clip(slices.CompactFunc(set.data, func(a, b string) bool {
			return canonicalData(set.rtype, a) == canonicalData(set.rtype, b)
		}))
	}
}

func sortOwners(owners map[string]*owner) []*owner {
	all := make([]*owner, 0, len(owners))
	for _, o := range owners {
		all = append(all, o)
	}
	slices.SortFunc(all, func(a, b *owner) int { return strings.Compare(a.name, b.name) })
	return all
}

// delegate adds the delegation of a zone below that is loaded too (RFC 1034 sections 4.2.1 and
// 4.3.2, step 3a). If z has no NS records for the child's apex, z gets the child's NS records, and
// the addresses of their servers.
func (z *zone) delegate(child *zone) {
	at, state := z.findOwner(child.apex)
	if state == delegated || state == redirected || child.owners[child.apex].isWildcard() {
		return
	}
	cut := &owner{name: child.apex}
	if state == present {
		cut.sets = at.sets
	}
	ns := *child.owners[child.apex].set(typeNS)
	cut.sets = append(slices.Clone(cut.sets), ns)
	cut.sortSets()
	z.owners[child.apex] = cut
	for _, data := range ns.data {
		name := targetName(typeNS, data)
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
		glue.sortSets()
		z.owners[name] = glue
	}
	z.addEmptyNonTerminals(child.apex)
}
