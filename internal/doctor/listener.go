package doctor

import (
	"net/netip"
	"slices"

	"github.com/udpshard/udpshard/internal/sys"
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

	// What was not asked for but is taken by default is not held against an
	// instance that runs with something else.
	DefaultCPUs, DefaultReceiveBuffer bool

	held uint64 // bytes that its sockets' queues may take, if an instance has any
}

// queues returns the bytes that full receive buffers take: the kernel doubles
// what is asked (socket(7)).
func (l Listener) queues() uint64 {
	if l.held > 0 {
		return l.held
	}
	return 2 * uint64(l.Shards) * uint64(min(l.ReceiveBuffer, mostBuffer))
}

// asRunning returns listeners as the instance there has them, not as they
// would be started now: with a shard for each of its sockets.
func (e *examination) asRunning(listeners []Listener) []Listener {
	listeners = slices.Clone(listeners)
	for i := range listeners {
		l := &listeners[i]
		own := e.ownAt(*l)
		if len(own) == 0 {
			continue
		}
		l.Shards = len(own)
		for _, s := range own {
			l.held += uint64(s.BufferBytes)
		}
		if cpus, err := e.affinity(); err == nil && l.DefaultCPUs {
			l.CPUs = cpus
		}
	}
	return listeners
}

// cores returns the CPUs that shards are pinned to, each once, in order.
func (l Listener) cores() sys.CPUs {
	var cores []int
	for shard := range min(l.Shards, len(l.CPUs)) {
		cores = append(cores, l.CPUs[shard])
	}
	slices.Sort(cores)
	return slices.Compact(cores)
}

// Holds says whether a socket that is bound to local gets datagrams that are
// meant for the listener, or keeps it from its address.
func (l Listener) Holds(local netip.AddrPort, v6Only bool) bool {
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
