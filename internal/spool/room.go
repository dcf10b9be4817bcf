package spool

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// hasRoom reports whether a write may follow. One write for each shard may exceed MaxSize.
func (s *Spool) hasRoom() bool { return s.Size() < s.MaxSize }

// measureInterval is the least time between two reads of the size of a full spool.
const measureInterval = time.Second

// makeRoom removes the oldest segments if that is the setting. The error is ErrFull.
func (s *Spool) makeRoom() error {
	if !s.hasRoom() {
		s.measureIfDue()
	}
	for !s.hasRoom() {
		if s.WhenFull != DropOldest || !s.dropOldest() {
			s.closeSegments()
			return fmt.Errorf("%w: max_size is %d bytes", ErrFull, s.MaxSize)
		}
	}
	return nil
}

// closeSegments lets idle writers close their segments, which can be removed then.
func (s *Spool) closeSegments() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.writers {
		select {
		case w.full <- struct{}{}:
		default:
		}
	}
}

// measureIfDue reads the size of the spool at most once each measureInterval: another process may have
// made room.
func (s *Spool) measureIfDue() {
	s.removing.Lock()
	due := time.Since(s.measured) >= measureInterval
	s.removing.Unlock()
	if due {
		s.measure() // an error: the size stays, and is read again
	}
}

// dropOldest removes the oldest segment to which nobody appends, and reports whether there was one.
// The records that consumers had not passed are expired. Only the process with the lock drops.
func (s *Spool) dropOldest() bool {
	if !s.Held() {
		return false
	}
	s.removing.Lock()
	defer s.removing.Unlock()
	s.mu.Lock()
	listeners := slices.Collect(maps.Values(s.listeners))
	s.mu.Unlock()
	var oldest *Series
	var of *Listener
	var began time.Time
	for _, l := range listeners {
		if !l.isLoaded() {
			return false
		}
		for _, series := range l.ordered() {
			has := series.extent()
			closed := len(has.segments) > 1 || len(has.segments) == 1 && !has.grows
			if closed && (oldest == nil || has.segments[0].began.Before(began)) {
				oldest, of, began = series, l, has.segments[0].began
			}
		}
	}
	if oldest == nil {
		return false
	}
	of.expire(oldest)
	return true
}

// isLoaded reports whether all consumers have the state that the process before has left.
func (l *Listener) isLoaded() bool {
	l.mu.Lock()
	consumers := slices.Clone(l.consumers)
	l.mu.Unlock()
	return !slices.ContainsFunc(consumers, func(c *Consumer) bool { return !c.isLoaded() })
}

// expire removes the first segment of a series.
func (l *Listener) expire(s *Series) {
	has := s.extent()
	next := has.end
	if len(has.segments) > 1 {
		next = has.segments[1].first
	}
	l.mu.Lock()
	consumers := slices.Clone(l.consumers)
	l.mu.Unlock()
	for _, c := range consumers {
		c.reportExpired(c.expire(s, next), false)
	}
	freed, _ := s.removeBefore(next)
	l.spool.freed(s, freed)
}

// syncRegularly writes new records to the disk, each Sync, until Close.
func (s *Spool) syncRegularly() {
	ticker := time.NewTicker(s.Sync)
	defer ticker.Stop()
	synced := make(map[*Writer]uint64) // the first segment to write
	for {
		select {
		case <-ticker.C:
		case <-s.closed:
			return
		}
		s.mu.Lock()
		writers, listeners := slices.Clone(s.writers), slices.Collect(maps.Values(s.listeners))
		s.mu.Unlock()
		for _, w := range writers {
			if w.unsaved.Swap(false) {
				synced[w] = w.syncFrom(synced[w])
			}
		}
		for _, l := range listeners {
			l.mu.Lock()
			consumers := slices.Clone(l.consumers)
			l.mu.Unlock()
			for _, c := range consumers {
				c.sync()
			}
		}
	}
}

// syncFrom writes the segments from a first record on to the disk, and returns the first record of
// the last segment.
func (w *Writer) syncFrom(first uint64) uint64 {
	segments := w.series.extent().segments
	for _, seg := range segments {
		if seg.first >= first {
			syncFile(w.series.path(seg.first, segmentSuffix))
			syncFile(w.series.path(seg.first, indexSuffix))
		}
	}
	return segments[len(segments)-1].first
}

// syncFile writes a file to the disk, through a descriptor of its own: the writer does not wait. An
// error is ignored: the next call writes what is left, and a removed file needs no write.
func syncFile(path string) {
	if f, err := os.Open(path); err == nil {
		unix.Fdatasync(int(f.Fd()))
		f.Close()
	}
}
