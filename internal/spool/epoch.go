package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// beginEpoch returns the epoch of this process, and begins one if necessary: the next number, with
// a locked file.
func (s *Spool) beginEpoch() (uint64, error) {
	if s.ownEpoch() == 0 {
		if err := s.measure(); err != nil { // a standby may have opened the spool long ago
			return 0, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.epoch == 0 {
		folder := filepath.Join(s.Path, epochsFolder)
		next, err := s.lastEpoch(folder)
		if err != nil {
			return 0, err
		}
		next++
		path := filepath.Join(folder, strconv.FormatUint(next, 10))
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, fileMode)
		if errors.Is(err, fs.ErrExist) {
			continue // another process was faster
		}
		if err != nil {
			return 0, err
		}
		if err := tryLock(f); err != nil {
			f.Close()
			return 0, err
		}
		var now unix.Stat_t
		if unix.Stat(path, &now) != nil || now.Ino != inode(f) { // removed before the lock
			f.Close()
			continue
		}
		fmt.Fprintf(f, "%d\n", os.Getpid())
		s.epoch, s.epochFile = next, f
	}
	return s.epoch, nil
}

// lastEpoch returns the highest epoch so far: of the files of epochs, and of the series.
func (s *Spool) lastEpoch(folder string) (last uint64, err error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		if epoch, err := strconv.ParseUint(e.Name(), 10, 64); err == nil {
			last = max(last, epoch)
		}
	}
	names, err := filepath.Glob(filepath.Join(globEscape(s.Path), "*", "*-*"))
	for _, name := range names {
		if epoch, _, ok := parseSeriesName(filepath.Base(name)); ok {
			last = max(last, epoch)
		}
	}
	return last, err
}

// isWritten reports whether another process may still append to the series of an epoch.
func (s *Spool) isWritten(epoch uint64) bool {
	f, err := os.Open(filepath.Join(s.Path, epochsFolder, strconv.FormatUint(epoch, 10)))
	if err != nil {
		return false
	}
	defer f.Close()
	return isLocked(f)
}

func (s *Spool) ownEpoch() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.epoch
}
