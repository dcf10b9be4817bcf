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

// witness looks at the account between the system call and its counting, and
// just before the call, as who comes after a crash there.
type witness struct {
	moody
	t    *testing.T
	book *metrics.SharedCounters
	page *metrics.Shard
	path string
	seen int
	torn int
}

func (w *witness) NeedsReopen() bool {
	w.check(false)
	return w.moody.NeedsReopen()
}

func (w *witness) Write(data []byte) (int, error) {
	w.check(true)
	if writes := w.book.LastWrites(); len(writes) != 1 || writes[0].Length != len(data) || writes[0].Records != strings.Count(string(data), "\n") {
		w.t.Errorf("a write of %d bytes and %d records: journal %+v", len(data), strings.Count(string(data), "\n"), writes)
	}
	n, err := w.moody.Write(data)
	w.check(true)
	return n, err
}

func (w *witness) check(writing bool) {
	writes := w.book.LastWrites()
	if len(writes) == 0 && !writing {
		return // the first
	}
	if len(writes) != 1 || writes[0].Uncounted != writing || writes[0].Path != w.path {
		w.t.Errorf("writing %v: journal %+v", writing, writes)
		return
	}
	text := content(w.t, w.path)
	delivered := int(w.page.Delivered.Load())
	if begin := int(writes[0].Size) - writes[0].Partial; writes[0].Uncounted {
		delivered += strings.Count(text[begin:], "\n")
		if text[:begin] != "" && text[begin-1] != '\n' {
			w.t.Errorf("a torn record begins before %d: %+v", begin, writes[0])
		}
	} else if text[:begin] != text[:strings.LastIndexByte(text, '\n')+1] {
		w.t.Errorf("the last record ends at %d: %+v", strings.LastIndexByte(text, '\n')+1, writes[0])
	}
	if lines := strings.Count(text, "\n"); lines != delivered {
		w.t.Errorf("%d lines, and %d are known", lines, delivered)
	}
	w.seen++
	w.torn += writes[0].Partial
}

// Through partial writes, failures and retries, the journal says at each step
// how to tell what is written and not counted.
func TestJournalThroughTrouble(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	book, err := metrics.NewSharedCounters(metrics.Layout{Listener: "a", Shards: 1, Batch: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer book.Close()
	page, err := book.Shard("a", 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	f, err := file.Open(path, page)
	if err != nil {
		t.Fatal(err)
	}
	const fails = 12
	w := &witness{moody: moody{f, rand.New(rand.NewPCG(3, 4)), fails}, t: t, book: book, page: page, path: path}
	bubble(t, func(t *testing.T) {
		r := newRig(t, w)
		r.stream, r.page = r.open(t, page), page
		for range 60 {
			r.flush(20)
		}
		r.close(t)
		r.counts(t, 1200, 0, 0)
	})
	same(t, "the file", content(t, path), records(0, 1200))
	if w.fails != 0 || w.torn == 0 {
		t.Errorf("%d failures did not come, %d bytes were torn", w.fails, w.torn)
	}
	if w.seen < 3*60 {
		t.Errorf("looked %d times", w.seen)
	}
	if writes := book.LastWrites(); len(writes) != 1 || writes[0].Uncounted || writes[0].Partial != 0 {
		t.Errorf("in the end %+v", writes)
	}
}

// journaled is a rig whose writes are noted in a book.
func journaled(t *testing.T, f *fake) (*rig, *metrics.SharedCounters) {
	t.Helper()
	book, err := metrics.NewSharedCounters(metrics.Layout{Listener: "a", Shards: 1, Batch: 1})
	if err != nil {
		t.Fatal(err)
	}
	page, err := book.Shard("a", 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.log = page.OpenWriteLog(fakeName)
	r := newRig(t, f)
	r.stream, r.page = r.open(t, page), page
	return r, book
}

// A write that brought nothing is over, until it is tried again.
func TestJournalOfAWriteThatFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, book := journaled(t, newFake(t, step{0, unix.ENOSPC}))
		defer book.Close()
		r.flush(3)
		synctest.Wait()
		if writes := book.LastWrites(); len(writes) != 1 || writes[0].Uncounted || writes[0].Size != 0 {
			t.Errorf("%+v", writes)
		}
		r.close(t)
		r.counts(t, 3, 0, 0)
		if writes := book.LastWrites(); len(writes) != 1 || writes[0].Uncounted || writes[0].Size != int64(len(records(0, 3))) {
			t.Errorf("in the end %+v", writes)
		}
	})
}

// What was given up is counted as lost: who finds it written counts nothing.
func TestJournalOfAWriteThatIsGivenUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f, release := newFake(t), make(chan struct{})
		f.seen = func() { <-release }
		r, book := journaled(t, f)
		defer book.Close()
		r.flush(3)
		synctest.Wait()
		if writes := book.LastWrites(); len(writes) != 1 || !writes[0].Uncounted || writes[0].Records != 3 {
			t.Errorf("before %+v", writes)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := r.set.Close(ctx); err == nil {
			t.Error("it was in time")
		}
		r.counts(t, 0, 3, 0)
		if writes := book.LastWrites(); len(writes) != 1 || writes[0].Records != 0 {
			t.Errorf("%+v", writes)
		}
		close(release)
		synctest.Wait()
	})
}

// A removed file is made anew, a renamed one is left: the journal goes along.
func TestJournalFollowsTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	book, err := metrics.NewSharedCounters(metrics.Layout{Listener: "a", Shards: 1, Batch: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer book.Close()
	page, err := book.Shard("a", 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	set := openSet(t)
	s := mustOpen(t, set, "file:"+path, 0, page)
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
		put(s, page, "x\n")
		until(t, "it is written", func() bool { return page.Delivered.Load() == want })
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		at := info.Sys().(*syscall.Stat_t)
		if writes := book.LastWrites(); len(writes) != 1 || writes[0].Inode != at.Ino || writes[0].Device != at.Dev || writes[0].Path != path {
			t.Errorf("after change %d: %+v, want inode %d", i, writes, at.Ino)
		}
	}
}

// Standard output has no journal: what is written there can't be looked at.
func TestStandardOutputHasNoJournal(t *testing.T) {
	book, err := metrics.NewSharedCounters(metrics.Layout{Listener: "a", Shards: 1, Batch: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer book.Close()
	page, err := book.Shard("a", 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Create(filepath.Join(t.TempDir(), "x"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	defer func(stdout *os.File) { os.Stdout = stdout }(os.Stdout)
	os.Stdout = file
	set := NewSet(func(Event) {})
	put(mustOpen(t, set, "stdout", 0, page), page, "x\n")
	if err := set.Close(t.Context()); err != nil || page.Delivered.Load() != 1 {
		t.Errorf("%d delivered, %v", page.Delivered.Load(), err)
	}
	if writes := book.LastWrites(); len(writes) != 0 {
		t.Errorf("%+v", writes)
	}
}
