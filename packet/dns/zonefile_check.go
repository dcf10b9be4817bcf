package dns

import (
	"encoding/binary"
	"fmt"

	"github.com/udpshard/udpshard/internal/masterfile"
)

// check checks the rules for zones, and fills in the fields that follow from the records.
func (z *zone) check() error {
	if z.owners.At(apexEntry).has&hasSOA == 0 {
		return fmt.Errorf("%s: no SOA record of %s", z.file, nameText(z.apex))
	}
	for i, n := uint32(0), uint32(z.owners.Len()); i < n; i++ {
		if err := z.checkOwner(i); err != nil {
			return err
		}
		z.addEmptyNonTerminals(z.nameOf(i))
	}
	z.soa = *z.owner(apexEntry).set(typeSOA)
	if z.owners.At(apexEntry).has&hasNS == 0 {
		return z.soa.position.Errorf("the zone %s has no NS record at its apex", nameText(z.apex))
	}
	data := []byte(z.soa.data[0])
	z.negativeTTL = min(z.soa.ttl, binary.BigEndian.Uint32(data[len(data)-4:]))
	return nil
}

// checkOwner checks the records of a name, and counts them. Most names have a single record that
// needs no check.
func (z *zone) checkOwner(at uint32) error {
	isApex, wildcard, e := at == apexEntry, isWildcard(z.nameOf(at)), z.owners.At(at)
	if z.records.At(e.last-1).previous == 0 && !wildcard && e.has&hasSOA == 0 && z.has&hasDNAME == 0 {
		z.numRecords++
		return nil
	}
	o := z.owner(at)
	for i := range o.sets {
		z.numRecords += len(o.sets[i].data)
	}
	soa, cname, dname, ds := o.set(typeSOA), o.set(typeCNAME), o.set(typeDNAME), o.set(typeDS)
	switch {
	case soa != nil && !isApex:
		return soa.position.Errorf("a second SOA record, of %s", nameText(o.name))
	case soa != nil && len(soa.data) > 1:
		return z.lastOf(at, typeSOA).Errorf("a second SOA record")
	case ds != nil && isApex:
		return ds.position.Errorf("DS at the apex belongs to the zone above (RFC 4035 section 2.4)")
	case cname != nil && len(cname.data) > 1:
		return cname.position.Errorf("%s has several CNAME records (RFC 2181 section 10.1)", nameText(o.name))
	case cname != nil && len(o.sets) > 1:
		return cname.position.Errorf("%s has a CNAME record and other records (RFC 1034 section 3.6.2)", nameText(o.name))
	case dname != nil && len(dname.data) > 1:
		return dname.position.Errorf("%s has several DNAME records (RFC 6672 section 2.4)", nameText(o.name))
	case dname != nil && o.set(typeNS) != nil && !isApex:
		return dname.position.Errorf("%s has a DNAME record and is delegated (RFC 6672 section 2.3)", nameText(o.name))
	}
	if ns := o.set(typeNS); ns != nil && wildcard && !isApex {
		z.warnings.add(ns.position.Errorf("NS at a wildcard: servers treat it differently (RFC 4592 section 4.2)"))
	}
	if up := z.dnameAbove(o.name); up != "" && len(o.sets) > 0 {
		z.warnings.add(o.sets[0].position.Errorf("%s is below the DNAME record of %s: its records are ignored (RFC 6672 section 2.4)", nameText(o.name), nameText(up)))
		for i := range o.sets {
			z.numRecords -= len(o.sets[i].data)
		}
	}
	return nil
}

// dnameAbove returns the closest name above that has a DNAME record; empty is none.
func (z *zone) dnameAbove(name string) string {
	for up := name; z.has&hasDNAME != 0 && up != z.apex; {
		up = parentName(up)
		if at, ok := z.find(up); ok && z.owners.At(at).has&hasDNAME != 0 {
			return up
		}
	}
	return ""
}

// lastOf returns the position of the last record of a type.
func (z *zone) lastOf(at uint32, rtype uint16) (last masterfile.Position) {
	for i := z.owners.At(at).last; i != 0; {
		r := z.records.At(i - 1)
		if r.rtype == rtype {
			return masterfile.Position{File: z.files[r.file], Line: int(r.line)}
		}
		i = r.previous
	}
	return last
}
