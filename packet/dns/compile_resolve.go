package dns

import "slices"

// lookupResult is the result of a lookup in a zone (RFC 1034 section 4.3.2).
type lookupResult struct {
	rcode     responseCode
	authority bool // the AA bit
	sections  [3][]placement
	visited   []string // names in the alias chain
}

// nameState says how a zone has a name, and which owner locate returns.
type nameState int

const (
	present    nameState = iota // the owner of the name
	absent                      // the owner of the closest encloser (RFC 4592 section 3.3.1)
	delegated                   // the owner of a delegation, at the name or above
	redirected                  // the owner of a DNAME record, above the name
)

// maxChain is the longest alias chain. BIND stops after 16 restarts of a query; resolvers give up a
// little above 16.
const maxChain = 16

// locate returns the index in owners of a name of the zone, or of the owner that the state says.
func (z *zone) locate(name string) (at uint32, state nameState) {
	if z.has&(hasNS|hasDNAME) == 0 {
		if at, ok := z.find(name); ok {
			return at, present
		}
	}
	var path [maxLabels + 1]string
	n := 0
	for s := name; s != z.apex; s = parentName(s) {
		path[n] = s
		n++
	}
	at = apexEntry
	for n--; n >= 0; n-- {
		if z.owners.At(at).has&hasDNAME != 0 {
			return at, redirected
		}
		next, ok := z.find(path[n])
		if !ok {
			return at, absent
		}
		if at = next; z.owners.At(at).has&hasNS != 0 {
			return at, delegated
		}
	}
	return at, present
}

// isCut reports whether an owner is a delegation.
func (z *zone) isCut(o *owner) bool { return o.set(typeNS) != nil && o.name != z.apex }

func (z *zone) findOwner(name string) (*owner, nameState) {
	at, state := z.locate(name)
	return z.owner(at), state
}

// wildcardOf returns the wildcard below the closest encloser of a name, or nil. The state says
// whether the wildcard is a delegation of all names that it covers, as in Knot.
func (z *zone) wildcardOf(encloser *owner) (*owner, nameState) {
	at, ok := z.find("\x01*" + encloser.name)
	switch {
	case !ok:
		return nil, absent
	case z.owners.At(at).has&hasNS != 0:
		return z.owner(at), delegated
	}
	return z.owner(at), present
}

// resolve answers a query for a name of the zone with the algorithm of RFC 1034 section 4.3.2, as
// changed by RFC 4592 section 3.3.1 and RFC 6672 section 3.2. start is the question's name in the
// answer, or empty for a template for all names that a wildcard covers.
func (z *zone) resolve(name, start string, o *owner, state nameState, rtype uint16) *lookupResult {
	f := &lookupResult{authority: true}
	ownerName := start
	for {
		f.visited = append(f.visited, ownerName) // empty for a wildcard's template
		covered := state == absent
		if covered {
			if o, state = z.wildcardOf(o); o == nil {
				f.rcode = rcodeNXDomain
				f.addPlacement(1, placement{z.apex, &z.soa, z.negativeTTL, true})
				return f
			}
		}
		var next string
		switch state {
		case delegated:
			if rtype == typeDS && (covered || o.name == name) {
				z.addRecords(f, ownerName, o, rtype)
				return f
			}
			f.authority = len(f.sections[0]) > 0
			z.addReferral(f, o)
			return f
		case redirected:
			dname := o.set(typeDNAME)
			if !f.hasDNAME(o.name) {
				f.addPlacement(0, placement{o.name, dname, dname.ttl, true})
			}
			to := targetName(typeDNAME, dname.data[0])
			if next = name[:len(name)-len(o.name)] + to; len(next) > maxName {
				f.rcode = rcodeYXDomain // RFC 6672 section 2.2
				return f
			}
			f.addPlacement(0, placement{ownerName, &rrset{rtype: typeCNAME, data: []string{next}}, dname.ttl, true})
			if rtype == typeCNAME {
				return f
			}
		default:
			cname := o.set(typeCNAME)
			if cname == nil || rtype == typeCNAME || rtype == typeANY {
				z.addRecords(f, ownerName, o, rtype)
				return f
			}
			f.addPlacement(0, placement{ownerName, cname, cname.ttl, true})
			next = targetName(typeCNAME, cname.data[0])
		}
		if !isWithin(next, z.apex) || len(f.visited) > maxChain || f.visitedName(next) {
			return f
		}
		name, ownerName = next, next
		o, state = z.findOwner(name)
	}
}

func (f *lookupResult) addPlacement(section int, p placement) {
	f.sections[section] = append(f.sections[section], p)
}

func (f *lookupResult) visitedName(name string) bool { return slices.Contains(f.visited, name) }

// hasDNAME reports whether the answer already has the DNAME record of a name: a query may ask for
// type DNAME.
func (f *lookupResult) hasDNAME(name string) bool {
	return slices.ContainsFunc(f.sections[0], func(p placement) bool {
		return p.set.rtype == typeDNAME && p.name == name
	})
}

// addRecords adds the records of a name and type, or the SOA record if the name has none.
func (z *zone) addRecords(f *lookupResult, ownerName string, o *owner, rtype uint16) {
	set := o.set(rtype)
	if set == nil {
		f.addPlacement(1, placement{z.apex, &z.soa, z.negativeTTL, true})
		return
	}
	if rtype != typeDNAME || !f.hasDNAME(ownerName) {
		f.addPlacement(0, placement{ownerName, set, set.ttl, true})
	}
	z.addAddresses(f, set, ownerName, o, func(string) bool { return false })
}

// addReferral adds a delegation. A client needs the addresses of servers in the delegated zone:
// without them the reply is truncated (RFC 9471 section 3.1).
func (z *zone) addReferral(f *lookupResult, cut *owner) {
	set := cut.set(typeNS)
	f.addPlacement(1, placement{cut.name, set, set.ttl, true})
	z.addAddresses(f, set, cut.name, cut, func(name string) bool { return isWithin(name, cut.name) })
}

// addAddresses adds the addresses of the names that NS, MX, SRV, SVCB and HTTPS records point to
// (RFC 1034 section 3.6, RFC 2782): first the required addresses. For SVCB and HTTPS, the name's
// records of the same type are added too (RFC 9460 section 4.1). Names outside the zone get no
// addresses: clients would not trust them. The set is from's, and has ownerName in the reply.
func (z *zone) addAddresses(f *lookupResult, set *rrset, ownerName string, from *owner, isRequired func(name string) bool) {
	types, ownService := []uint16{typeA, typeAAAA}, false
	switch set.rtype {
	case typeNS, typeMX, typeSRV:
	case typeSVCB, typeHTTPS:
		if ownService = slices.ContainsFunc(set.data, isOwnService); ownService {
			f.addSets(ownerName, from, types, false)
		}
		types = append(types, set.rtype)
	default:
		return
	}
	added := make(map[string]bool)
	for _, required := range []bool{true, false} {
		for _, data := range set.data {
			name := targetName(set.rtype, data)
			if !isWithin(name, z.apex) || isRequired(name) != required || added[name] {
				continue
			}
			if name == "\x00" && set.rtype != typeNS {
				continue // no name (RFC 7505 section 3, RFC 2782, RFC 9460 section 2.5)
			}
			added[name] = true
			at, state := z.locate(name)
			var o *owner
			switch state {
			case present:
				o = z.owner(at)
			case absent:
				o, _ = z.wildcardOf(z.owner(at))
			case delegated:
				if glue, ok := z.find(name); ok {
					o = z.owner(glue)
				}
			}
			if o == nil || ownService && o.name == from.name { // the owner's addresses are there once
				continue
			}
			f.addSets(name, o, types, required)
		}
	}
}

// addSets adds the owner's records of the types to the additional section.
func (f *lookupResult) addSets(name string, o *owner, types []uint16, required bool) {
	for _, rtype := range types {
		if set := o.set(rtype); set != nil {
			f.addPlacement(2, placement{name, set, set.ttl, required})
		}
	}
}

// chainEndTypes returns the types with a special answer at the end of the alias chain from name.
func (z *zone) chainEndTypes(name string) (types []uint16) {
	var f lookupResult
	for isWithin(name, z.apex) && len(f.visited) <= maxChain && !f.visitedName(name) {
		f.visited = append(f.visited, name)
		o, state := z.findOwner(name)
		switch state {
		case absent:
			if o, state = z.wildcardOf(o); o == nil {
				return nil
			}
			if state == delegated {
				return []uint16{typeDS}
			}
		case delegated:
			if o.name == name {
				return []uint16{typeDS}
			}
			return nil
		case redirected:
			name = name[:len(name)-len(o.name)] + targetName(typeDNAME, o.set(typeDNAME).data[0])
			if len(name) > maxName {
				return nil
			}
			continue
		}
		cname := o.set(typeCNAME)
		if cname == nil {
			for i := range o.sets {
				types = append(types, o.sets[i].rtype)
			}
			return types
		}
		name = targetName(typeCNAME, cname.data[0])
	}
	return nil
}
