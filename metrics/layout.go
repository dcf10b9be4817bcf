package metrics

import (
	"fmt"
	"sync/atomic"
	"unicode/utf8"

	"github.com/udpshard/udpshard/internal/sys"
)

// Layout is the room of a listener in SharedCounters.
type Layout struct {
	Listener         string // name of the listener, 1 to 64 bytes
	Shards           int    // 1 to 4096
	Batch            int    // datagrams of a receive call, 1 to 1024
	ProtocolCounters int    // 0 to 1024: see SharedCounters.ProtocolCounters
}

// layoutVersion changes with the meaning of the bytes of shared counters: the order or size of
// Counters, of the write logs, of the receiver's memory. OpenSharedCounters refuses memory of
// another version.
const layoutVersion = 4

// LayoutError is the error for shared counters of another version of this program, with another
// layout.
type LayoutError struct {
	Version uint64 // of the layout
}

func (e *LayoutError) Error() string {
	return fmt.Sprintf("layout version %d, and this program needs version %d", e.Version,
		layoutVersion)
}

func checkVersion(version uint64) error {
	if version != layoutVersion {
		return &LayoutError{version}
	}
	return nil
}

// The limits of shard.Config, and more listeners than a process can have shards. Within these
// limits the sizes that a damaged header gives cannot overflow.
const (
	maxNameLen          = 64
	maxShards           = 4096
	maxBatch            = 1024
	maxListeners        = 4096
	maxProtocolCounters = 1024
)

var magic = [8]byte{'u', 'd', 'p', 's', 'h', 'a', 'r', 'd'}

// header is at the start of shared counters. A row for each listener, the counters and receiver's
// memory of each shard, the write logs and the protocol counters follow.
type header struct {
	magic     [8]byte
	version   uint32
	listeners uint32
	size      uint64        // of the whole memory, in bytes
	id        atomic.Uint64 // see SharedCounters.ID
	began     atomic.Int64  // see SharedCounters.Began; 0 before version 0.1.0
	_         [cacheLine - 5*8]byte
	takeovers Takeovers
}

// row describes a listener.
type row struct {
	name             [maxNameLen]byte
	length           uint32 // of name
	shards           uint32
	batch            uint32
	protocolCounters uint32
}

const (
	headerSize  = 2 * cacheLine
	rowSize     = maxNameLen + 16
	countersLen = 5 * cacheLine
)

// listenerMemory is a row, and where the memory of the listener begins.
type listenerMemory struct {
	row
	firstShard int // number of the first shard
	protocol   int // offset of the protocol counters
}

func (r *row) text() string { return string(r.name[:r.length]) }

func (r *row) check() error {
	switch {
	case r.length == 0 || r.length > maxNameLen:
		return fmt.Errorf("listener name of %d bytes, not 1 to %d", r.length, maxNameLen)
	case !utf8.Valid(r.name[:r.length]):
		return fmt.Errorf("listener name %q is not UTF-8", r.name[:r.length])
	case r.shards == 0 || r.shards > maxShards:
		return fmt.Errorf("listener %s: %d shards, not 1 to %d", r.text(), r.shards, maxShards)
	case r.batch == 0 || r.batch > maxBatch:
		return fmt.Errorf("listener %s: batch of %d, not 1 to %d", r.text(), r.batch, maxBatch)
	case r.protocolCounters > maxProtocolCounters:
		return fmt.Errorf("listener %s: %d protocol counters are more than %d", r.text(),
			r.protocolCounters, maxProtocolCounters)
	}
	return nil
}

// stride returns the size of a shard's memory: counters and receiver's memory.
func (r *row) stride() int { return roundUp(countersLen + sys.ReceiverSpace(int(r.batch))) }

// protocolSize returns the size of the protocol counters of one writer.
func (r *row) protocolSize() int { return roundUp(8 * int(r.protocolCounters)) }

func roundUp(n int) int { return (n + cacheLine - 1) / cacheLine * cacheLine }

// layOut sets where the memory of each listener begins. layOut returns the offsets of the shards
// and of the first write log, and the size of the memory.
func layOut(listeners []listenerMemory) (shards []int, writeLogs, size int) {
	at := roundUp(headerSize + len(listeners)*rowSize)
	for i := range listeners {
		l := &listeners[i]
		l.firstShard = len(shards)
		for range l.shards {
			shards = append(shards, at)
			at += l.stride()
		}
	}
	writeLogs = at
	at += len(shards) * writeLogSize
	for i := range listeners {
		l := &listeners[i]
		l.protocol = at
		at += (int(l.shards) + 1) * l.protocolSize()
	}
	return shards, writeLogs, at
}

func newListeners(layouts []Layout) ([]listenerMemory, error) {
	if len(layouts) == 0 || len(layouts) > maxListeners {
		return nil, fmt.Errorf("%d listeners, not 1 to %d", len(layouts), maxListeners)
	}
	listeners := make([]listenerMemory, len(layouts))
	for i, l := range layouts {
		r := &listeners[i].row
		copy(r.name[:], l.Listener)
		r.length = uint32(len(l.Listener))
		r.shards = uint32(min(max(l.Shards, 0), maxShards+1))
		r.batch = uint32(min(max(l.Batch, 0), maxBatch+1))
		r.protocolCounters = uint32(min(max(l.ProtocolCounters, 0), maxProtocolCounters+1))
		if err := r.check(); err != nil {
			return nil, err
		}
	}
	return listeners, nil
}
