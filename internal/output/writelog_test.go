package output

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/output/file"
	"github.com/udpshard/udpshard/metrics"
)

// witness compares the write log with the file before and after each system call, as a successor
// would after a crash at that point.
type witness struct {
	flaky
	t        *testing.T
	shared   *metrics.SharedCounters
	counters *metrics.Shard
	path     string
	seen     int
	partial  int
}

func (w *witness) NeedsReopen() bool {
	w.check(false)
	return w.flaky.NeedsReopen()
}

func (w *witness) Write(data []byte) (int, error) {
	w.check(true)
	if writes := w.shared.LastWrites(); len(writes) != 1 || writes[0].Length != len(data) || writes[0].Records != strings.Count(string(data), "\n") {
		w.t.Errorf("a write of %d bytes and %d records: write log %+v", len(data), strings.Count(string(data), "\n"), writes)
	}
	n, err := w.flaky.Write(data)
	w.check(true)
	return n, err
}

func (w *witness) check(writing bool) {
	writes := w.shared.LastWrites()
	if len(writes) == 0 && !writing {
		return // the first
	}
	if len(writes) != 1 || writes[0].Uncounted != writing || writes[0].Path != w.path {
		w.t.Errorf("writing %v: write log %+v", writing, writes)
		return
	}
	text := content(w.t, w.path)
	delivered := int(w.counters.Delivered.Load())
	if begin := int(writes[0].Size) - writes[0].Partial; writes[0].Uncounted {
		delivered += strings.Count(text[begin:], "\n")
		if text[:begin] != "" && text[begin-1] != '\n' {
			w.t.Errorf("an incomplete record begins before %d: %+v", begin, writes[0])
		}
	} else if text[:begin] != text[:strings.LastIndexByte(text, '\n')+1] {
		w.t.Errorf("the last record ends at %d: %+v", strings.LastIndexByte(text, '\n')+1, writes[0])
	}
	if lines := strings.Count(text, "\n"); lines != delivered {
		w.t.Errorf("%d lines, and %d are known", lines, delivered)
	}
	w.seen++
	w.partial += writes[0].Partial
}

// Through partial writes, failures and retries, the write log and the file together give the number
// of records at each step.
func TestWriteLogThroughFailures(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	shared, counters := newSharedCounters(t)
	f, err := file.Open(path, counters)
	if err != nil {
		t.Fatal(err)
	}
	const fails = 12
	w := &witness{flaky: flaky{f, rand.New(rand.NewPCG(3, 4)), fails}, t: t, shared: shared, counters: counters, path: path}
	bubble(t, func(t *testing.T) {
		r := newRig(t, w)
		r.stream, r.counters = r.open(t, counters), counters
		for range 60 {
			r.flush(20)
		}
		r.close(t)
		r.counts(t, 1200, 0, 0)
	})
	same(t, "the file", content(t, path), records(0, 1200))
	if w.fails != 0 || w.partial == 0 {
		t.Errorf("%d failures did not come, %d partial bytes", w.fails, w.partial)
	}
	if w.seen < 3*60 {
		t.Errorf("looked %d times", w.seen)
	}
	if writes := shared.LastWrites(); len(writes) != 1 || writes[0].Uncounted || writes[0].Partial != 0 {
		t.Errorf("in the end %+v", writes)
	}
}

// newLoggedRig returns a rig with a write log in shared counters.
func newLoggedRig(t *testing.T, f *fake) (*rig, *metrics.SharedCounters) {
	t.Helper()
	shared, counters := newSharedCounters(t)
	f.log = counters.OpenWriteLog(fakeName)
	r := newRig(t, f)
	r.stream, r.counters = r.open(t, counters), counters
	return r, shared
}

// A write without a byte is closed in the log until the retry.
func TestWriteLogOfAWriteThatFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, shared := newLoggedRig(t, newFake(t, step{0, unix.ENOSPC}))
		r.flush(3)
		synctest.Wait()
		if writes := shared.LastWrites(); len(writes) != 1 || writes[0].Uncounted || writes[0].Size != 0 {
			t.Errorf("%+v", writes)
		}
		r.close(t)
		r.counts(t, 3, 0, 0)
		if writes := shared.LastWrites(); len(writes) != 1 || writes[0].Uncounted || writes[0].Size != int64(len(records(0, 3))) {
			t.Errorf("in the end %+v", writes)
		}
	})
}

// Records that are given up count as lost, so the log has no records to recover.
func TestWriteLogOfAWriteThatIsGivenUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f, release := newFake(t), make(chan struct{})
		f.seen = func() { <-release }
		r, shared := newLoggedRig(t, f)
		r.flush(3)
		synctest.Wait()
		if writes := shared.LastWrites(); len(writes) != 1 || !writes[0].Uncounted || writes[0].Records != 3 {
			t.Errorf("before %+v", writes)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := r.set.Close(ctx); err == nil {
			t.Error("no error")
		}
		r.counts(t, 0, 3, 0)
		if writes := shared.LastWrites(); len(writes) != 1 || writes[0].Records != 0 {
			t.Errorf("%+v", writes)
		}
		close(release)
		synctest.Wait()
	})
}

// After a removal, and after a rename and Reopen, the log has the inode of the new file.
func TestWriteLogFollowsTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	shared, counters := newSharedCounters(t)
	set := openSet(t)
	s := mustOpen(t, set, "file:"+path, 0, counters)
	for i, change := range []func(){
		func() {},
		func() { os.Remove(path) },
		func() { os.Rename(path, path+".1"); set.Reopen(nil) },
	} {
		change()
		want := uint64(i + 1)
		until(t, "the writer has the new file", func() bool {
			if _, err := os.Stat(path); i < 2 || err == nil {
				return true
			}
			return false
		})
		put(s, counters, "x\n")
		until(t, "the record is written", func() bool { return counters.Delivered.Load() == want })
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		at := info.Sys().(*syscall.Stat_t)
		if writes := shared.LastWrites(); len(writes) != 1 || writes[0].Inode != at.Ino || writes[0].Device != at.Dev || writes[0].Path != path {
			t.Errorf("after change %d: %+v, want inode %d", i, writes, at.Ino)
		}
	}
}

// Standard output has no write log, since records there can't be read back.
func TestStandardOutputHasNoWriteLog(t *testing.T) {
	shared, counters := newSharedCounters(t)
	file, err := os.Create(filepath.Join(t.TempDir(), "x"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	defer func(stdout *os.File) { os.Stdout = stdout }(os.Stdout)
	os.Stdout = file
	set := NewSet(func(Event) {})
	put(mustOpen(t, set, "stdout", 0, counters), counters, "x\n")
	if err := set.Close(t.Context()); err != nil || counters.Delivered.Load() != 1 {
		t.Errorf("%d delivered, %v", counters.Delivered.Load(), err)
	}
	if writes := shared.LastWrites(); len(writes) != 0 {
		t.Errorf("%+v", writes)
	}
}

// newSharedCounters returns shared counters of one shard, until the end of the test.
func newSharedCounters(t *testing.T) (*metrics.SharedCounters, *metrics.Shard) {
	t.Helper()
	shared, err := metrics.NewSharedCounters(metrics.Layout{Listener: "a", Shards: 1, Batch: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shared.Close() })
	counters, err := shared.Shard("a", 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	return shared, counters
}
