package dns

import (
	"net/netip"
	"slices"
)

// sinkholeTTL is the TTL in seconds of a sinkhole's answers, positive and negative: a client that
// was sent to the sinkhole by mistake is soon free again.
const sinkholeTTL = 60

// WithSinkhole returns the same zones, with a sinkhole for all names outside the zones. The
// sinkhole answers a query for A or AAAA records with the addresses of the type, and TTL 60.
// Without such addresses, and for other types, the answer is that the name has no such record, with
// an SOA record for the name so that the client caches the answer for 60 seconds too (RFC 2308
// section 5). A query for SOA records gets that SOA record.
func (z *Zones) WithSinkhole(addresses []netip.Addr) *Zones {
	c := newCompiler(1, 0)
	c.nodes, c.answers = nil, nil
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
		"\x00\x00\x00\x01\x00\x00\x0e\x10\x00\x00\x04\xb0\x00\x09\x3a\x80\x00\x00\x00\x3c"}} // 1, 3600 1200 604800 sinkholeTTL
	n := node{noDataAnswer: c.addAnswer(c.sinkholeAnswer(1, soa)), moreAnswers: 1, kind: kindAny}
	for _, set := range []*rrset{v4, v6, soa} {
		if len(set.data) > 0 {
			c.addAnswer(c.sinkholeAnswer(0, set))
		}
	}
	c.addNode(n)

	with := *z
	with.sinkhole = &c.servedZone
	return &with
}

func (c *compiler) sinkholeAnswer(section int, set *rrset) answer {
	f := &lookupResult{authority: true}
	f.addPlacement(section, placement{"", set, sinkholeTTL, true})
	return c.render(f, "\x00", false).withType(set.rtype)
}
