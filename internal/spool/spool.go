package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// WhenFull is what happens to records for which the spool has no room.
type WhenFull string

// The values of WhenFull.
const (
	Wait       WhenFull = "wait"        // shards wait, and the kernel's receive queues fill
	DropOldest WhenFull = "drop_oldest" // the oldest segment is removed, and its records are expired
)

// Settings are the settings of a Spool.
type Settings struct {
	Path        string
	MaxSize     int64         // bytes
	SegmentSize int64         // bytes; 0: a part of MaxSize
	WhenFull    WhenFull      // "": Wait
	Sync        time.Duration // fdatasync(2) of new records this often; 0: never
	SyncSegment bool          // fdatasync(2) of each closed segment
}

const (
	// maxBlock is the longest block in bytes: the buffer of a shard, with room for one record, and
	// what was pending before.
	maxBlock = 4 << 20
	// blockSize is the size in bytes from which pending lines become a block of the index.
	blockSize = 256 << 10
	// mode of files: other users may not read messages.
	fileMode   = 0o640
	folderMode = 0o750

	maxSegmentSize = 64 << 20
	minSegmentSize = 64 << 10
)

// Spool is an open spool. Any goroutine may call the methods.
type Spool struct {
	Settings
	ID string // 16 hexadecimal digits

	own      atomic.Int64 // bytes of the segments and indexes of this process
	others   atomic.Int64 // bytes of all other files, as far as this process knows
	removing sync.Mutex   // of segments, and while others are measured; before all locks but opening
	measured time.Time    // when others were measured last; guarded by removing

	report    func(Event)
	opening   sync.Mutex // of listeners, before all other locks
	mu        sync.Mutex // only locks of lock.go are acquired while mu is locked
	lock      *Lock      // nil: this process does not ship yet
	listeners map[string]*Listener
	writers   []*Writer
	epoch     uint64   // of this process; 0: nothing is written yet
	epochFile *os.File // locked
	closed    chan struct{}
}

// Open opens a spool, and creates the folder if it is missing. Any goroutine may call report.
func Open(settings Settings, report func(Event)) (*Spool, error) {
	if settings.SegmentSize == 0 {
		settings.SegmentSize = min(max(settings.MaxSize/64, minSegmentSize), maxSegmentSize)
	}
	s := &Spool{Settings: settings, report: report, listeners: make(map[string]*Listener),
		closed: make(chan struct{})}
	if err := s.open(); err != nil {
		return nil, fmt.Errorf("spool %s: %w", settings.Path, withoutPath(err))
	}
	if settings.Sync > 0 {
		go s.syncRegularly()
	}
	return s, nil
}

func (s *Spool) open() error {
	if err := os.MkdirAll(s.Path, folderMode); err != nil {
		return err
	}
	if err := unix.Access(s.Path, unix.W_OK|unix.X_OK); err != nil {
		return err
	}
	if err := s.identify(); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(s.Path, epochsFolder), folderMode); err != nil {
		return err
	}
	return s.measure()
}

// measure reads the size of all segments and indexes but those of this process. Other processes
// write and remove files: measure comes before the first write, before this process ships, and while
// the spool is full.
func (s *Spool) measure() error {
	s.removing.Lock()
	defer s.removing.Unlock()
	s.measured = time.Now()
	folders, err := filepath.Glob(filepath.Join(globEscape(s.Path), "*", "*-*"))
	if err != nil {
		return err
	}
	var sum int64
	for _, folder := range folders {
		epoch, _, isSeries := parseSeriesName(filepath.Base(folder))
		if !isSeries || epoch == s.ownEpoch() {
			continue
		}
		entries, err := os.ReadDir(folder)
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // removed by the active process
			return err
		}
		for _, e := range entries {
			if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
				sum += info.Size()
			}
		}
	}
	s.others.Store(sum)
	return nil
}

// Size returns the bytes of all segments and indexes, as far as this process knows.
func (s *Spool) Size() int64 { return s.own.Load() + s.others.Load() }

// freed notes that files of a series are gone.
func (s *Spool) freed(of *Series, bytes int64) {
	if of.own {
		s.own.Add(-bytes)
		return
	}
	s.others.Add(-bytes)
}

// Free returns the bytes that the file system has for the spool.
func (s *Spool) Free() (int64, error) {
	var fsys unix.Statfs_t
	if err := unix.Statfs(s.Path, &fsys); err != nil {
		return 0, err
	}
	return int64(fsys.Bavail) * fsys.Bsize, nil
}

// Listener returns the series of a listener, and reads what is there.
func (s *Spool) Listener(name string) (*Listener, error) {
	s.opening.Lock()
	defer s.opening.Unlock()
	s.mu.Lock()
	l := s.listeners[name]
	s.mu.Unlock()
	if l != nil {
		return l, nil
	}
	l = &Listener{spool: s, name: name, folder: filepath.Join(s.Path, listenerFolder(name)),
		series: make(map[string]*Series)}
	err := os.MkdirAll(filepath.Join(l.folder, consumersFolder), folderMode)
	if err == nil {
		err = l.Refresh()
	}
	if err != nil {
		return nil, fmt.Errorf("spool %s: %w", s.Path, withoutPath(err))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listeners[name] = l
	return l, nil
}

// OtherListeners returns the names of listeners that have series, and are not in names.
func (s *Spool) OtherListeners(names []string) (others []string, err error) {
	known := make(map[string]bool)
	for _, name := range names {
		known[listenerFolder(name)] = true
	}
	folders, err := filepath.Glob(filepath.Join(globEscape(s.Path), "*", "*-*"))
	for _, folder := range folders {
		parent := filepath.Base(filepath.Dir(folder))
		if _, _, ok := parseSeriesName(filepath.Base(folder)); ok && !known[parent] {
			known[parent] = true
			name, _ := url.PathUnescape(parent)
			others = append(others, name)
		}
	}
	return others, err
}

// globEscape escapes a path for filepath.Glob.
func globEscape(path string) string {
	var escaped []byte
	for i := range len(path) {
		if slices.Contains([]byte(`*?[\`), path[i]) {
			escaped = append(escaped, '\\')
		}
		escaped = append(escaped, path[i])
	}
	return string(escaped)
}

// Close ends the epoch and the shipping of this process. Writers and consumers are closed before.
func (s *Spool) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.closed:
		return
	default:
	}
	close(s.closed)
	if s.epochFile != nil {
		s.epochFile.Close()
	}
	s.lock.Release()
}

// withoutPath returns the error in an fs.PathError.
func withoutPath(err error) error {
	var in *fs.PathError
	if errors.As(err, &in) {
		return in.Err
	}
	return err
}
