package spool

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Lock is held by the process that ships from a spool and removes segments. The processes of one
// takeover path share a token, and may replace each other's locks. So a stopped process that holds
// the lock does not block its successor. Held tells the stopped process about the loss when the
// process wakes up.
type Lock struct {
	path string
	mu   sync.Mutex
	file *os.File // nil: released
	ino  uint64
}

// owner is the content of a lock file.
type owner struct {
	PID   int    `json:"pid"` // in the PID namespace of the process
	Token string `json:"token"`
}

// InUseError is the error of a spool from which another process ships.
type InUseError struct {
	PID  int // in the PID namespace of that process; 0: unknown
	same bool
}

func (e *InUseError) Error() string {
	return fmt.Sprintf("process %d uses the spool", e.PID)
}

// IsPredecessor reports whether the process has the token with which Acquire was called.
func (e *InUseError) IsPredecessor() bool { return e.same }

// Acquire acquires the lock of the spool. The error is an *InUseError if another process has the
// lock.
func (s *Spool) Acquire(token string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lock != nil {
		return nil
	}
	path := filepath.Join(s.Path, lockFile)
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, fileMode)
		if err != nil {
			return fmt.Errorf("spool %s: %w", s.Path, withoutPath(err))
		}
		if err := tryLock(f); err != nil {
			defer f.Close()
			if !errors.Is(err, unix.EAGAIN) {
				return fmt.Errorf("spool %s: lock: %w", s.Path, err)
			}
			by := awaitOwner(f, token)
			return fmt.Errorf("spool %s: %w", s.Path, &InUseError{by.PID, by.Token == token})
		}
		l := &Lock{path: path, file: f, ino: inode(f)}
		if !l.Held() { // replaced meanwhile
			f.Close()
			continue
		}
		if err := l.write(token); err != nil {
			f.Close()
			return fmt.Errorf("spool %s: lock: %w", s.Path, err)
		}
		s.lock = l
		return nil
	}
}

// Seize replaces the lock of a process that has the same token, and does not release its lock.
func (s *Spool) Seize(token string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, err := os.CreateTemp(s.Path, "."+lockFile+".*")
	if err != nil {
		return fmt.Errorf("spool %s: %w", s.Path, withoutPath(err))
	}
	l := &Lock{path: filepath.Join(s.Path, lockFile), file: f, ino: inode(f)}
	err = errors.Join(f.Chmod(fileMode), tryLock(f), l.write(token))
	if err == nil {
		err = os.Rename(f.Name(), l.path)
	}
	if err != nil {
		os.Remove(f.Name())
		f.Close()
		return fmt.Errorf("spool %s: lock: %w", s.Path, withoutPath(err))
	}
	s.lock = l
	return nil
}

// AcquirePatience is how long a process waits for its predecessor to release the lock, before the
// process seizes the lock. StopPatience is the longest time in which a predecessor that runs stops
// shipping and releases the lock.
const (
	AcquirePatience = 2 * time.Second
	StopPatience    = time.Second
)

// Held reports whether this process holds the lock of the spool: after Acquire or Seize, and until
// Release or the loss of the lock.
func (s *Spool) Held() bool {
	s.mu.Lock()
	l := s.lock
	s.mu.Unlock()
	return l != nil && l.Held()
}

// Release releases the lock, for the next process that ships.
func (s *Spool) Release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lock.Release()
}

// CheckLock returns the error with which Acquire would fail, and nil if a process with the same
// token has the lock.
func (s *Spool) CheckLock(token string) error {
	f, err := os.Open(filepath.Join(s.Path, lockFile))
	if err != nil {
		return nil // nobody has locked the spool
	}
	defer f.Close()
	if !isLocked(f) {
		return nil
	}
	if by := awaitOwner(f, token); by.Token != token {
		return fmt.Errorf("spool %s: %w", s.Path, &InUseError{PID: by.PID})
	}
	return nil
}

// Held reports whether the lock was neither released nor replaced.
func (l *Lock) Held() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	var now unix.Stat_t
	return l.file != nil && unix.Stat(l.path, &now) == nil && now.Ino == l.ino
}

// Release releases the lock.
func (l *Lock) Release() {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		l.file.Close()
		l.file = nil
	}
}

func (l *Lock) write(token string) error {
	data, err := json.Marshal(owner{os.Getpid(), token})
	if err != nil {
		return err
	}
	if err := l.file.Truncate(0); err != nil {
		return err
	}
	_, err = l.file.WriteAt(append(data, '\n'), 0)
	return err
}

// ownerPatience is how long a process with the lock may take to write its token into the file. Until
// then, the file is empty, or has the token of the process before.
const ownerPatience = 300 * time.Millisecond

// awaitOwner reads the process that has the lock: the one with the token, if the token appears
// within ownerPatience.
func awaitOwner(f *os.File, token string) owner {
	for deadline := time.Now().Add(ownerPatience); ; time.Sleep(ownerPatience / 30) {
		o := readOwner(f)
		if o.PID != 0 && o.Token == token || time.Now().After(deadline) {
			return o
		}
	}
}

func readOwner(f *os.File) (o owner) {
	content := make([]byte, 512)
	n, _ := f.ReadAt(content, 0)
	json.Unmarshal(content[:n], &o) // the zero owner: not written yet
	return o
}

func inode(f *os.File) uint64 {
	var stat unix.Stat_t
	unix.Fstat(int(f.Fd()), &stat)
	return stat.Ino
}
