package dns

import (
	"net/netip"
	"slices"
)

// sinkTTL is for how many seconds an answer of a sinkhole is good, and that
// there is none: a client that was sent there by mistake is soon free again.
const sinkTTL = 60

// WithSinkhole returns the same zones, with a sinkhole for all names that are in none of them.
// The sinkhole answers every question for A and AAAA records with those of addresses that are of
// the kind, and TTL 60. Where there are none, and for other types, it says that the name has no
// such record, with an SOA record of the name's own by which that is remembered for as long
// (RFC 2308 section 5).
func (z *Zones) WithSinkhole(addresses []netip.Addr) *Zones {
	var c compiler
	c.moves, c.parts = make([]uint16, 1), make([]part, 1)
	v4, v6 := &rrset{rtype: typeA}, &rrset{rtype: typeAAAA}
	for _, a := range addresses {
		a = a.Unmap()
		set := v6
		if a.Is4() {
			set = v4
		}
		if data := string(a.AsSlice()); !slices.Contains(set.data, data) {
			set.data = append(set.data, data)
		}
	}
	soa := &rrset{rtype: typeSOA, data: []string{"\x09localhost\x00\x06nobody\x07invalid\x00" +
		"\x00\x00\x00\x01\x00\x00\x0e\x10\x00\x00\x04\xb0\x00\x09\x3a\x80\x00\x00\x00\x3c"}} // 1, 3600 1200 604800 sinkTTL
	n := node{other: c.keep(c.sunk(1, soa)), first: 1}
	for _, set := range []*rrset{v4, v6} {
		if len(set.data) > 0 {
			n.kind = kindAny
			c.keep(c.sunk(0, set))
		}
	}
	c.close(&n)
	c.nodes = []node{n}

	with := *z
	with.sink = &c.Zones
	return &with
}

func (c *compiler) sunk(section int, set *rrset) answer {
	f := &found{authority: true}
	f.add(section, placed{"", set, sinkTTL, true})
	return c.render(f, "\x00", false).of(set.rtype)
}
