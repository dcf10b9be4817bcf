package spool

import (
	"bytes"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/output/file"
	"github.com/udpshard/udpshard/metrics"
)

// Writer appends the records of one shard to a series of this process. A Writer is the destination
// of an output: one goroutine calls the methods, apart from Abandon. The first write begins the
// epoch and the series, so a standby writes nothing.
type Writer struct {
	listener *Listener
	shard    int
	counters *metrics.Shard

	series *Series // nil: nothing is written yet
	lines  *file.File
	index  *os.File

	size    int64  // of the segment in bytes, with an incomplete line
	block   block  // pending lines: not in the index yet
	crc     uint32 // of the pending lines, with an incomplete one
	whole   uint32 // likewise, without the incomplete line
	partial int    // bytes of an incomplete line at the end
	noSpace bool   // the file system had no room for the last write
	next    uint64 // number of the next record
	entry   []byte

	full    chan struct{} // see Full
	unsaved atomic.Bool   // lines since the last fdatasync(2)
}

// Writer returns the writer of a shard's records.
func (l *Listener) Writer(shard int, counters *metrics.Shard) *Writer {
	w := &Writer{listener: l, shard: shard, counters: counters, full: make(chan struct{}, 1)}
	l.spool.mu.Lock()
	defer l.spool.mu.Unlock()
	l.spool.writers = append(l.spool.writers, w)
	return w
}

// ErrFull is the error of a write for which the spool has no room.
var ErrFull = errors.New("the spool is full")

// NeedsReopen reports whether Reopen comes before the next write: to open a segment, or to make
// room.
func (w *Writer) NeedsReopen() bool {
	if w.lines == nil || w.isFull() || !w.listener.spool.hasRoom() {
		return true
	}
	return w.lines.NeedsReopen()
}

// isFull reports whether the next write begins a new segment: the segment has SegmentSize, or the
// spool or its file system has no room, and a closed segment can be removed.
func (w *Writer) isFull() bool {
	s, lines := w.listener.spool, w.size-int64(w.partial)
	if lines == 0 {
		return false
	}
	return w.noSpace || w.partial == 0 && (w.size >= s.SegmentSize || !s.hasRoom())
}

// Full implements output.RoomMaker: the channel receives a value when the spool has no room.
func (w *Writer) Full() <-chan struct{} { return w.full }

// MakeRoom implements output.RoomMaker. A segment to which the writer appends is never removed, so
// the segments of idle shards could fill the spool: MakeRoom closes the segment of a full spool. An
// error is ignored: the next write tries again.
func (w *Writer) MakeRoom() {
	if w.lines != nil && w.partial == 0 && w.isFull() {
		w.rotate()
	}
}

// Reopen makes room, and opens a new segment if the present one is full or has lost its name. The
// error is ErrFull while the spool has no room.
func (w *Writer) Reopen() (cut int, err error) {
	switch {
	case w.lines == nil:
		err = w.begin()
	case w.isFull(), w.lines.NeedsReopen():
		cut, err = w.rotate()
	}
	if err != nil {
		return cut, err
	}
	return cut, w.listener.spool.makeRoom()
}

// begin begins the series.
func (w *Writer) begin() error {
	epoch, err := w.listener.spool.beginEpoch()
	if err != nil {
		return withoutPath(err)
	}
	name := seriesName(epoch, w.shard)
	s := &Series{Name: name, Shard: w.shard, epoch: epoch, own: true, grows: true,
		folder: filepath.Join(w.listener.folder, name)}
	if err := os.Mkdir(s.folder, folderMode); err != nil && !errors.Is(err, os.ErrExist) {
		return withoutPath(err)
	}
	if err := w.openIndex(s, 0); err != nil {
		return err
	}
	if w.lines, err = file.Open(s.path(0, segmentSuffix), w.counters); err != nil {
		w.index.Close()
		return err
	}
	w.series = s
	s.segments = []segment{{began: time.Now()}}
	w.listener.add(s)
	w.lines.NeedsReopen()
	return nil
}

func (w *Writer) openIndex(s *Series, first uint64) (err error) {
	index, err := os.OpenFile(s.path(first, indexSuffix), os.O_WRONLY|os.O_CREATE|os.O_APPEND, fileMode)
	if err == nil {
		w.index = index
	}
	return withoutPath(err)
}

// rotate closes the segment without an incomplete line at its end, and opens the next.
func (w *Writer) rotate() (cut int, err error) {
	before, full := w.index, w.series.path(w.first(), segmentSuffix)
	if err := w.openIndex(w.series, w.next); err != nil {
		return 0, err
	}
	cut, err = w.lines.Switch(w.series.path(w.next, segmentSuffix))
	if err != nil {
		w.index.Close()
		w.index = before
		return 0, err
	}
	w.cutPartial()
	after := w.index
	w.index = before
	w.saveBlock()
	w.index = after
	before.Close()
	if w.listener.spool.SyncSegment {
		go syncFile(full)
	}
	closed := w.size
	w.size, w.block, w.crc, w.noSpace = 0, block{first: w.next}, 0, false
	s := w.series
	s.mu.Lock()
	s.segments = slices.Clone(s.segments)
	s.segments[len(s.segments)-1].size = closed
	s.segments = append(s.segments, segment{first: w.next, began: time.Now()})
	s.size = 0
	s.mu.Unlock()
	w.lines.NeedsReopen()
	return cut, nil
}

// cutPartial notes that the file has lost the incomplete line at its end.
func (w *Writer) cutPartial() {
	w.listener.spool.own.Add(-int64(w.partial))
	w.size, w.partial, w.crc = w.size-int64(w.partial), 0, w.whole
}

// Begin implements output.Destination.
func (w *Writer) Begin(shard *metrics.Shard, length, records int) {
	w.lines.Begin(shard, length, records)
}

// Write appends data. Whole lines are for consumers after End.
func (w *Writer) Write(data []byte) (n int, err error) {
	n, err = w.lines.Write(data)
	if n == 0 {
		return n, w.failed(err)
	}
	if w.block.began.IsZero() {
		w.block.began = time.Now()
	}
	w.block.records += uint32(bytes.Count(data[:n], []byte{'\n'}))
	w.size += int64(n)
	w.partial += n
	rest := data[:n]
	if last := bytes.LastIndexByte(rest, '\n'); last >= 0 {
		w.whole = crc32.Update(w.crc, castagnoli, rest[:last+1])
		w.crc, rest = w.whole, rest[last+1:]
		w.partial = len(rest)
	}
	w.crc = crc32.Update(w.crc, castagnoli, rest)
	w.listener.spool.own.Add(int64(n))
	return n, w.failed(err)
}

// failed notes whether the disk is full, and makes room for the next attempt if the oldest records
// may go.
func (w *Writer) failed(err error) error {
	s := w.listener.spool
	w.noSpace = errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)
	if w.noSpace && s.WhenFull == DropOldest {
		s.dropOldest()
	}
	return err
}

// End lets consumers read the whole lines of the write.
func (w *Writer) End(n int) {
	w.lines.End(n)
	s := w.series
	w.next = w.block.first + uint64(w.block.records)
	s.mu.Lock()
	s.size, s.end = w.size-int64(w.partial), w.next
	s.mu.Unlock()
	if w.size-w.block.start >= blockSize {
		w.saveBlock()
	}
	w.unsaved.Store(true)
	w.listener.notify()
}

// saveBlock appends the pending lines to the index. After an error, lines are read unchecked.
func (w *Writer) saveBlock() {
	if w.block.records == 0 || w.partial > 0 {
		return
	}
	w.block.end, w.block.crc = w.size, w.crc
	w.entry = w.block.append(w.entry[:0])
	if n, err := w.index.Write(w.entry); err == nil {
		w.listener.spool.own.Add(entrySize)
	} else if n > 0 { // an incomplete entry would damage those that follow
		if info, err := w.index.Stat(); err == nil {
			w.index.Truncate(info.Size() - int64(n))
		}
	}
	w.block, w.crc = block{start: w.size, first: w.block.next()}, 0
}

// Abandon implements output.Destination.
func (w *Writer) Abandon() { w.lines.Abandon() }

// Close closes the segment.
func (w *Writer) Close() error {
	if w.lines == nil {
		return nil
	}
	w.saveBlock()
	if w.listener.spool.Sync > 0 || w.listener.spool.SyncSegment {
		syncFile(w.series.path(w.first(), segmentSuffix))
	}
	err := errors.Join(w.lines.Close(), w.index.Close())
	w.lines = nil
	return err
}

// first returns the first record of the segment. Only the writer changes the segments' number.
func (w *Writer) first() uint64 {
	segments := w.series.extent().segments
	return segments[len(segments)-1].first
}
