package spool

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// View is the content of a spool, read by a process that neither writes nor ships. A View creates,
// changes and locks nothing, so a running instance is not disturbed. The instance continues
// meanwhile, so the series are read before the positions of the targets. One goroutine calls the
// methods.
type View struct {
	Path            string         `json:"path"`
	ID              string         `json:"id"`
	SizeBytes       int64          `json:"size_bytes"`
	FreeBytes       int64          `json:"free_bytes"` // of the file system
	Shipper         *Process       `json:"shipper"`    // nil: no process ships
	RejectedRecords uint64         `json:"rejected_records"`
	Listeners       []ListenerView `json:"listeners"`
	Damaged         []DamagedFile  `json:"damaged"` // files that were set aside
	Foreign         []string       `json:"foreign"` // names in the folder that the spool has not made

	spool *Spool
}

// Process is a process that has a lock of the spool.
type Process struct {
	PID int `json:"pid"` // in the PID namespace of that process; 0: unknown
}

// NoSpoolError is the error of a path that is no spool.
type NoSpoolError struct{ error }

// Unwrap returns the reason.
func (e NoSpoolError) Unwrap() error { return e.error }

// OpenView reads the content of a spool. The error is a NoSpoolError if the path is no spool.
func OpenView(path string) (*View, error) {
	v := &View{Path: path, Listeners: []ListenerView{}, Damaged: []DamagedFile{}, Foreign: []string{},
		spool: &Spool{Settings: Settings{Path: path}}}
	err := v.read()
	if err == nil {
		return v, nil
	}
	wrapped := fmt.Errorf("spool %s: %w", path, withoutPath(err))
	var none NoSpoolError
	if errors.As(err, &none) {
		return nil, NoSpoolError{wrapped}
	}
	return nil, wrapped
}

func (v *View) read() error {
	if err := v.identify(); err != nil {
		return err
	}
	entries, err := os.ReadDir(v.Path)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		if isOwnName(name) || name[0] == '.' { // .NAME: not renamed yet
			continue
		}
		listener, ok := listenerOfFolder(name)
		if _, err := os.Stat(filepath.Join(v.Path, name, consumersFolder)); err != nil || !ok {
			if errors.Is(err, fs.ErrPermission) {
				return fmt.Errorf("%s: %w", name, withoutPath(err))
			}
			v.Foreign = append(v.Foreign, name)
			continue
		}
		l, err := v.readListener(listener)
		if err != nil {
			return fmt.Errorf("listener %s: %w", listener, withoutPath(err))
		}
		v.Listeners = append(v.Listeners, l)
	}
	if v.Shipper, err = v.process(lockFile); err != nil {
		return err
	}
	for _, name := range []string{rejectedFile, olderRejected} {
		n, err := countFile(filepath.Join(v.Path, name))
		if err != nil {
			return fmt.Errorf("%s: %w", name, withoutPath(err))
		}
		v.RejectedRecords += n
	}
	if err := v.spool.measure(); err != nil {
		return err
	}
	v.SizeBytes = v.spool.Size()
	v.FreeBytes, err = v.spool.Free()
	return err
}

// identify reads the identity of the spool.
func (v *View) identify() error {
	info, err := os.Stat(v.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENOTDIR):
		return NoSpoolError{withoutPath(err)}
	case err != nil:
		return err
	case !info.IsDir():
		return NoSpoolError{unix.ENOTDIR}
	}
	is, err := v.spool.readIdentity()
	if err != nil {
		if in := withoutPath(err); errors.Is(in, fs.ErrPermission) {
			return fmt.Errorf("%s: %w", identityFile, in)
		}
		return NoSpoolError{err}
	}
	if is.ID == "" {
		return NoSpoolError{errors.New("the folder is empty, and is no spool")}
	}
	v.ID = is.ID
	return nil
}

// process returns the process that has locked a file of the spool; nil: no process.
func (v *View) process(name ...string) (*Process, error) {
	f, err := os.Open(filepath.Join(append([]string{v.Path}, name...)...))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name[0], withoutPath(err))
	}
	defer f.Close()
	if !isLocked(f) {
		return nil, nil
	}
	if name[0] == lockFile {
		return &Process{readOwner(f).PID}, nil
	}
	content := make([]byte, 32)
	n, _ := f.ReadAt(content, 0)
	pid, _ := strconv.Atoi(string(bytes.TrimSpace(content[:n]))) // 0: not written yet
	return &Process{pid}, nil
}

// countFile returns the number of lines of a file, 0 for a file that is not there.
func countFile(path string) (lines uint64, err error) {
	n, _, err := countLines(path, 0)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return uint64(n), err
}
