package output

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/output/file"
	"github.com/udpshard/udpshard/metrics"
)

// After a rename, records go to the old file until Reopen, and then to a new file of the old name.
func TestReopenAfterRename(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	set := openSet(t)
	counters := metrics.NewShard(0, 0)
	s := mustOpen(t, set, "file:"+path, 0, counters)
	put(s, counters, "1\n")
	until(t, "1 is written", func() bool { return counters.Delivered.Load() == 1 })
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	put(s, counters, "2\n")
	until(t, "2 is written", func() bool { return counters.Delivered.Load() == 2 })
	if _, err := os.Stat(path); err == nil {
		t.Error("a renamed file was replaced without Reopen")
	}
	reopened := make(chan [2]int, 1)
	set.Reopen(func(opened, failed int) { reopened <- [2]int{opened, failed} })
	if got := <-reopened; got != [2]int{1, 0} {
		t.Errorf("opened and failed: %v, want 1 and 0", got)
	}
	until(t, "there is a new file", func() bool { _, err := os.Stat(path); return err == nil })
	put(s, counters, "3\n")
	until(t, "3 is written", func() bool { return counters.Delivered.Load() == 3 })
	if got := content(t, path+".1"); got != "1\n2\n" {
		t.Errorf("the old file holds %q", got)
	}
	if got := content(t, path); got != "3\n" {
		t.Errorf("the new file holds %q", got)
	}
}

// A removed file is made again without Reopen.
func TestARemovedFileIsMadeAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	set := openSet(t)
	counters := metrics.NewShard(0, 0)
	s := mustOpen(t, set, "file:"+path, 0, counters)
	put(s, counters, "1\n")
	until(t, "1 is written", func() bool { return counters.Delivered.Load() == 1 })
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	put(s, counters, "2\n")
	until(t, "2 is written", func() bool { return counters.Delivered.Load() == 2 })
	if got := content(t, path); got != "2\n" {
		t.Errorf("the new file holds %q", got)
	}
}

// While a removed file can't be made again, records wait, and do not go to the file without a name.
func TestARemovedDirectoryIsWaitedFor(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	reported := make(chan Event, 10)
	set := NewSet(func(e Event) { reported <- e })
	counters := metrics.NewShard(0, 0)
	s := mustOpen(t, set, "file:"+dir+"/x", 0, counters)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	put(s, counters, "1\n")
	if e := next(t, reported); !errors.Is(e.Err, unix.ENOENT) || e.Destination != dir+"/x" {
		t.Errorf("event %+v: want no such file or directory", e)
	}
	if got := counters.Read(); got.InFlight != 1 {
		t.Errorf("in flight %d, delivered %d", got.InFlight, got.Delivered)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if e := next(t, reported); e.Err != nil {
		t.Errorf("event %+v: want recovery", e)
	}
	if err := set.Close(context.Background()); err != nil {
		t.Error(err)
	}
	if got := content(t, dir+"/x"); got != "1\n" {
		t.Errorf("the new file holds %q", got)
	}
}

// /dev/full fails with a real ENOSPC. Records flow again when the path is another file.
func TestADeviceThatIsFull(t *testing.T) {
	const full = "/dev/full"
	if _, err := os.Stat(full); err != nil {
		t.Skip("this host has no /dev/full: mknod -m 666 /dev/full c 1 7")
	}
	path := filepath.Join(t.TempDir(), "x")
	if err := os.Symlink(full, path); err != nil {
		t.Fatal(err)
	}
	reported := make(chan Event, 10)
	set := NewSet(func(e Event) { reported <- e })
	counters := metrics.NewShard(0, 0)
	s := mustOpen(t, set, "file:"+path, 0, counters)
	put(s, counters, "1\n")
	put(s, counters, "2\n")
	e := next(t, reported)
	if !errors.Is(e.Err, unix.ENOSPC) || strings.Contains(e.Err.Error(), path) {
		t.Errorf("event %+v: want ENOSPC, without the path that the event has", e)
	}
	if got := counters.Read(); got.InFlight != 2 {
		t.Errorf("in flight %d, delivered %d", got.InFlight, got.Delivered)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	set.Reopen(nil)
	if e := next(t, reported); e.Err != nil || e.Failing <= 0 {
		t.Errorf("event %+v: want recovery", e)
	}
	if err := set.Close(context.Background()); err != nil {
		t.Error(err)
	}
	if got := content(t, path); got != "1\n2\n" {
		t.Errorf("the new file holds %q", got)
	}
}

// next returns the next event.
func next(t *testing.T, events <-chan Event) Event {
	t.Helper()
	select {
	case e := <-events:
		return e
	case <-time.After(20 * time.Second):
		t.Fatal("no event")
		return Event{}
	}
}

// After a failed reopen the previous file stays in use, an event reports the failure, and the
// reopen is retried.
func TestReopenFails(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	reported := make(chan Event, 10)
	set := NewSet(func(e Event) { reported <- e })
	counters := metrics.NewShard(0, 0)
	s := mustOpen(t, set, "file:"+dir+"/x", 0, counters)
	if err := os.Rename(dir, dir+".old"); err != nil {
		t.Fatal(err)
	}
	beside := mustOpen(t, set, "file:"+filepath.Join(t.TempDir(), "y"), 0, counters)
	mustOpen(t, set, "stdout", 0, counters)
	reopened := make(chan [2]int, 1)
	set.Reopen(func(opened, failed int) { reopened <- [2]int{opened, failed} })
	if got := <-reopened; got != [2]int{1, 1} {
		t.Errorf("opened and failed: %v, want 1 and 1", got)
	}
	beside.Flush()
	if e := next(t, reported); !errors.Is(e.Err, unix.ENOENT) || !e.Reopen {
		t.Errorf("event %+v: want no such file at a reopen", e)
	}
	put(s, counters, "1\n")
	until(t, "1 is written", func() bool { return counters.Delivered.Load() == 1 })
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if e := next(t, reported); e.Err != nil || !e.Reopen {
		t.Errorf("event %+v: want a successful reopen", e)
	}
	put(s, counters, "2\n")
	if err := set.Close(context.Background()); err != nil {
		t.Error(err)
	}
	if got := content(t, dir+".old/x"); got != "1\n" {
		t.Errorf("the old file holds %q", got)
	}
	if got := content(t, dir+"/x"); got != "2\n" {
		t.Errorf("the new file holds %q", got)
	}
}

// short is a file that accepts a part of the first write, as on a full disk, and then nothing until
// Reopen.
type short struct {
	*file.File
	take int // -1: all
}

func (s *short) Write(data []byte) (int, error) {
	if s.take < 0 {
		return s.File.Write(data)
	}
	n, err := s.File.Write(data[:s.take])
	s.take = 0
	return n, errors.Join(err, unix.ENOSPC)
}

func (s *short) Reopen() (int, error) {
	s.take = -1
	return s.File.Reopen()
}

// Reopen cuts an incomplete record off the old file, unless another program has appended meanwhile.
func TestReopenCutsThePartialRecord(t *testing.T) {
	for _, meddled := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), "x")
		f, err := file.Open(path, metrics.NewShard(0, 0))
		if err != nil {
			t.Fatal(err)
		}
		r := newRig(t, &short{f, len(records(0, 2)) + 3})
		r.flush(5)
		until(t, "a part is written", func() bool { return r.counters.Delivered.Load() == 2 })
		old := records(0, 2)
		if meddled {
			other, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			other.WriteString("theirs\n")
			other.Close()
			old += record(2)[:3] + "theirs\n"
		}
		if err := os.Rename(path, path+".1"); err != nil {
			t.Fatal(err)
		}
		r.set.Reopen(nil)
		r.close(t)
		if got := content(t, path+".1"); got != old {
			t.Errorf("meddled %v: the old file holds %q, want %q", meddled, got, old)
		}
		if got := content(t, path); got != records(2, 5) {
			t.Errorf("meddled %v: the new file holds %q, want %q", meddled, got, records(2, 5))
		}
	}
}

// A named pipe needs no reader, and readers may come and go.
func TestReadersOfAPipeComeAndGo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	set := NewSet(func(e Event) { t.Errorf("event %+v", e) })
	counters := metrics.NewShard(0, 0)
	s := mustOpen(t, set, "file:"+path, 0, counters)
	for i := range 3 {
		line := fmt.Sprintf("%d\n", i)
		put(s, counters, line)
		reader, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(line))
		if _, err := io.ReadFull(reader, got); err != nil || string(got) != line {
			t.Errorf("read %q, %v, want %q", got, err, line)
		}
		reader.Close()
	}
	if err := set.Close(context.Background()); err != nil {
		t.Error(err)
	}
	if got := counters.Read(); got.Delivered != 3 || got.Dropped.Output != 0 {
		t.Errorf("delivered %d, lost %d; want 3, 0", got.Delivered, got.Dropped.Output)
	}
}
