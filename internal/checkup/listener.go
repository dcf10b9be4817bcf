package checkup

import (
	"net/netip"
	"slices"
)

// Listener is what serve would open, as far as the host matters to it.
type Listener struct {
	Name          string
	Address       netip.AddrPort
	Dual          bool // Address is [::], for IPv6 and IPv4
	Shards        int
	CPUs          []int // that shards are pinned to in turn
	ReceiveBuffer int   // bytes asked for each socket
	Join          bool  // sharing the port was asked for
	ShardMemory   int   // bytes that a shard's slab and buffers take at most
	ShardFiles    int   // files that a shard opens, its socket included
}

// cores returns the CPUs that shards are pinned to, each once, in order.
func (l Listener) cores() []int {
	var cores []int
	for shard := range min(l.Shards, len(l.CPUs)) {
		cores = append(cores, l.CPUs[shard])
	}
	slices.Sort(cores)
	return slices.Compact(cores)
}

// holds says whether a socket that is bound to local gets datagrams that are
// meant for the listener, or keeps it from its address.
func (l Listener) holds(local netip.AddrPort, v6Only bool) bool {
	a, b := l.Address.Addr().Unmap().WithZone(""), local.Addr().Unmap().WithZone("")
	if local.Port() != l.Address.Port() {
		return false
	}
	switch {
	case a == b:
		return true
	case a == netip.IPv6Unspecified():
		return l.Dual || b.Is6()
	case b == netip.IPv6Unspecified():
		return a.Is6() || !v6Only
	}
	return (a.IsUnspecified() || b.IsUnspecified()) && a.Is4() == b.Is4()
}

// shards returns the shards of all listeners.
func shards(listeners []Listener) (n int) {
	for _, l := range listeners {
		n += l.Shards
	}
	return n
}
