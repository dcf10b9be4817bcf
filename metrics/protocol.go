package metrics

import (
	"sync/atomic"

	"github.com/udpshard/udpshard/internal/sys"
)

// ProtocolCounters returns the protocol counters of a shard, nil if the listener has none: numbers
// beside the ledger, whose meaning the protocol defines, such as DNS queries by type. They have one
// writer and any number of readers.
//
// Inherit adds protocol counters to those of the successor if the listener has as many there. So a
// protocol that changes the meaning of a counter changes the number of counters, or layoutVersion.
func (sc *SharedCounters) ProtocolCounters(listener string, shard int) []atomic.Uint64 {
	l := sc.byName[listener]
	if l == nil || shard < 0 || shard >= int(l.shards) {
		return nil
	}
	return sc.protocolCounters(l, shard)
}

// ListenerProtocolCounters returns the protocol counters of a listener as a whole, which have the
// counts of predecessors. Any goroutine may add to them.
func (sc *SharedCounters) ListenerProtocolCounters(listener string) []atomic.Uint64 {
	l := sc.byName[listener]
	if l == nil {
		return nil
	}
	return sc.protocolCounters(l, int(l.shards))
}

// protocolCounters returns the counters in a slot: one for each shard, then one for the listener.
func (sc *SharedCounters) protocolCounters(l *listenerMemory, slot int) []atomic.Uint64 {
	if l.protocolCounters == 0 {
		return nil
	}
	at := l.protocol + slot*l.protocolSize()
	return sys.Slice[atomic.Uint64](sc.memory, at, int(l.protocolCounters))
}
