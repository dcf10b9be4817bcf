package metrics

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"github.com/udpshard/udpshard/internal/sys"
)

// SharedCounters is the counters of a process in memory that outlives it: its successor
// or standby has the same memory, through a file descriptor. It says what the
// process had received, delivered and dropped at its last instruction, even
// where SIGKILL came between a system call and the counting of what that did:
// see Estate.
//
// Besides the counters it holds, for each shard, the names of senders that
// recvmmsg fills (sys.Arrived), and for each output a Journal of its writes.
//
// Only the process that has made a book writes to it. Other processes map the book
// read-only, which the kernel enforces (sys.ReadOnly). They write to the control memory of
// the book, which has the epoch and the handed-over mark.
type SharedCounters struct {
	file     *os.File
	memory   []byte
	sealed   bool // others can't write
	control  control
	header   *header
	rows     []row
	pages    []int // offsets
	journals int   // offset of the first, of as many as there are pages
	tallyAt  []int // offsets of the rows'
	places   map[string]place

	mu    sync.Mutex
	taken int // journals
}

// NewSharedCounters makes a book with empty pages. Its epoch is 1: the process that
// makes it owns it.
func NewSharedCounters(listeners ...Layout) (*SharedCounters, error) {
	rows, err := newRows(listeners)
	if err != nil {
		return nil, fmt.Errorf("book of counters: %w", err)
	}
	_, _, _, size := layOut(rows)
	file, memory, sealed, err := sys.NewMemory("udpshard-counters", size, sys.ReadOnly)
	if err != nil {
		return nil, fmt.Errorf("book of counters of %d bytes: %w", size, err)
	}
	h := sys.At[header](memory, 0)
	h.version, h.listeners, h.size = layoutVersion, uint32(len(rows)), uint64(size)
	h.lineage.Store(newLineage())
	for i := range rows {
		*sys.At[row](memory, headerSize+i*rowSize) = rows[i]
	}
	h.magic = magic
	b, err := parse(memory)
	if err != nil {
		panic(err) // it reads what it has just written
	}
	b.file, b.sealed = file, sealed
	if b.control, err = newControl(); err != nil {
		return nil, fmt.Errorf("book of counters: %w", errors.Join(err, sys.UnmapMemory(memory), file.Close()))
	}
	return b, nil
}

// OpenSharedCounters maps the book of another process from the descriptors that Files has returned there.
// The error is a *LayoutError if the book has another layout, and another error if its header is
// inconsistent. OpenBook takes ownership of both files: Close closes them, and so does OpenBook
// with an error.
func OpenSharedCounters(counters, control *os.File) (*SharedCounters, error) {
	b, err := openBook(counters)
	if err != nil {
		err = errors.Join(err, counters.Close(), control.Close())
	} else if b.control, err = openControl(control); err != nil {
		err = errors.Join(err, sys.UnmapMemory(b.memory), counters.Close())
	}
	if err != nil {
		return nil, fmt.Errorf("book of counters: %w", err)
	}
	return b, nil
}

func openBook(file *os.File) (*SharedCounters, error) {
	memory, err := sys.MapMemory(file, sys.ReadOnly)
	if err != nil {
		return nil, err
	}
	b, err := parse(memory)
	if err != nil {
		return nil, errors.Join(err, sys.UnmapMemory(memory))
	}
	b.file = file
	return b, nil
}

// parse reads a header, once: what another process writes into it later
// changes nothing here.
func parse(memory []byte) (*SharedCounters, error) {
	if len(memory) < headerSize {
		return nil, fmt.Errorf("%d bytes are too few for its header of %d", len(memory), headerSize)
	}
	h := sys.At[header](memory, 0)
	listeners := int(h.listeners)
	switch {
	case h.magic != magic:
		return nil, fmt.Errorf("it begins with %q, not %q", h.magic, magic)
	case h.version != layoutVersion:
		return nil, checkVersion(uint64(h.version))
	case h.size != uint64(len(memory)):
		return nil, fmt.Errorf("it says that it has %d bytes, and has %d", h.size, len(memory))
	case listeners == 0 || listeners > mostListeners || headerSize+listeners*rowSize > len(memory):
		return nil, fmt.Errorf("%d listeners do not fit into %d bytes", listeners, len(memory))
	}
	b := &SharedCounters{memory: memory, header: h, rows: make([]row, listeners), places: make(map[string]place)}
	first := 0
	least := 0 // bytes, before any list is made of what the header says
	for i := range b.rows {
		b.rows[i] = *sys.At[row](memory, headerSize+i*rowSize)
		r := &b.rows[i]
		if err := r.check(); err != nil {
			return nil, err
		}
		if _, again := b.places[r.text()]; again {
			return nil, fmt.Errorf("two listeners are called %q", r.text())
		}
		b.places[r.text()] = place{i, first}
		first += int(r.shards)
		if least += int(r.shards) * r.stride(); least > len(memory) {
			return nil, fmt.Errorf("its shards do not fit into %d bytes", len(memory))
		}
	}
	var size int
	if b.pages, b.journals, b.tallyAt, size = layOut(b.rows); size != len(memory) {
		return nil, fmt.Errorf("its listeners take %d bytes, and it has %d", size, len(memory))
	}
	return b, nil
}

// Files returns the descriptors to pass to another process, for OpenBook. The book keeps
// ownership of them.
func (b *SharedCounters) Files() (counters, control *os.File) { return b.file, b.control.file }

// Control returns the descriptor of the control memory, whose locks are the leases
// (takeover.Claim). The book keeps ownership of the descriptor.
func (b *SharedCounters) Control() *os.File { return b.control.file }

// Close gives the memory back; other processes that have it keep it. Nobody
// may use the book's shards or journals any more.
func (b *SharedCounters) Close() error {
	return errors.Join(sys.UnmapMemory(b.memory), b.file.Close(), b.control.close())
}

// Epoch returns how many owners the book has had.
func (b *SharedCounters) Epoch() uint64 { return b.control.words.epoch.Load() }

// AdvanceEpoch makes the caller the owner, if nobody else has become it since Epoch
// was from: of several standbys that see an owner die, one gets true. The
// owner before, should it only have seemed dead, sees that Epoch has changed.
func (b *SharedCounters) AdvanceEpoch(from uint64) bool {
	return b.control.words.epoch.CompareAndSwap(from, from+1)
}

// MarkHandedOver records for good that the owner of the book has handed over to the next
// process, which has the counters in its own book. From then on no process may inherit this
// book, not even if its owner is dead. Any process that has the control memory may call it.
func (b *SharedCounters) MarkHandedOver() { b.control.words.handedOver.Store(1) }

// HandedOver returns whether any process has called MarkHandedOver.
func (b *SharedCounters) HandedOver() bool { return b.control.words.handedOver.Load() != 0 }

// ID identifies the totals of the book among those of all processes: it is
// random in a new book, and Inherit takes it over together with the totals. Two
// readings with one lineage are of counters that never went back in between. It is 0
// where an older version made the book.
func (b *SharedCounters) ID() uint64 { return b.header.lineage.Load() }

// newLineage is never 0.
func newLineage() uint64 { return rand.Uint64() | 1 }

// FirstEpoch is that of the process that has made a book.
const FirstEpoch = 1

// Fenced says whether another process has become the owner of the book that
// the shard is in: then its thread must read no more. It costs a load of a
// cache line that nobody writes to.
func (s *Shard) Fenced() bool { return s.book != nil && s.book.Epoch() != FirstEpoch }

// Shard returns a page of the book: of the shard with that index of a listener.
func (b *SharedCounters) Shard(listener string, index, cpu int) (*Shard, error) {
	first, shards, ok := b.find(listener)
	if !ok || index < 0 || index >= shards {
		return nil, fmt.Errorf("the book of counters has no page for shard %d of listener %s", index, listener)
	}
	return b.shard(first+index, index, cpu), nil
}

func (b *SharedCounters) shard(number, index, cpu int) *Shard {
	return &Shard{Counters: b.counters(number), Index: index, CPU: cpu, book: b, number: number}
}

// Listeners returns the listeners of a book, by which another process can read
// how its shards do. They have no sockets to ask.
func (b *SharedCounters) Listeners() []*Listener {
	var listeners []*Listener
	number := 0
	for i := range b.rows {
		l := &Listener{Name: b.rows[i].text()}
		for index := range int(b.rows[i].shards) {
			l.Shards = append(l.Shards, b.shard(number, index, 0))
			number++
		}
		listeners = append(listeners, l)
	}
	return listeners
}

// place is where a listener stands in a book.
type place struct {
	row   int
	first int // of its pages
}

// find returns the number of a listener's first page, and how many it has.
func (b *SharedCounters) find(listener string) (first, shards int, ok bool) {
	at, ok := b.places[listener]
	if !ok {
		return 0, 0, false
	}
	return at.first, int(b.rows[at.row].shards), true
}

func (b *SharedCounters) counters(number int) *Counters {
	return sys.At[Counters](b.memory, b.pages[number])
}

// receiver is the memory of a page's sys.Receiver.
func (b *SharedCounters) receiver(number int) []byte {
	at, end := b.pages[number]+countersLen, b.journals
	if number+1 < len(b.pages) {
		end = b.pages[number+1]
	}
	return b.memory[at:end:end]
}

// ReceiverMemory returns the memory for the senders' names of the shard's messages
// (sys.ReceiverOptions), with room for the listener's batch. It returns nil if the shard is in
// no book, and before Linux 5.1, where other processes can write to the book. Without this
// memory, datagrams that the last receive call of a killed process had read are in no counter.
func (s *Shard) ReceiverMemory() []byte {
	if s.book == nil || !s.book.sealed {
		return nil
	}
	return s.book.receiver(s.number)
}

// LastReading returns when a shard of the book was last seen at its socket, in a process that
// may be dead: the process has not read for longer than since then. While nothing comes, a shard
// shows itself every 250 ms. It is the zero time where no shard reads, or all have ended in order.
func (b *SharedCounters) LastReading() time.Time {
	var last int64
	for number := range b.pages {
		last = max(last, b.counters(number).beat.Load())
	}
	if last == 0 {
		return time.Time{}
	}
	return moment(last)
}

// Prefault reads all that Inherit and Settle read of a book. A process that maps a book does so
// before anybody waits for it: each of its pages costs a page fault the first time.
func (b *SharedCounters) Prefault() {
	for number := range b.pages {
		b.counters(number).total()
		sys.Arrived(b.receiver(number))
		b.last(number)
	}
}
