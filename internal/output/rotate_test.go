package output

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/metrics"
	"github.com/udpshard/udpshard/packet"
)

// rotating is a Set with a stream to a file that is rotated.
type rotating struct {
	*rig
	path string
}

func newRotating(t *testing.T, path string, r Rotation) *rotating {
	t.Helper()
	x := &rotating{&rig{counters: metrics.NewShard(0, 0), record: record}, path}
	x.set = NewSet(x.events.report)
	x.set.SetRotation("file:"+path, 0, r)
	x.stream = mustOpen(t, x.set, "file:"+path, 0, x.counters)
	return x
}

// write puts records, and waits until they are written.
func (x *rotating) write(t *testing.T, count int) {
	t.Helper()
	x.flush(count)
	until(t, "the records are written", func() bool {
		return x.counters.Delivered.Load() == uint64(x.number)
	})
}

// closedNames returns the paths of the closed files, the oldest first.
func closedNames(t *testing.T, path string) (names []string) {
	t.Helper()
	names, err := filepath.Glob(path + "-*")
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(names, func(a, b string) int {
		a, b = strings.TrimSuffix(a, ".zst"), strings.TrimSuffix(b, ".zst")
		if stamp := len(path) + len("-20261129T120000Z"); a[:stamp] == b[:stamp] && len(a) != len(b) {
			return len(a) - len(b) // .9 and .10
		}
		return strings.Compare(a, b)
	})
	return names
}

// allContent returns the content of closed files, decompressed, and of the open file.
func allContent(t *testing.T, path string) string {
	t.Helper()
	decoder, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer decoder.Close()
	var all strings.Builder
	for _, name := range append(closedNames(t, path), path) {
		text := []byte(content(t, name))
		if strings.HasSuffix(name, ".zst") {
			if text, err = decoder.DecodeAll(text, nil); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if len(text) > 0 && text[len(text)-1] != '\n' {
			t.Errorf("%s ends in an incomplete record", name)
		}
		all.Write(text)
	}
	return all.String()
}

// tasks returns the files of the events of a task.
func (x *rotating) tasks(task Task) (files []string) {
	for _, e := range x.events.all() {
		if e.Task == task && e.Err == nil {
			files = append(files, e.File)
		}
	}
	return files
}

// Each record is in one file, in order, and files have the size at which they are rotated.
func TestRotationKeepsEachRecord(t *testing.T) {
	for _, compress := range []bool{false, true} {
		x := newRotating(t, filepath.Join(t.TempDir(), "x"), Rotation{Size: 2000, Compress: compress})
		x.set.Activate()
		const rounds = 40
		for range rounds {
			x.write(t, 20)
		}
		closed := len(x.tasks(Rotate))
		if closed < rounds/5 || closed != len(closedNames(t, x.path)) && !compress {
			t.Errorf("%d rotations, %d files", closed, len(closedNames(t, x.path)))
		}
		if compress {
			until(t, "all closed files are compressed", func() bool {
				return !slices.ContainsFunc(closedNames(t, x.path), func(name string) bool {
					return !strings.HasSuffix(name, ".zst")
				})
			})
		}
		x.close(t)
		x.counts(t, rounds*20, 0, 0)
		same(t, "all files", allContent(t, x.path), records(0, rounds*20))
		for _, e := range x.events.all() {
			if e.Err != nil {
				t.Errorf("%+v", e)
			}
		}
	}
}

// Partial writes and failures delay a rotation until the file ends in a whole record.
func TestRotationAfterPartialWrites(t *testing.T) {
	x := newRotating(t, filepath.Join(t.TempDir(), "x"), Rotation{Size: 100})
	x.set.Activate()
	x.set.mu.Lock()
	w := x.set.writers[x.path]
	f := &short{w.rotation.file, len(records(0, 4)) + 3}
	w.dest = f // the goroutine waits for the first buffer
	x.set.mu.Unlock()
	x.flush(8)
	until(t, "a part is written", func() bool { return x.counters.Delivered.Load() == 4 })
	if closed := closedNames(t, x.path); len(closed) > 0 {
		t.Errorf("closed %q with a partial record", closed)
	}
	x.set.Reopen(nil) // the file accepts records again
	x.write(t, 8)
	x.write(t, 8)
	if closed := closedNames(t, x.path); len(closed) == 0 {
		t.Error("no rotation")
	}
	x.close(t)
	same(t, "all files", allContent(t, x.path), records(0, 24))
}

// An old file is rotated without a further record, and an empty file is not rotated.
func TestRotationByAgeNeedsNoRecord(t *testing.T) {
	x := newRotating(t, filepath.Join(t.TempDir(), "x"), Rotation{Every: 50 * time.Millisecond})
	x.set.Activate()
	x.write(t, 3)
	until(t, "the file is rotated", func() bool { return len(x.tasks(Rotate)) == 1 })
	x.write(t, 3)
	until(t, "the next file is rotated", func() bool { return len(x.tasks(Rotate)) == 2 })
	x.close(t)
	if closed := closedNames(t, x.path); len(closed) != 2 || content(t, x.path) != "" {
		t.Errorf("closed %q", closed)
	}
	same(t, "all files", allContent(t, x.path), records(0, 6))
}

// A rotation that fails is reported once, and then its success. Records go on into the old file.
func TestRotationFailureIsReportedOnce(t *testing.T) {
	folder := t.TempDir()
	if err := os.Mkdir(filepath.Join(folder, "d"), 0o700); err != nil {
		t.Fatal(err)
	}
	x := newRotating(t, filepath.Join(folder, "d", "x"), Rotation{Size: 1})
	x.set.Activate()
	x.write(t, 1)
	if err := os.Chmod(filepath.Join(folder, "d"), 0o500); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 { // root needs no permission: a missing folder fails too
		if err := os.Rename(filepath.Join(folder, "d"), filepath.Join(folder, "e")); err != nil {
			t.Fatal(err)
		}
	}
	failures := func() (n int) {
		for _, e := range x.events.all() {
			if e.Task == Rotate && e.Err != nil {
				n++
			}
		}
		return n
	}
	for range 3 {
		x.write(t, 1)
	}
	began := time.Now()
	until(t, "a second attempt was made", func() bool { x.write(t, 1); return time.Since(began) > 1200*time.Millisecond })
	if n := failures(); n != 1 {
		t.Errorf("%d failures reported", n)
	}
	if os.Getuid() == 0 {
		if err := os.Rename(filepath.Join(folder, "e"), filepath.Join(folder, "d")); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(folder, "d"), 0o700); err != nil {
		t.Fatal(err)
	}
	until(t, "the file is rotated", func() bool { x.write(t, 1); return len(x.tasks(Rotate)) > 0 })
	if e := x.events.all(); e[len(e)-1].Failing == 0 && e[1].Failing == 0 {
		t.Errorf("no recovery: %+v", e)
	}
	x.close(t)
	same(t, "all files", allContent(t, x.path), records(0, x.number))
}

// A standby changes no file, and follows the rotations of the active process when it becomes active.
func TestStandbyRotatesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	old := path + "-20200101T000000Z"
	for _, name := range []string{old, old + ".1.zst.tmp"} {
		if err := os.WriteFile(name, []byte("old\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	settings := Rotation{Size: 1, Every: time.Millisecond, KeepFor: time.Hour, Compress: true}
	active := newRotating(t, path, Rotation{Size: 1})
	active.set.Activate()
	active.write(t, 1)
	standby := newRotating(t, path, settings)
	active.write(t, 1) // in a new file
	standby.set.Reopen(nil)
	standby.set.Reopen(nil)
	active.close(t)
	if got := len(standby.events.all()); got != 0 {
		t.Errorf("%d events: %+v", got, standby.events.all())
	}
	for _, name := range []string{old, old + ".1.zst.tmp"} {
		if got := content(t, name); got != "old\n" {
			t.Errorf("the standby has changed %s: %q", name, got)
		}
	}
	standby.set.Activate()
	until(t, "the old file is deleted", func() bool {
		return slices.Equal(standby.tasks(Delete), []string{old})
	})
	standby.close(t)
}

// Standbys that have opened a file before its rotation write to the new file.
func TestActivateOpensTheNewFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	active := newRotating(t, path, Rotation{Size: 1})
	active.set.Activate()
	active.write(t, 1)
	successor := newRotating(t, path, Rotation{Size: 1 << 20})
	active.write(t, 1)
	active.close(t)
	successor.set.Activate()
	until(t, "the new file gets records", func() bool {
		successor.write(t, 1)
		return strings.Count(content(t, path), "\n") == 2
	})
	successor.close(t)
	closed := closedNames(t, path)
	if len(closed) != 1 {
		t.Errorf("closed %q", closed)
	}
	same(t, "all files", content(t, closed[0])+strings.TrimPrefix(content(t, path), record(1)),
		record(0)+records(0, successor.number))
}

// A path that can't be rotated is reported when it is opened, and gets its records.
func TestRotationOfAPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	x := newRotating(t, path, Rotation{Size: 1, KeepSize: 1})
	x.set.Activate()
	if e := x.events.all(); len(e) != 1 || e[0].Task != Rotate || e[0].Err == nil {
		t.Errorf("%+v", e)
	}
	x.write(t, 2)
	x.close(t)
}

// Close ends a compression, and leaves no incomplete file.
func TestCloseEndsCompression(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	closed := path + "-20200101T000000Z"
	if err := os.WriteFile(closed, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(closed, 8<<30); err != nil { // sparse: some seconds to compress
		t.Fatal(err)
	}
	x := newRotating(t, path, Rotation{Size: 1, Compress: true})
	x.set.Activate()
	until(t, "the compression has begun", func() bool {
		_, err := os.Stat(closed + ".zst.tmp")
		return err == nil
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := x.set.Close(ctx); err != nil || ctx.Err() != nil {
		t.Errorf("%v, %v", err, ctx.Err())
	}
	until(t, "the incomplete file is gone", func() bool {
		_, err := os.Stat(closed + ".zst.tmp")
		return errors.Is(err, os.ErrNotExist)
	})
	if _, err := os.Stat(closed); err != nil {
		t.Error(err)
	}
}

// A write to a file with and without a rotation.
func BenchmarkRotation(b *testing.B) {
	for _, bench := range []struct {
		name string
		Rotation
	}{{"off", Rotation{}}, {"on", Rotation{Size: 1 << 50, Every: time.Hour}}} {
		b.Run(bench.name, func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "x")
			set, counters := NewSet(func(Event) {}), metrics.NewShard(0, 0)
			set.SetRotation("file:"+path, 0, bench.Rotation)
			var stream packet.Sink
			stream, err := set.Open("file:"+path, 0, counters, 1<<10)
			if err != nil {
				b.Fatal(err)
			}
			text := []byte(strings.Repeat("x", 299) + "\n")
			b.ReportAllocs()
			for b.Loop() {
				stream.Commit(append(stream.Buffer(), text...))
				if counters.Delivered.Load() > 1<<20 {
					counters.Delivered.Store(0)
					os.Truncate(path, 0)
				}
			}
			if err := set.Close(context.Background()); err != nil {
				b.Fatal(err)
			}
		})
	}
}
