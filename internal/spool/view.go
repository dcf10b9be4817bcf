package spool

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// View is a spool as a process sees it that neither writes nor ships: nothing is made, changed or
// locked, and a running instance is not disturbed. The instance goes on meanwhile: a view has the
// series first, and then the positions of the targets. One goroutine calls the methods.
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

// ListenerView is what the spool has for a listener.
type ListenerView struct {
	Name    string       `json:"name"`
	Series  []SeriesView `json:"series"`
	Targets []TargetView `json:"targets"`

	listener *Listener
	readers  []*Consumer // of the targets, without files
}

// SeriesView is a series.
type SeriesView struct {
	Name     string     `json:"name"` // 12-0: epoch and shard
	Segments int        `json:"segments"`
	First    uint64     `json:"first_record"`
	Records  uint64     `json:"records"`
	Bytes    int64      `json:"bytes"`
	Oldest   *time.Time `json:"oldest"` // when the first record was written; nil: no record
	Writer   *Process   `json:"writer"` // nil: no process appends
}

// NoSpoolError is the error of a path that is no spool.
type NoSpoolError struct{ error }

// Unwrap returns the reason.
func (e NoSpoolError) Unwrap() error { return e.error }

// OpenView reads what a spool has. The error is a NoSpoolError if the path is no spool.
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

// readListener reads the series of a listener, its targets, and the files that were set aside.
func (v *View) readListener(name string) (lv ListenerView, err error) {
	l := &Listener{spool: v.spool, name: name, folder: filepath.Join(v.Path, listenerFolder(name))}
	lv = ListenerView{Name: name, Series: []SeriesView{}, Targets: []TargetView{}, listener: l}
	for range maxAttempts {
		l.series = make(map[string]*Series)
		if err = l.Refresh(); !errors.Is(err, fs.ErrNotExist) { // a segment was removed meanwhile
			break
		}
	}
	if err != nil {
		return lv, err
	}
	writers := make(map[uint64]*Process)
	for _, s := range l.ordered() {
		w, known := writers[s.epoch]
		if !known && s.grows {
			if w, err = v.process(epochsFolder, strconv.FormatUint(s.epoch, 10)); err != nil {
				return lv, err
			}
			writers[s.epoch] = w
		}
		if has := s.extent(); len(has.segments) > 0 || w != nil {
			lv.Series = append(lv.Series, viewSeries(s, w))
		}
		if err := v.readDamaged(s); err != nil {
			return lv, fmt.Errorf("series %s: %w", s.Name, withoutPath(err))
		}
	}
	return lv, v.readTargets(&lv)
}

// maxAttempts is how often a file is read that a running instance replaces or removes meanwhile.
const maxAttempts = 10

func viewSeries(s *Series, writer *Process) SeriesView {
	has := s.extent()
	sv := SeriesView{Name: s.Name, Segments: len(has.segments), First: has.end, Writer: writer}
	for i := range has.segments {
		sv.Bytes += has.bytes(i)
	}
	if len(has.segments) > 0 {
		sv.First = has.segments[0].first
	}
	if sv.Records = has.end - sv.First; sv.Records > 0 {
		oldest := s.written(position{sv.First, sv.First, 0})
		sv.Oldest = &oldest
	}
	return sv
}

// written returns when the record at a position was written, or a little later: as the index says,
// else when the segment was changed.
func (s *Series) written(at position) time.Time {
	if f, err := os.Open(s.path(at.Segment, indexSuffix)); err == nil {
		defer f.Close()
		entry := make([]byte, entrySize)
		for n := int64(0); ; n++ {
			if _, err := io.ReadFull(io.NewSectionReader(f, n*entrySize, entrySize), entry); err != nil {
				break
			}
			if b, ok := parseEntry(entry); ok && b.start <= at.Offset && at.Offset < b.end {
				return b.began.UTC()
			}
		}
	}
	has := s.extent()
	if i := has.find(at.Record); i >= 0 {
		return has.segments[i].began.UTC()
	}
	return time.Time{}
}
