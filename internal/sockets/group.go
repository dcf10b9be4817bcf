package sockets

import "net/netip"

// Group is the sockets that share an address: the members of a SO_REUSEPORT group, in the order of
// their numbers (see List). Sockets that share an address by SO_REUSEADDR look the same from
// outside; the kernel gives every unicast datagram to the last of them that was bound.
type Group struct {
	Local     netip.AddrPort
	V6Only    bool
	Interface string
	Members   []Watched
}

// Groups sorts sockets into groups, in the order of their first members. Connected sockets belong
// to no group.
func Groups(sockets []Watched) (groups []*Group, connected []Watched) {
	type key struct {
		local  netip.AddrPort
		v6Only bool
		iface  string
	}
	known := make(map[key]*Group)
	for _, s := range sockets {
		if s.Peer.IsValid() {
			connected = append(connected, s)
			continue
		}
		k := key{s.Local, s.V6Only, s.Interface}
		g := known[k]
		if g == nil {
			g = &Group{Local: s.Local, V6Only: s.V6Only, Interface: s.Interface}
			known[k] = g
			groups = append(groups, g)
		}
		g.Members = append(g.Members, s)
	}
	return groups, connected
}

// OneUser reports whether all members belong to one user. The kernel refuses a SO_REUSEPORT group
// of several users.
func (g *Group) OneUser() bool {
	for _, s := range g.Members {
		if s.UID != g.Members[0].UID {
			return false
		}
	}
	return true
}

// Name identifies the group in messages: its address, and its interface if the address has no zone.
func (g *Group) Name() string {
	if g.Interface != "" && g.Local.Addr().Zone() == "" {
		return g.Local.String() + " on " + g.Interface
	}
	return g.Local.String()
}

// Wildcard reports whether the group is bound to an unspecified address.
func (g *Group) Wildcard() bool { return g.Local.Addr().Unmap().IsUnspecified() }

// Takes reports whether the group can receive datagrams that are sent to an address, if no group
// outranks it.
func (g *Group) Takes(to netip.Addr) bool { return g.rank(to) > 0 }

// Outranks reports whether both groups take datagrams that are sent to an address, and the kernel
// gives the datagrams to g. A group on one interface outranks only groups on the same interface:
// datagrams from other interfaces do not reach it.
func (g *Group) Outranks(other *Group, to netip.Addr) bool {
	return other.Takes(to) && g.rank(to) > other.rank(to) && (g.Interface == "" || g.Interface == other.Interface)
}

// Rivals reports whether both groups take the same datagrams, and neither outranks the other. Which
// group receives the datagrams is not visible: with SO_REUSEADDR, the group on the interface; with
// SO_REUSEPORT, the IPv4 group that was bound last, or the IPv6 group that was bound first.
func (g *Group) Rivals(other *Group, to netip.Addr) bool {
	overlap := g.Interface == "" || other.Interface == "" || g.Interface == other.Interface
	return g != other && overlap && g.Takes(to) && g.rank(to) == other.rank(to)
}

// rank orders groups as the kernel's lookup does (__udp4_lib_lookup and udp4_lib_lookup2 in
// net/ipv4/udp.c, net/ipv6/udp.c; Linux 6.18): groups of an exact address before wildcards, then
// IPv4 sockets before IPv6 sockets that take IPv4 too. 0: the group does not take the datagrams.
func (g *Group) rank(to netip.Addr) int {
	const exact, ipv4, takes = 4, 2, 1
	local, isIPv4 := g.Local.Addr().WithZone(""), to.Unmap().Is4()
	if zone := to.Zone(); zone != "" && g.Interface != "" && zone != g.Interface {
		return 0
	}
	rank := takes
	switch {
	case local.Unmap() == to.Unmap().WithZone(""):
		rank += exact
	case !g.Wildcard(), isIPv4 && local == netip.IPv6Unspecified() && g.V6Only, !isIPv4 && local != netip.IPv6Unspecified():
		return 0
	}
	if local.Is4() {
		rank += ipv4
	}
	return rank
}
