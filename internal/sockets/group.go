package sockets

import "net/netip"

// Group is the sockets that share an address: the members of a SO_REUSEPORT
// group, in the order of their numbers (see List). The kernel does not tell
// them from sockets that share it by SO_REUSEADDR, of which the one that was
// bound last gets every unicast.
type Group struct {
	Local     netip.AddrPort
	V6Only    bool
	Interface string
	Members   []Watched
}

// Groups sorts sockets into groups, in the order in which their first members
// stand. Connected sockets are no members of any.
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

// OneUser says whether all members are one user's. Those of several are no
// SO_REUSEPORT group: the kernel refuses that.
func (g *Group) OneUser() bool {
	for _, s := range g.Members {
		if s.UID != g.Members[0].UID {
			return false
		}
	}
	return true
}

// Wildcard says whether the group is bound to no address in particular.
func (g *Group) Wildcard() bool { return g.Local.Addr().Unmap().IsUnspecified() }

// Takes says whether datagrams that are sent to an address can reach the
// group, as long as no other group outranks it.
func (g *Group) Takes(to netip.Addr) bool { return g.rank(to) > 0 }

// Outranks says whether the kernel gives the datagrams that are sent to an
// address to g rather than to other, which takes them too. A group on one
// interface outranks only those on the same: it leaves others the rest.
func (g *Group) Outranks(other *Group, to netip.Addr) bool {
	return other.Takes(to) && g.rank(to) > other.rank(to) && (g.Interface == "" || g.Interface == other.Interface)
}

// Rivals says whether both take the same datagrams and neither outranks the
// other. Then it hangs on what can't be seen: with SO_REUSEADDR the one that
// is bound to the interface gets them, with SO_REUSEPORT the IPv4 group that
// was bound last and the IPv6 group that was bound first.
func (g *Group) Rivals(other *Group, to netip.Addr) bool {
	overlap := g.Interface == "" || other.Interface == "" || g.Interface == other.Interface
	return g != other && overlap && g.Takes(to) && g.rank(to) == other.rank(to)
}

// rank orders groups as the kernel's lookup does (__udp4_lib_lookup and
// udp4_lib_lookup2 in net/ipv4/udp.c, net/ipv6/udp.c; Linux 6.18): those
// bound to the very address before any wildcard, then IPv4 sockets before
// IPv6 ones that take IPv4 too. 0 is for those that don't get the datagrams.
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
