package metrics

import (
	"sync/atomic"

	"github.com/udpshard/udpshard/internal/sys"
)

// WriteLog is the log of one output's last write(2). An entry is logged before the write and after
// the counting of the written records. If the process dies in between, a successor learns from the
// entry where in the file the records may be. The methods are for one goroutine at a time, and do
// nothing if the WriteLog is nil.
type WriteLog struct {
	shared *SharedCounters
	memory *writeLogMemory
	entry  entry // the last one
}

// Write is an entry of a WriteLog: one write to the destination of an output.
type Write struct {
	Path      string // of the destination when it was opened
	Device    uint64
	Inode     uint64 // 0: the destination is not a regular file
	Size      int64  // of the file before the write; after End, where the counted bytes end
	Partial   int    // bytes of an incomplete record before Size
	Length    int    // bytes to write
	Records   int    // that end in the bytes to write
	Uncounted bool   // the records of the write are not in Delivered
}

const (
	maxPathLen   = 4096 // PATH_MAX (limits.h): open(2) refuses longer paths
	writeLogSize = 34 * cacheLine
	entrySize    = 9 * 8
)

// writeLogMemory is a WriteLog in shared counters. A new entry overwrites the entry that is not
// valid, and one store then makes the new entry the valid one: a complete entry is valid at every
// instruction.
type writeLogMemory struct {
	length   atomic.Uint64 // of path; 0: the write log is not in use
	sequence atomic.Uint64 // entries[sequence%2] is valid; 0: none is
	entries  [2]entry
	path     [maxPathLen]byte
	_        [writeLogSize - 2*8 - 2*entrySize - maxPathLen]byte
}

type entry struct {
	begun     uint64 // 1: Begin has logged the entry; 0: End has
	shard     uint64 // number of the shard whose records are written
	delivered uint64 // Delivered of the shard before the write
	device    uint64
	inode     uint64
	size      uint64
	partial   uint64
	length    uint64
	records   uint64
}

// OpenWriteLog returns a write log for a destination, and nil if the shard is not in shared
// counters. Shared counters have a write log for each shard, since each shard has one destination.
func (s *Shard) OpenWriteLog(path string) *WriteLog {
	sc := s.shared
	if sc == nil || path == "" || len(path) > maxPathLen {
		return nil
	}
	sc.mu.Lock()
	defer sc.mu.Unlock()
	if sc.usedLogs == len(sc.shards) {
		return nil
	}
	m := sc.writeLog(sc.usedLogs)
	sc.usedLogs++
	copy(m.path[:], path)
	m.length.Store(uint64(len(path)))
	return &WriteLog{shared: sc, memory: m}
}

// Begin logs that w, of records of a shard, is about to be written. Until End, only the caller adds
// to Delivered of the shard.
func (l *WriteLog) Begin(shard *Shard, w Write) {
	if l == nil || shard.shared != l.shared {
		return
	}
	l.append(entry{
		begun: 1, shard: uint64(shard.number), delivered: shard.Delivered.Load(),
		device: w.Device, inode: w.Inode, size: uint64(w.Size), partial: uint64(w.Partial),
		length: uint64(w.Length), records: uint64(w.Records),
	})
}

// End logs that n bytes are written and their records counted, and that the file ends in partial
// bytes of an incomplete record.
func (l *WriteLog) End(n, partial int) {
	if l == nil {
		return
	}
	next := l.entry
	next.begun, next.partial = 0, uint64(partial)
	next.size += uint64(n)
	l.append(next)
}

// Abandon logs that the records of the write that has begun are counted as lost, even if they are
// written after all.
func (l *WriteLog) Abandon() {
	if l == nil {
		return
	}
	next := l.entry
	next.records = 0
	l.append(next)
}

func (l *WriteLog) append(next entry) {
	sequence := l.memory.sequence.Load() + 1
	l.memory.entries[sequence%2] = next
	l.memory.sequence.Store(sequence)
	l.entry = next
}

func (sc *SharedCounters) writeLog(i int) *writeLogMemory {
	return sys.At[writeLogMemory](sc.memory, sc.writeLogs+i*writeLogSize)
}

// lastWrite returns the valid entry of a write log, and the number of the shard whose records are
// written.
func (sc *SharedCounters) lastWrite(i int) (w Write, shard int, ok bool) {
	m := sc.writeLog(i)
	length, sequence := m.length.Load(), m.sequence.Load()
	e := m.entries[sequence%2]
	const limit = 1 << 62
	if length == 0 || length > maxPathLen || sequence == 0 || e.shard >= uint64(len(sc.shards)) ||
		e.size > limit || e.partial > e.size || e.length > limit || e.records > e.length {
		return w, 0, false
	}
	return Write{
		Path: string(m.path[:length]), Device: e.device, Inode: e.inode, Size: int64(e.size),
		Partial: int(e.partial), Length: int(e.length), Records: int(e.records),
		Uncounted: e.begun != 0 && sc.counters(int(e.shard)).Delivered.Load() == e.delivered,
	}, int(e.shard), true
}

// LastWrites returns the last write to each destination, of a process of which no thread runs.
func (sc *SharedCounters) LastWrites() (writes []Write) {
	for i := range sc.shards {
		if w, _, ok := sc.lastWrite(i); ok {
			writes = append(writes, w)
		}
	}
	return writes
}
