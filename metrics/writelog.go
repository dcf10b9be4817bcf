package metrics

import (
	"sync/atomic"

	"github.com/udpshard/udpshard/internal/sys"
)

// OpenWriteLog is where the writer of one destination notes each write(2) before
// it makes it. When the process dies before it has counted what was written,
// a successor reads here where to look. Its methods are for one goroutine at a
// time, and do nothing where it is nil.
type WriteLog struct {
	book   *SharedCounters
	memory *journal
	entry  entry // that was last noted
}

// Write is one write to a destination, as its journal tells of it.
type Write struct {
	Path   string // of the destination, when it was opened
	Device uint64
	Inode  uint64 // 0: it is no regular file
	Size   int64  // of the file, when the write began; where it was counted, when it had ended
	// Torn are the bytes before Size that are the beginning of a record.
	Partial int
	Length  int // bytes to write
	Records int // that end in them
	// Open: how much was written is not counted.
	Uncounted bool
}

const (
	longestPath = 4096 // PATH_MAX (limits.h); no longer one can be opened
	journalSize = 34 * cacheLine
)

// journal is laid out in a book. A note goes into the entry that is not
// valid, and one store then makes it the valid one: there is a whole note at every
// instruction.
type journal struct {
	length  atomic.Uint64 // of path; 0: nobody has taken it
	turn    atomic.Uint64 // entries[turn%2] is valid
	entries [2]entry
	path    [longestPath]byte
	_       [journalSize - 2*8 - 2*entrySize - longestPath]byte
}

const entrySize = 9 * 8

type entry struct {
	open    uint64 // 1: a write begins
	page    uint64 // of the shard whose records they are
	before  uint64 // that page's Delivered: it grows when they are counted
	device  uint64
	inode   uint64
	size    uint64
	torn    uint64
	length  uint64
	records uint64
}

// OpenWriteLog takes a journal for a destination in the shard's book, and returns
// nil if it is in none. There is one for each shard, so there are enough: a
// shard has one destination.
func (s *Shard) OpenWriteLog(path string) *WriteLog {
	if s.book == nil || path == "" || len(path) > longestPath {
		return nil
	}
	b := s.book
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.taken == len(b.pages) {
		return nil
	}
	j := b.journal(b.taken)
	b.taken++
	copy(j.path[:], path)
	j.length.Store(uint64(len(path)))
	return &WriteLog{book: b, memory: j}
}

// Begin notes that w, of records of a shard, is about to be made. Only the
// caller adds to the shard's Delivered, and does so before End.
func (j *WriteLog) Begin(shard *Shard, w Write) {
	if j == nil || shard.book != j.book {
		return
	}
	j.note(entry{
		open: 1, page: uint64(shard.number), before: shard.Delivered.Load(), device: w.Device, inode: w.Inode,
		size: uint64(w.Size), torn: uint64(w.Partial), length: uint64(w.Length), records: uint64(w.Records),
	})
}

// EndThread notes that n bytes were written and are counted, and that the last torn
// bytes of the file are the beginning of a record.
func (j *WriteLog) End(n, torn int) {
	if j == nil {
		return
	}
	next := j.entry
	next.open, next.torn = 0, uint64(torn)
	next.size += uint64(n)
	j.note(next)
}

// Abandon notes that the records of the write that has begun are counted, as
// lost, whatever becomes of it.
func (j *WriteLog) Abandon() {
	if j == nil {
		return
	}
	next := j.entry
	next.records = 0
	j.note(next)
}

func (j *WriteLog) note(next entry) {
	turn := j.memory.turn.Load() + 1
	j.memory.entries[turn%2] = next
	j.memory.turn.Store(turn)
	j.entry = next
}

// journal returns one of the book's.
func (b *SharedCounters) journal(i int) *journal {
	return sys.At[journal](b.memory, b.journals+i*journalSize)
}

// last returns the write that a journal was about last, and the number of the
// page whose records it was.
func (b *SharedCounters) last(i int) (w Write, page int, ok bool) {
	j := b.journal(i)
	length, turn := j.length.Load(), j.turn.Load()
	if length == 0 || length > longestPath || turn == 0 {
		return w, 0, false
	}
	e := j.entries[turn%2]
	const most = 1 << 62
	if e.page >= uint64(len(b.pages)) || e.size > most || e.torn > e.size || e.length > most || e.records > e.length {
		return w, 0, false
	}
	return Write{
		Path: string(j.path[:length]), Device: e.device, Inode: e.inode, Size: int64(e.size),
		Partial: int(e.torn), Length: int(e.length), Records: int(e.records),
		Uncounted: e.open != 0 && b.counters(int(e.page)).Delivered.Load() == e.before,
	}, int(e.page), true
}
