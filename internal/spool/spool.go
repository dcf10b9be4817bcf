package spool

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
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

// identity is the content of spool.json.
type identity struct {
	Version int    `json:"version"`
	ID      string `json:"id"`
}

// layout is the version of the layout of the folder.
const layout = 1

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

// identify reads the identity of the spool, or creates the identity for an empty folder.
func (s *Spool) identify() error {
	is, err := s.readIdentity()
	if err == nil && is.ID == "" {
		id := make([]byte, 8)
		rand.Read(id)
		is = identity{layout, hex.EncodeToString(id)}
		data, _ := json.Marshal(is)
		err = replaceFile(filepath.Join(s.Path, identityFile), append(data, '\n'))
	}
	s.ID = is.ID
	return err
}

// readIdentity reads the identity of the spool. The identity of an empty folder is empty.
func (s *Spool) readIdentity() (is identity, err error) {
	data, err := os.ReadFile(filepath.Join(s.Path, identityFile))
	if errors.Is(err, fs.ErrNotExist) {
		entries, err := os.ReadDir(s.Path)
		for _, e := range entries {
			if e.Name() != lostAndFound {
				return is, fmt.Errorf("the folder has other files (%s), and is no spool", e.Name())
			}
		}
		return is, err
	}
	if err != nil {
		return is, err
	}
	if err := json.Unmarshal(data, &is); err != nil || len(is.ID) != 16 {
		return is, fmt.Errorf("%s is damaged", identityFile)
	}
	if is.Version != layout {
		return is, fmt.Errorf("the spool has layout %d, and this program has layout %d", is.Version, layout)
	}
	return is, nil
}

// replaceFile writes a file and renames it to path, so that path has the old or the new content.
func replaceFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(fileMode), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
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

// isWritten reports whether another process may still append to the series of an epoch.
func (s *Spool) isWritten(epoch uint64) bool {
	f, err := os.Open(filepath.Join(s.Path, epochsFolder, strconv.FormatUint(epoch, 10)))
	if err != nil {
		return false
	}
	defer f.Close()
	return isLocked(f)
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
