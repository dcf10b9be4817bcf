package doctor

import (
	"net/netip"
	"slices"

	"github.com/udpshard/udpshard/internal/sys"
)

// Listener is what serve would open, as far as the host matters to serve.
type Listener struct {
	Name          string
	Address       netip.AddrPort
	Dual          bool // Address is [::], for IPv6 and IPv4
	Shards        int
	CPUs          []int // shards are pinned to these in turn
	ReceiveBuffer int   // bytes that each socket asks for
	Join          bool  // the port is to be shared
	ShardMemory   int   // bytes of a shard's slab and buffers at most
	ShardFiles    int   // files that a shard opens, its socket included

	// DefaultCPUs and DefaultReceiveBuffer: CPUs or ReceiveBuffer is a default. An instance that
	// runs with another value has no finding then.
	DefaultCPUs, DefaultReceiveBuffer bool

	bufferBytes uint64 // of the instance's sockets, if an instance runs
}

// maxQueueBytes returns the bytes of all full receive buffers: the kernel doubles what is asked
// (socket(7)).
func (l Listener) maxQueueBytes() uint64 {
	if l.bufferBytes > 0 {
		return l.bufferBytes
	}
	return 2 * uint64(l.Shards) * uint64(min(l.ReceiveBuffer, maxBuffer))
}

// asRunning returns the listeners as a running instance has them, with a shard for each of its
// sockets, not as serve would start them now.
func (e *examination) asRunning(listeners []Listener) []Listener {
	listeners = slices.Clone(listeners)
	for i := range listeners {
		l := &listeners[i]
		own := e.ownSockets(*l)
		if len(own) == 0 {
			continue
		}
		l.Shards = len(own)
		for _, s := range own {
			l.bufferBytes += uint64(s.BufferBytes)
		}
		if cpus, err := e.affinity(); err == nil && l.DefaultCPUs {
			l.CPUs = cpus
		}
	}
	return listeners
}

// cores returns the CPUs that shards are pinned to.
func (l Listener) cores() sys.CPUs { return unique(l.CPUs[:min(l.Shards, len(l.CPUs))]) }

// Holds reports whether a socket bound to local receives datagrams that are sent to the listener,
// or keeps the listener from its address.
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

// shards returns the number of shards of all listeners.
func (e *examination) shards() (n int) {
	for _, l := range e.listeners {
		n += l.Shards
	}
	return n
}

// holds reports whether a socket bound to local holds the port of any listener.
func (e *examination) holds(local netip.AddrPort) bool {
	return slices.ContainsFunc(e.listeners, func(l Listener) bool { return l.Holds(local, false) })
}
