package spool

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// A process that looks at a lock keeps no other from it.
func TestLookingLocksNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	if err := os.WriteFile(path, nil, fileMode); err != nil {
		t.Fatal(err)
	}
	open := func(flag int) *os.File {
		f, err := os.OpenFile(path, flag, 0)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	looker := open(os.O_RDONLY)
	defer looker.Close()
	var looks sync.WaitGroup
	done := make(chan struct{})
	looks.Go(func() {
		for {
			isLocked(looker)
			select {
			case <-done:
				return
			default:
			}
		}
	})
	for range 2000 {
		f := open(os.O_RDWR)
		if err := tryLock(f); err != nil {
			t.Fatal(err)
		}
		if !isLocked(looker) {
			t.Fatal("the lock is not seen")
		}
		other := open(os.O_RDWR)
		if err := tryLock(other); !errors.Is(err, unix.EAGAIN) {
			t.Fatalf("%v, want EAGAIN", err)
		}
		other.Close() // does not release the lock
		if !isLocked(looker) {
			t.Fatal("the lock ended with another open file")
		}
		f.Close()
		if isLocked(looker) {
			t.Fatal("the lock outlives its file")
		}
	}
	close(done)
	looks.Wait()
}
