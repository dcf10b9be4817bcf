package metrics

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/udpshard/udpshard/internal/sys"
)

// SharedCounters are the counters of a process in memory that outlives the process. A successor
// or standby maps the same memory from a file descriptor, and reads how much the process had
// received, delivered and dropped up to the last instruction, even if SIGKILL came between a
// system call and the counting of the result: see Inheritance.
//
// Beside the counters, the memory has for each shard the senders' names that recvmmsg fills
// (sys.Arrived), and for each output a WriteLog.
//
// Only the process that has made shared counters writes to them. Other processes map them
// read-only, which the kernel enforces (sys.ReadOnly). They write to the control memory, which has
// the epoch and the handed-over mark.
type SharedCounters struct {
	file      *os.File
	memory    []byte
	sealed    bool // other processes cannot write
	control   control
	header    *header
	listeners []listenerMemory
	byName    map[string]*listenerMemory
	shards    []int // offset of the counters of each shard
	writeLogs int   // offset of the write logs, as many as shards

	// counting is set by Inherit or Shard.StartThread. Before, the shards count no drops: this process
	// may be a standby with the sockets of the active process, which counts them.
	counting atomic.Bool

	mu       sync.Mutex
	usedLogs int
}

// NewSharedCounters makes shared counters, with all counters at 0. Their epoch is FirstEpoch: the
// process that makes them owns them.
func NewSharedCounters(listeners ...Layout) (*SharedCounters, error) {
	sc, err := newSharedCounters(listeners)
	if err != nil {
		return nil, fmt.Errorf("shared counters: %w", err)
	}
	return sc, nil
}

func newSharedCounters(layouts []Layout) (*SharedCounters, error) {
	listeners, err := newListeners(layouts)
	if err != nil {
		return nil, err
	}
	_, _, size := layOut(listeners)
	file, memory, sealed, err := sys.NewMemory("udpshard-counters", size, sys.ReadOnly)
	if err != nil {
		return nil, fmt.Errorf("%d bytes: %w", size, err)
	}
	h := sys.At[header](memory, 0)
	h.magic, h.version = magic, layoutVersion
	h.listeners, h.size = uint32(len(listeners)), uint64(size)
	h.id.Store(newID())
	h.began.Store(time.Now().UnixNano())
	for i := range listeners {
		*sys.At[row](memory, headerSize+i*rowSize) = listeners[i].row
	}
	sc, err := parse(memory)
	if err == nil {
		sc.file, sc.sealed = file, sealed
		sc.control, err = newControl()
	}
	if err != nil {
		return nil, errors.Join(err, sys.UnmapMemory(memory), file.Close())
	}
	return sc, nil
}

// OpenSharedCounters maps the shared counters of another process from the descriptors that Files
// has returned in that process. The error is a *LayoutError if the shared counters have another
// layout, and another error if the header is inconsistent. OpenSharedCounters takes ownership of
// both files: Close closes them, and so does OpenSharedCounters with an error.
func OpenSharedCounters(counters, control *os.File) (*SharedCounters, error) {
	sc, err := openSharedCounters(counters)
	if err != nil {
		err = errors.Join(err, counters.Close(), control.Close())
	} else if sc.control, err = openControl(control); err != nil {
		err = errors.Join(err, sys.UnmapMemory(sc.memory), counters.Close())
	}
	if err != nil {
		return nil, fmt.Errorf("shared counters: %w", err)
	}
	return sc, nil
}

func openSharedCounters(file *os.File) (*SharedCounters, error) {
	memory, err := sys.MapMemory(file, sys.ReadOnly)
	if err != nil {
		return nil, err
	}
	sc, err := parse(memory)
	if err != nil {
		return nil, errors.Join(err, sys.UnmapMemory(memory))
	}
	sc.file = file
	return sc, nil
}

// parse reads header and rows once: a later write of another process to them changes nothing here.
func parse(memory []byte) (*SharedCounters, error) {
	if len(memory) < headerSize {
		return nil, fmt.Errorf("%d bytes are too few for the header of %d", len(memory), headerSize)
	}
	h := sys.At[header](memory, 0)
	listeners := int(h.listeners)
	switch {
	case h.magic != magic:
		return nil, fmt.Errorf("the header begins with %q, not %q", h.magic, magic)
	case h.version != layoutVersion:
		return nil, checkVersion(uint64(h.version))
	case h.size != uint64(len(memory)):
		return nil, fmt.Errorf("the size in the header is %d bytes, not %d", h.size, len(memory))
	case listeners == 0 || listeners > maxListeners || headerSize+listeners*rowSize > len(memory):
		return nil, fmt.Errorf("%d listeners do not fit into %d bytes", listeners, len(memory))
	}
	sc := &SharedCounters{memory: memory, header: h, listeners: make([]listenerMemory, listeners),
		byName: make(map[string]*listenerMemory)}
	least := 0 // bytes of the shards, to bound the lists that layOut makes
	for i := range sc.listeners {
		l := &sc.listeners[i]
		l.row = *sys.At[row](memory, headerSize+i*rowSize)
		if err := l.check(); err != nil {
			return nil, err
		}
		if sc.byName[l.text()] != nil {
			return nil, fmt.Errorf("two listeners have the name %q", l.text())
		}
		sc.byName[l.text()] = l
		if least += int(l.shards) * l.stride(); least > len(memory) {
			return nil, fmt.Errorf("the shards do not fit into %d bytes", len(memory))
		}
	}
	var size int
	if sc.shards, sc.writeLogs, size = layOut(sc.listeners); size != len(memory) {
		return nil, fmt.Errorf("the listeners take %d of %d bytes", size, len(memory))
	}
	return sc, nil
}

// Files returns the descriptors to pass to another process, for OpenSharedCounters. The
// SharedCounters keep ownership of them.
func (sc *SharedCounters) Files() (counters, control *os.File) { return sc.file, sc.control.file }

// Control returns the descriptor of the control memory, whose locks are the leases
// (takeover.Lease). The SharedCounters keep ownership of the descriptor.
func (sc *SharedCounters) Control() *os.File { return sc.control.file }

// Close unmaps the memory; other processes keep their mappings. Shards and write logs of the
// SharedCounters must not be used any more.
func (sc *SharedCounters) Close() error {
	return errors.Join(sys.UnmapMemory(sc.memory), sc.file.Close(), sc.control.close())
}

// FirstEpoch is the epoch of the process that has made shared counters.
const FirstEpoch = 1

// Epoch returns how many owners the shared counters have had.
func (sc *SharedCounters) Epoch() uint64 { return sc.control.words.epoch.Load() }

// AdvanceEpoch makes the caller the owner, unless the epoch is not from any more: of several
// standbys that see an owner die, one gets true. If the previous owner is alive after all, that
// process sees that the epoch has changed.
func (sc *SharedCounters) AdvanceEpoch(from uint64) bool {
	return sc.control.words.epoch.CompareAndSwap(from, from+1)
}

// MarkHandedOver records for good that the owner has handed over to the next process, which has
// the totals in shared counters of its own. From then on no process may inherit these counters,
// even if the owner is dead. Any process with the control memory may call MarkHandedOver.
func (sc *SharedCounters) MarkHandedOver() { sc.control.words.handedOver.Store(1) }

// HandedOver returns whether any process has called MarkHandedOver.
func (sc *SharedCounters) HandedOver() bool { return sc.control.words.handedOver.Load() != 0 }

// ID identifies the totals among the totals of all processes. The ID is random in new shared
// counters, and Inherit copies the ID together with the totals. Two readings with one ID are of
// counters that never went back in between. The ID is 0 if an older version made the counters.
func (sc *SharedCounters) ID() uint64 { return sc.header.id.Load() }

// Began returns when the totals began at 0. Inherit copies the time together with the totals. The
// time is zero if a version before 0.1.0 made the counters.
func (sc *SharedCounters) Began() time.Time {
	if began := sc.header.began.Load(); began != 0 {
		return time.Unix(0, began)
	}
	return time.Time{}
}

func newID() uint64 { return rand.Uint64() | 1 } // not 0

// Shard returns the shard with an index in a listener.
func (sc *SharedCounters) Shard(listener string, index, cpu int) (*Shard, error) {
	l := sc.byName[listener]
	if l == nil || index < 0 || index >= int(l.shards) {
		return nil, fmt.Errorf("the shared counters have no shard %d of listener %s", index, listener)
	}
	return sc.shard(l, index, cpu), nil
}

func (sc *SharedCounters) shard(l *listenerMemory, index, cpu int) *Shard {
	number := l.firstShard + index
	return &Shard{Counters: sc.counters(number), Index: index, CPU: cpu, shared: sc, number: number}
}

// Listeners returns the listeners, by which another process can read the counters of their
// shards. The shards have no sockets.
func (sc *SharedCounters) Listeners() (listeners []*Listener) {
	for i := range sc.listeners {
		l := &Listener{Name: sc.listeners[i].text()}
		for index := range int(sc.listeners[i].shards) {
			l.Shards = append(l.Shards, sc.shard(&sc.listeners[i], index, 0))
		}
		listeners = append(listeners, l)
	}
	return listeners
}

func (sc *SharedCounters) counters(number int) *Counters {
	return sys.At[Counters](sc.memory, sc.shards[number])
}

// receiver returns the memory of a shard's sys.Receiver.
func (sc *SharedCounters) receiver(number int) []byte {
	at, end := sc.shards[number]+countersLen, sc.writeLogs
	if number+1 < len(sc.shards) {
		end = sc.shards[number+1]
	}
	return sc.memory[at:end:end]
}

// uncounted returns how many datagrams the last receive call of a shard has read that are not in
// Received yet.
func (sc *SharedCounters) uncounted(number int) uint64 {
	if !sc.counters(number).uncounted() {
		return 0
	}
	return sys.Arrived(sc.receiver(number))
}

// LastReading returns when the last shard was at its socket, perhaps in a dead process: no shard
// has read since then. Without datagrams, a shard is at its socket every 250 ms. The time is zero
// if no shard reads, or if all threads have ended in order.
func (sc *SharedCounters) LastReading() time.Time {
	var last int64
	for number := range sc.shards {
		last = max(last, sc.counters(number).heartbeat.Load())
	}
	if last == 0 {
		return time.Time{}
	}
	return moment(last)
}

// Prefault reads all that Inherit and Finalize read. A process that maps shared counters calls
// Prefault before another process waits for the caller: the first read of each memory page costs a
// page fault.
func (sc *SharedCounters) Prefault() {
	for number := range sc.shards {
		sc.counters(number).total()
		sys.Arrived(sc.receiver(number))
		sc.lastWrite(number)
	}
}
