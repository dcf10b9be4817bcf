package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Probe returns the error with which Open or Acquire would fail, and makes nothing: an *InUseError
// if a process ships from the spool. Any goroutine may call Probe.
func Probe(path string) error {
	s := &Spool{Settings: Settings{Path: path}}
	if err := s.probe(); err != nil {
		return fmt.Errorf("spool %s: %w", path, withoutPath(err))
	}
	return s.CheckLock("")
}

func (s *Spool) probe() error {
	info, err := os.Stat(s.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return probeParent(s.Path)
	case err != nil:
		return err
	case !info.IsDir():
		return unix.ENOTDIR
	}
	if err := access(s.Path); err != nil {
		return err
	}
	_, err = s.readIdentity()
	return err
}

// probeParent returns the error with which os.MkdirAll would fail at the nearest folder above path
// that is there.
func probeParent(path string) error {
	folder := filepath.Dir(path)
	info, err := os.Stat(folder)
	switch {
	case errors.Is(err, fs.ErrNotExist) && folder != path:
		return probeParent(folder)
	case err != nil:
		return err
	case !info.IsDir():
		return unix.ENOTDIR
	}
	return access(folder)
}

// access returns an error if this process cannot make files in a folder.
func access(folder string) error {
	return unix.Faccessat(unix.AT_FDCWD, folder, unix.W_OK|unix.X_OK, unix.AT_EACCESS)
}
