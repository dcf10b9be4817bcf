package dns

import (
	"encoding/binary"
	"fmt"
)

// check checks the rules for zones, and fills in the fields that followAlias from the records.
func (z *zone) check(name string, apexes []position) error {
	if z.apex == "" {
		return fmt.Errorf("%s: no SOA record", name)
	}
	for _, o := range z.owners {
		o.sortSets()
	}
	apex := z.owners[z.apex]
	z.soa = *apex.set(typeSOA)
	z.sortedOwners = sortOwners(z.owners)
	for _, o := range z.sortedOwners {
		if set := o.set(typeSOA); set != nil && o != apex {
			return set.position.errorf("a second SOA record, of %s", nameText(o.name))
		} else if set != nil && len(set.data) > 1 {
			return apexes[1].errorf("a second SOA record")
		}
		if !isWithin(o.name, z.apex) {
			return o.sets[0].position.errorf("%s is outside the zone %s", nameText(o.name), nameText(z.apex))
		}
		if err := z.checkOwner(o); err != nil {
			return err
		}
		z.addEmptyNonTerminals(o.name)
	}
	if apex.set(typeNS) == nil {
		return z.soa.position.errorf("the zone %s has no NS record at its apex", nameText(z.apex))
	}
	if set := apex.set(typeDS); set != nil {
		return set.position.errorf("DS at the apex belongs to the zone above (RFC 4035 section 2.4)")
	}
	data := []byte(z.soa.data[0])
	z.negativeTTL = min(z.soa.ttl, binary.BigEndian.Uint32(data[len(data)-4:]))
	return nil
}

func (z *zone) checkOwner(o *owner) error {
	cname, dname := o.set(typeCNAME), o.set(typeDNAME)
	z.redirects = z.redirects || dname != nil
	switch {
	case cname != nil && len(cname.data) > 1:
		return cname.position.errorf("%s has several CNAME records (RFC 2181 section 10.1)", nameText(o.name))
	case cname != nil && len(o.sets) > 1:
		return cname.position.errorf("%s has a CNAME record and other records (RFC 1034 section 3.6.2)", nameText(o.name))
	case dname != nil && len(dname.data) > 1:
		return dname.position.errorf("%s has several DNAME records (RFC 6672 section 2.4)", nameText(o.name))
	case dname != nil && o.set(typeNS) != nil && o.name != z.apex:
		return dname.position.errorf("%s has a DNAME record and is delegated (RFC 6672 section 2.3)", nameText(o.name))
	}
	if o.isWildcard() {
		for _, set := range o.sets {
			if set.rtype == typeNS || set.rtype == typeDNAME {
				return set.position.errorf("%s at a wildcard is discouraged (RFC 4592 section 4), and not supported", appendType(nil, set.rtype))
			}
		}
	}
	for up := o.name; up != z.apex; {
		up = parentName(up)
		if above := z.owners[up]; above != nil && above.set(typeDNAME) != nil {
			return o.sets[0].position.errorf("%s is below the DNAME record of %s (RFC 6672 section 2.4)", nameText(o.name), nameText(up))
		}
	}
	return nil
}
