package metrics

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"github.com/udpshard/udpshard/internal/sys"
)

// Book is the counters of a process in memory that outlives it: its successor
// or standby has the same memory, through a file descriptor. It says what the
// process had received, delivered and dropped at its last instruction, even
// where SIGKILL came between a system call and the counting of what that did:
// see Estate.
//
// Besides the counters it holds, for each shard, the message headers that
// recvmmsg fills (sys.Arrived), and for each output a Journal of its writes.
type Book struct {
	file     *os.File
	memory   []byte
	header   *header
	rows     []row
	pages    []int // offsets
	journals int   // offset of the first, of as many as there are pages
	tallyAt  []int // offsets of the rows'

	mu    sync.Mutex
	taken int // journals
}

// Layout is what a Book has room for.
type Layout struct {
	Listener string // its name, 1 to 64 bytes
	Shards   int    // 1 to 4096
	Batch    int    // datagrams to a receive call, 1 to 1024
	Tallies  int    // 0 to 1024: see Book.Tallies
}

// layoutVersion changes with whatever changes the meaning of a book's bytes:
// the order or size of Counters, journals, the receiver's headers. A book of
// another version is refused, not guessed at.
const layoutVersion = 3

// What a book may have: the limits of shard.Config, and more listeners than a
// process can have shards. They keep what a damaged header says from
// overflowing.
const (
	longestName   = 64
	mostShards    = 4096
	mostBatch     = 1024
	mostListeners = 4096
	mostTallies   = 1024
)

var magic = [8]byte{'u', 'd', 'p', 's', 'h', 'a', 'r', 'd'}

// header begins a book; rows follow it, then the pages, the journals and the
// tallies.
type header struct {
	magic     [8]byte
	version   uint32
	listeners uint32
	size      uint64 // of all
	epoch     atomic.Uint64
	passedOn  atomic.Uint64 // 1: see PassOn
	standbys  atomic.Uint64
	lineage   atomic.Uint64 // see Lineage
	_         [cacheLine - 7*8]byte
	takeovers Takeovers
}

// row is a listener.
type row struct {
	name    [longestName]byte
	length  uint32 // of name
	shards  uint32
	batch   uint32
	tallies uint32
}

const (
	headerSize  = 2 * cacheLine
	rowSize     = longestName + 16
	countersLen = 5 * cacheLine
)

func (r *row) text() string { return string(r.name[:r.length]) }

// check says what is wrong with a row.
func (r *row) check() error {
	switch {
	case r.length == 0 || r.length > longestName:
		return fmt.Errorf("a listener's name has %d bytes, not 1 to %d", r.length, longestName)
	case !utf8.Valid(r.name[:r.length]):
		return fmt.Errorf("the listener's name %q is no text", r.name[:r.length])
	case r.shards == 0 || r.shards > mostShards:
		return fmt.Errorf("listener %s: %d shards are not 1 to %d", r.text(), r.shards, mostShards)
	case r.batch == 0 || r.batch > mostBatch:
		return fmt.Errorf("listener %s: a batch of %d is not 1 to %d", r.text(), r.batch, mostBatch)
	case r.tallies > mostTallies:
		return fmt.Errorf("listener %s: %d tallies are more than %d", r.text(), r.tallies, mostTallies)
	}
	return nil
}

// stride is the distance of two pages: counters, and the receiver's memory.
func (r *row) stride() int { return up(countersLen + sys.ReceiverSpace(int(r.batch))) }

// tallySize is what the tallies of one writer take.
func (r *row) tallySize() int { return up(8 * int(r.tallies)) }

func up(n int) int { return (n + cacheLine - 1) / cacheLine * cacheLine }

// layOut says where everything is in a book of such rows.
func layOut(rows []row) (pages []int, journals int, tallies []int, size int) {
	at := up(headerSize + len(rows)*rowSize)
	for i := range rows {
		for range rows[i].shards {
			pages = append(pages, at)
			at += rows[i].stride()
		}
	}
	journals = at
	at += len(pages) * journalSize
	for i := range rows {
		tallies = append(tallies, at)
		at += (int(rows[i].shards) + 1) * rows[i].tallySize()
	}
	return pages, journals, tallies, at
}

// NewBook makes a book with empty pages. Its epoch is 1: the process that
// makes it owns it.
func NewBook(listeners ...Layout) (*Book, error) {
	rows, err := newRows(listeners)
	if err != nil {
		return nil, fmt.Errorf("book of counters: %w", err)
	}
	_, _, _, size := layOut(rows)
	file, err := sys.NewMemory("udpshard-counters", size)
	if err != nil {
		return nil, fmt.Errorf("book of counters of %d bytes: %w", size, err)
	}
	memory, err := sys.MapMemory(file)
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("book of counters of %d bytes: %w", size, err)
	}
	h := sys.At[header](memory, 0)
	h.version, h.listeners, h.size = layoutVersion, uint32(len(rows)), uint64(size)
	h.epoch.Store(FirstEpoch)
	h.lineage.Store(newLineage())
	for i := range rows {
		*sys.At[row](memory, headerSize+i*rowSize) = rows[i]
	}
	h.magic = magic
	b, err := parse(memory)
	if err != nil {
		panic(err) // it reads what it has just written
	}
	b.file = file
	return b, nil
}

func newRows(listeners []Layout) ([]row, error) {
	if len(listeners) == 0 || len(listeners) > mostListeners {
		return nil, fmt.Errorf("%d listeners are not 1 to %d", len(listeners), mostListeners)
	}
	rows := make([]row, len(listeners))
	seen := make(map[string]bool)
	for i, l := range listeners {
		if seen[l.Listener] {
			return nil, fmt.Errorf("two listeners are called %q", l.Listener)
		}
		seen[l.Listener] = true
		rows[i].length = uint32(len(l.Listener))
		rows[i].shards = uint32(min(max(l.Shards, 0), mostShards+1))
		rows[i].batch = uint32(min(max(l.Batch, 0), mostBatch+1))
		rows[i].tallies = uint32(min(max(l.Tallies, 0), mostTallies+1))
		copy(rows[i].name[:], l.Listener)
		if err := rows[i].check(); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// OpenBook maps the book of another process from a descriptor that it has
// passed on. It refuses one of another layout, and one that does not add up.
// The book owns file from then on, and closes it; with an error, the file is
// closed.
func OpenBook(file *os.File) (*Book, error) {
	memory, err := sys.MapMemory(file)
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("book of counters: %w", err)
	}
	b, err := parse(memory)
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("book of counters: %w", errors.Join(err, sys.UnmapMemory(memory)))
	}
	b.file = file
	return b, nil
}

// parse reads a header, once: what another process writes into it later
// changes nothing here but the epoch.
func parse(memory []byte) (*Book, error) {
	if len(memory) < headerSize {
		return nil, fmt.Errorf("%d bytes are too few for its header of %d", len(memory), headerSize)
	}
	h := sys.At[header](memory, 0)
	listeners := int(h.listeners)
	switch {
	case h.magic != magic:
		return nil, fmt.Errorf("it begins with %q, not %q", h.magic, magic)
	case h.version != layoutVersion:
		return nil, fmt.Errorf("its layout is version %d, and this program knows version %d", h.version, layoutVersion)
	case h.size != uint64(len(memory)):
		return nil, fmt.Errorf("it says that it has %d bytes, and has %d", h.size, len(memory))
	case listeners == 0 || listeners > mostListeners || headerSize+listeners*rowSize > len(memory):
		return nil, fmt.Errorf("%d listeners do not fit into %d bytes", listeners, len(memory))
	}
	b := &Book{memory: memory, header: h, rows: make([]row, listeners)}
	seen := make(map[string]bool)
	least := 0 // bytes, before any list is made of what the header says
	for i := range b.rows {
		b.rows[i] = *sys.At[row](memory, headerSize+i*rowSize)
		r := &b.rows[i]
		if err := r.check(); err != nil {
			return nil, err
		}
		if seen[r.text()] {
			return nil, fmt.Errorf("two listeners are called %q", r.text())
		}
		seen[r.text()] = true
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

// File returns the descriptor to pass to another process. It is the book's.
func (b *Book) File() *os.File { return b.file }

// Close gives the memory back; other processes that have it keep it. Nobody
// may use the book's shards or journals any more.
func (b *Book) Close() error { return errors.Join(sys.UnmapMemory(b.memory), b.file.Close()) }

// Epoch returns how many owners the book has had.
func (b *Book) Epoch() uint64 { return b.header.epoch.Load() }

// Claim makes the caller the owner, if nobody else has become it since Epoch
// was from: of several standbys that see an owner die, one gets true. The
// owner before, should it only have seemed dead, sees that Epoch has changed.
func (b *Book) Claim(from uint64) bool { return b.header.epoch.CompareAndSwap(from, from+1) }

// Lineage identifies the totals of the book among those of all processes: it is
// random in a new book, and Inherit takes it over together with the totals. Two
// readings with one lineage are of counters that never went back in between. It is 0
// where an older version made the book.
func (b *Book) Lineage() uint64 { return b.header.lineage.Load() }

// newLineage is never 0.
func newLineage() uint64 { return rand.Uint64() | 1 }

// FirstEpoch is that of the process that has made a book.
const FirstEpoch = 1

// PassOn says, for good, that an owner has left in order, and that another
// process goes on from here in a book of its own: nobody is to inherit this one any
// more, whoever is dead.
func (b *Book) PassOn() { b.header.passedOn.Store(1) }

// PassedOn says whether PassOn was called, by any process.
func (b *Book) PassedOn() bool { return b.header.passedOn.Load() != 0 }

// SetStandbys says how many processes stand by for the owner.
func (b *Book) SetStandbys(n int) { b.header.standbys.Store(uint64(n)) }

// Standbys returns what the owner has said last.
func (b *Book) Standbys() int { return int(b.header.standbys.Load()) }

// Replaced says whether another process has become the owner of the book that
// the shard is in: then its thread must read no more. It costs a load of a
// cache line that nobody writes to.
func (s *Shard) Replaced() bool { return s.book != nil && s.book.Epoch() != FirstEpoch }

// Shard returns a page of the book: of the shard with that index of a listener.
func (b *Book) Shard(listener string, index, cpu int) (*Shard, error) {
	first, shards, ok := b.find(listener)
	if !ok || index < 0 || index >= shards {
		return nil, fmt.Errorf("the book of counters has no page for shard %d of listener %s", index, listener)
	}
	return b.shard(first+index, index, cpu), nil
}

func (b *Book) shard(number, index, cpu int) *Shard {
	return &Shard{Counters: b.counters(number), Index: index, CPU: cpu, book: b, number: number}
}

// Listeners returns the listeners of a book, by which another process can read
// how its shards do. They have no sockets to ask.
func (b *Book) Listeners() []*Listener {
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

// find returns the number of a listener's first page, and how many it has.
func (b *Book) find(listener string) (first, shards int, ok bool) {
	for i := range b.rows {
		shards = int(b.rows[i].shards)
		if b.rows[i].text() == listener {
			return first, shards, true
		}
		first += shards
	}
	return 0, 0, false
}

func (b *Book) counters(number int) *Counters { return sys.At[Counters](b.memory, b.pages[number]) }

// receiver is the memory of a page's message headers.
func (b *Book) receiver(number int) []byte {
	at, end := b.pages[number]+countersLen, b.journals
	if number+1 < len(b.pages) {
		end = b.pages[number+1]
	}
	return b.memory[at:end:end]
}

// ReceiverMemory returns where the shard's message headers are to be laid out
// (sys.ReceiverOptions), with room for the listener's batch, and nil if it is
// in no book.
func (s *Shard) ReceiverMemory() []byte {
	if s.book == nil {
		return nil
	}
	return s.book.receiver(s.number)
}
