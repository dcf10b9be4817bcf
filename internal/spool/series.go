package spool

import (
	"cmp"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/udpshard/udpshard/internal/output/file"
)

// Series is the records of one shard in one epoch, in segments.
type Series struct {
	Name  string // 12-0: epoch and shard
	Shard int

	epoch  uint64
	folder string
	own    bool   // this process appends
	suffix string // damagedSuffix for files that were set aside

	mu       sync.Mutex
	segments []segment       // in order; the last one may grow. Elements never change
	size     int64           // bytes of whole lines in the last segment
	end      uint64          // number of the record after the last whole record
	grows    bool            // a process may append
	damaged  map[uint64]bool // the segments with damage, by first record
}

// segment is a file of lines.
type segment struct {
	first uint64    // number of the first record
	size  int64     // bytes of whole lines; of the last segment, see Series.size
	began time.Time // when the first line was written, or a little later
}

func (s *Series) path(first uint64, suffix string) string {
	return filepath.Join(s.folder, segmentName(first)+suffix+s.suffix)
}

// extent is the segments and the end of a series at one moment.
type extent struct {
	segments []segment
	size     int64 // bytes of whole lines in the last segment
	end      uint64
	grows    bool
}

// extent returns the present extent. The caller does not change the segments.
func (s *Series) extent() extent {
	s.mu.Lock()
	defer s.mu.Unlock()
	return extent{s.segments, s.size, s.end, s.grows}
}

// bytes returns the bytes of whole lines in the segment with a number.
func (e extent) bytes(i int) int64 {
	if i == len(e.segments)-1 {
		return e.size
	}
	return e.segments[i].size
}

// find returns the index of the segment that has a record, else of the first segment with later
// records; -1: no such segment.
func (e extent) find(record uint64) int {
	i, found := slices.BinarySearchFunc(e.segments, record, func(s segment, r uint64) int {
		return cmp.Compare(s.first, r)
	})
	switch {
	case found:
		return i
	case i > 0:
		return i - 1
	case len(e.segments) > 0:
		return 0
	}
	return -1
}

// bytes returns the bytes of all segments as of the last scan.
func (s *Series) bytes() (sum int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, seg := range s.segments {
		sum += seg.size
	}
	return sum
}

// has reports whether the extent has segments that are all before a record, and can be removed.
func (e extent) has(before uint64) bool {
	n := len(e.segments)
	return n > 1 && e.segments[1].first <= before || !e.grows && e.end <= before
}

// scan reads the segments of a series that another process has written or writes.
func (s *Series) scan() error {
	entries, err := os.ReadDir(s.folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	known := make(map[uint64]segment, len(s.segments))
	for _, seg := range s.segments {
		known[seg.first] = seg
	}
	var segments []segment
	for _, e := range entries { // sorted by name
		first, ok := parseSegmentName(e.Name())
		if !ok {
			continue
		}
		info, err := e.Info()
		if err != nil { // removed meanwhile
			continue
		}
		seg := known[first]
		if seg.began.IsZero() {
			seg.began = info.ModTime()
		}
		seg.first, seg.size = first, info.Size()
		segments = append(segments, seg)
	}
	if n := len(segments); n > 0 {
		last := &segments[n-1]
		at, from := s.size, s.end // count what has grown
		if old := len(s.segments) - 1; old < 0 || s.segments[old].first != last.first {
			at, from = s.indexed(last.first)
		}
		lines, end, err := countLines(s.path(last.first, segmentSuffix), at)
		if isUnreadable(err) { // the consumer finds the damage in the blocks of the index
			s.markDamagedLocked(last.first)
			err = nil
		}
		if err != nil {
			return err
		}
		s.size, s.end = end, from+uint64(lines)
	}
	s.segments = segments
	return nil
}

// indexed returns where the blocks of a segment's index end.
func (s *Series) indexed(first uint64) (at int64, next uint64) {
	index, err := os.ReadFile(s.path(first, indexSuffix))
	blocks := parseIndex(index)
	if err != nil || len(blocks) == 0 {
		return 0, first
	}
	last := blocks[len(blocks)-1]
	if info, err := os.Stat(s.path(first, segmentSuffix)); err != nil || info.Size() < last.end {
		at = 0
		if info != nil {
			at = info.Size()
		}
		return at, last.next() // cut: the consumer finds the damage
	}
	return last.end, last.next()
}

// countLines returns the number of whole lines of a file from an offset on, and where the last one
// ends.
func countLines(path string, from int64) (lines int, end int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, from, err
	}
	defer f.Close()
	lines, length, err := file.CountLines(io.NewSectionReader(f, from, 1<<62))
	return lines, from + length, err
}

// removeBefore removes the segments whose records are all before a record; the last segment only if
// nobody appends. The files of damaged segments are renamed, and stay for the operator. The results
// are the bytes that became free, and whether the series is empty and stays empty. Any goroutine
// may call removeBefore.
func (s *Series) removeBefore(record uint64) (freed int64, empty bool) {
	s.mu.Lock()
	n := 0
	for n+1 < len(s.segments) && s.segments[n+1].first <= record {
		n++
	}
	if !s.grows && s.end <= record {
		n = len(s.segments)
	}
	gone, damaged := s.segments[:n], s.damaged
	s.segments = s.segments[n:]
	empty = len(s.segments) == 0 && !s.grows
	s.mu.Unlock()
	for _, seg := range gone {
		for _, suffix := range []string{segmentSuffix, indexSuffix} {
			path := s.path(seg.first, suffix)
			if damaged[seg.first] {
				os.Rename(path, path+damagedSuffix)
				continue
			}
			if info, err := os.Stat(path); err == nil {
				freed += info.Size()
			}
			os.Remove(path)
		}
	}
	return freed, empty
}

// markDamaged marks the segment that begins with a record.
func (s *Series) markDamaged(first uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.markDamagedLocked(first)
}

// markDamagedLocked is markDamaged for a caller that holds mu.
func (s *Series) markDamagedLocked(first uint64) {
	damaged := maps.Clone(s.damaged)
	if damaged == nil {
		damaged = make(map[uint64]bool)
	}
	damaged[first] = true
	s.damaged = damaged
}
