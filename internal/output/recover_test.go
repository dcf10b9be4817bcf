package output

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/metrics"
)

// written makes a file as a writer left it that died: text is in it, of which
// the last write began at size, after torn bytes of a record.
func written(t *testing.T, text string, w metrics.Write) (string, metrics.Write) {
	t.Helper()
	w.Path = filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(w.Path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(w.Path)
	if err != nil {
		t.Fatal(err)
	}
	at, _ := placeOf(info)
	w.Device, w.Inode = at.device, at.inode
	return w.Path, w
}

func TestRecover(t *testing.T) {
	for name, test := range map[string]struct {
		text    string
		write   metrics.Write
		records int
		left    string
		err     string
	}{
		"nothing was written":       {"a\nb\n", metrics.Write{Size: 4, Length: 6, Records: 3, Uncounted: true}, 0, "a\nb\n", ""},
		"all was":                   {"a\nb\nc\nd\n", metrics.Write{Size: 4, Length: 4, Records: 2, Uncounted: true}, 2, "a\nb\nc\nd\n", ""},
		"whole records":             {"a\nb\nc\n", metrics.Write{Size: 4, Length: 4, Records: 2, Uncounted: true}, 1, "a\nb\nc\n", ""},
		"a part of one":             {"a\nb\nc\nlong", metrics.Write{Size: 4, Length: 10, Records: 2, Uncounted: true}, 1, "a\nb\nc\n", ""},
		"a part of the first":       {"a\nb\nlo", metrics.Write{Size: 4, Length: 10, Records: 2, Uncounted: true}, 0, "a\nb\n", ""},
		"the rest of a torn one":    {"a\nlong\nb\nc", metrics.Write{Size: 4, Partial: 2, Length: 9, Records: 3, Uncounted: true}, 2, "a\nlong\nb\n", ""},
		"less than the rest":        {"a\nlon", metrics.Write{Size: 4, Partial: 2, Length: 9, Records: 3, Uncounted: true}, 0, "a\n", ""},
		"a torn one, at rest":       {"a\nlo", metrics.Write{Size: 4, Partial: 2, Length: 9, Records: 3}, 0, "a\n", ""},
		"nothing torn, at rest":     {"a\nlo", metrics.Write{Size: 4, Length: 9, Records: 3}, 0, "a\nlo", ""},
		"it was cut already":        {"a\n", metrics.Write{Size: 4, Partial: 2, Length: 9, Records: 3}, 0, "a\n", ""},
		"counted, at rest":          {"a\nb\nc\n", metrics.Write{Size: 2, Length: 4, Records: 2}, 0, "a\nb\nc\n", ""},
		"given up":                  {"a\nb\nc", metrics.Write{Size: 2, Length: 4, Uncounted: true}, 0, "a\nb\n", ""},
		"an empty file":             {"", metrics.Write{Length: 4, Records: 2, Uncounted: true}, 0, "", ""},
		"the first of a file":       {"a\nb", metrics.Write{Length: 4, Records: 2, Uncounted: true}, 1, "a\n", ""},
		"not ours before":           {"theirs", metrics.Write{Size: 6, Length: 4, Records: 2, Uncounted: true}, 0, "theirs", ""},
		"others appended":           {"a\nb\nc\nd\ntheirs", metrics.Write{Size: 2, Length: 4, Records: 2, Uncounted: true}, 2, "a\nb\nc\nd\ntheirs", "somebody else has appended"},
		"others appended, at rest":  {"a\nlotheirs", metrics.Write{Size: 4, Partial: 2}, 0, "a\nlotheirs", "somebody else has appended"},
		"a line more, at rest":      {"a\nlotheirs\n", metrics.Write{Size: 4, Partial: 2, Length: 4, Records: 2}, 0, "a\nlotheirs\n", "somebody else has appended"},
		"others cut it":             {"a\n", metrics.Write{Size: 4, Partial: 1, Length: 4, Records: 2, Uncounted: true}, 0, "a\n", "somebody has cut it"},
		"long":                      {strings.Repeat("x", 99) + "\n" + strings.Repeat(strings.Repeat("y", 99)+"\n", 2000) + "zzz", metrics.Write{Size: 100, Length: 300_000, Records: 3000, Uncounted: true}, 2000, strings.Repeat("x", 99) + "\n" + strings.Repeat(strings.Repeat("y", 99)+"\n", 2000), ""},
		"one that is longer than a": {strings.Repeat("y", 200_000), metrics.Write{Length: 300_000, Records: 1, Uncounted: true}, 0, "", ""},
	} {
		path, w := written(t, test.text, test.write)
		records, err := Recover(t.Context(), w)
		if records != test.records || (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%s: %d records, %v; want %d, %q", name, records, err, test.records, test.err)
		}
		if got := content(t, path); got != test.left {
			t.Errorf("%s: %d bytes are left, want %d: %.40q", name, len(got), len(test.left), got)
		}
		if again, err := Recover(t.Context(), w); again != test.records || (err == nil) != (test.err == "") {
			t.Errorf("%s: a second time %d, %v", name, again, err)
		}
	}
}

// logrotate has been there: under another name it is the same file, and
// another file under its name is none of ours.
func TestRecoverFindsARenamedFile(t *testing.T) {
	path, w := written(t, "a\nb\nc", metrics.Write{Size: 2, Length: 4, Records: 2, Uncounted: true})
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	for _, other := range []string{"", "new\nne"} {
		if other != "" {
			if err := os.WriteFile(path, []byte(other), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if records, err := Recover(t.Context(), w); records != 1 || err != nil {
			t.Errorf("%d, %v", records, err)
		}
		if got := content(t, path+".1"); got != "a\nb\n" {
			t.Errorf("the renamed one holds %q", got)
		}
	}
	if got := content(t, path); got != "new\nne" {
		t.Errorf("the new one holds %q", got)
	}
	if err := os.Remove(path + ".1"); err != nil {
		t.Fatal(err)
	}
	if records, err := Recover(t.Context(), w); records != 0 || err == nil || !strings.Contains(err.Error(), "up to 2 records of its last write count as lost") ||
		!strings.Contains(err.Error(), "not in its folder any more") {
		t.Errorf("%d, %v", records, err)
	}
	if w.Uncounted = false; w.Partial == 0 {
		w.Partial = 1
	}
	if _, err := Recover(t.Context(), w); err == nil || !strings.Contains(err.Error(), "last line may be cut short") {
		t.Errorf("%v", err)
	}
	if err := os.RemoveAll(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	if _, err := Recover(t.Context(), w); err == nil || strings.Contains(err.Error(), path) {
		t.Errorf("%v", err)
	}
}

// At a pipe there is nothing to look at, and it is not waited for.
func TestRecoverLeavesPipesAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if records, err := Recover(t.Context(), metrics.Write{Path: path, Length: 10, Records: 2, Uncounted: true}); records != 0 || err != nil {
		t.Errorf("%d, %v", records, err)
	}
	if _, err := Recover(t.Context(), metrics.Write{Path: path, Inode: 7, Length: 10, Records: 2, Uncounted: true}); err == nil {
		t.Error("a pipe took the place of the file, and nothing is said")
	}
}

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
	f, err := openFile(path, page)
	if err != nil {
		t.Fatal(err)
	}
	const fails = 12
	w := &witness{moody: moody{f, rand.New(rand.NewPCG(3, 4)), fails}, t: t, book: book, page: page, path: path}
	bubble(t, func(t *testing.T) {
		r := newRig(t, w, nil)
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
	r := newRig(t, f, nil)
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
		at, _ := placeOf(info)
		if writes := book.LastWrites(); len(writes) != 1 || writes[0].Inode != at.inode || writes[0].Device != at.device || writes[0].Path != path {
			t.Errorf("after change %d: %+v, want inode %d", i, writes, at.inode)
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

// A file system that does not answer keeps nobody waiting, and what comes of it later is
// closed.
func TestAFileSystemThatDoesNotAnswer(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	file, err := os.Create(filepath.Join(t.TempDir(), "records"))
	if err != nil {
		t.Fatal(err)
	}
	answer := make(chan struct{})
	looking := make(chan struct{})
	go func() {
		<-looking
		cancel()
	}()
	if _, err := look(ctx, func() (looked, error) {
		close(looking)
		<-answer
		return looked{file: file}, nil
	}); !errors.Is(err, errNoAnswer) {
		t.Error(err)
	}
	close(answer)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if _, err := file.Stat(); errors.Is(err, os.ErrClosed) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the file stays open")
		}
	}
}
