package output

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/metrics"
	"github.com/udpshard/udpshard/packet"
)

func TestCheck(t *testing.T) {
	for _, spec := range []string{
		"stdout", "discard", "file:/var/log/x.json", "file:x", "file:/a/{shard}.json", "file:{shard}/{shard}", "file:/with space", "file:file:", "file:stdout",
	} {
		if err := Check(spec); err != nil {
			t.Errorf("%s: %v", spec, err)
		}
	}
	for spec, want := range map[string]string{
		"":                    `"" is no output`,
		"Stdout":              `"Stdout" is no output`,
		"stdout ":             `"stdout " is no output`,
		"stderr":              "use stdout, discard or file:PATH",
		"file:":               "file: needs a path",
		"file":                `"file" is no output`,
		"/var/log/x":          "use stdout, discard or file:PATH",
		"tcp://127.0.0.1:514": "use stdout, discard or file:PATH",
		"nats://h/s":          "use stdout, discard or file:PATH",
	} {
		err := Check(spec)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", spec, err, want)
		}
		if _, err := NewSet(nil).Open(spec, 0, metrics.NewShard(0, 0), 100); err == nil {
			t.Errorf("%q can be opened", spec)
		}
	}
}

// Check is for reading a configuration, and makes no files.
func TestCheckOpensNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	if err := Check("file:" + path); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the file is there")
	}
}

// Probe returns the error of Open.
func TestProbe(t *testing.T) {
	folder := t.TempDir()
	for spec, usable := range map[string]bool{
		"stdout": true, "discard": true, "file:" + folder + "/new-{shard}": true, "nothing": false, "file:" + folder: false,
	} {
		probed := Probe(spec, 0)
		set := NewSet(func(Event) {})
		_, opened := set.Open(spec, 0, metrics.NewShard(0, 0), 1024)
		set.Close(t.Context())
		if (probed == nil) != usable || (opened == nil) != usable || probed != nil && probed.Error() != opened.Error() {
			t.Errorf("%s: Probe returns %v, and Open %v", spec, probed, opened)
		}
	}
}

// put commits and flushes one record.
func put(s packet.Sink, counters *metrics.Shard, text string) {
	counters.Received.Add(1)
	s.Commit(append(s.Buffer(), text...))
	s.Flush()
}

func content(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
	}
	return string(data)
}

// until waits for a condition that depends on the writers.
func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting until %s", what)
		}
	}
}

// openSet returns a Set that reports failures as errors of the test. Cleanup closes the Set, so the
// test makes the folder of the files first.
func openSet(t *testing.T) *Set {
	s := NewSet(func(e Event) {
		if e.Err != nil {
			t.Errorf("event %+v", e)
		}
	})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return s
}

func mustOpen(t *testing.T, s *Set, spec string, shard int, counters *metrics.Shard) packet.Sink {
	t.Helper()
	stream, err := s.Open(spec, shard, counters, 1<<10)
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

// Streams to one file share a writer, however the path is spelled; with {shard} each shard has a
// file of its own.
func TestOneWriterToADestination(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	set := openSet(t)
	counters := metrics.NewShard(0, 0)
	a := mustOpen(t, set, "file:"+dir+"/one", 0, counters)
	b := mustOpen(t, set, "file:"+dir+"/./one", 1, counters)
	c := mustOpen(t, set, "file:one", 2, counters)
	if len(set.writers) != 1 {
		t.Errorf("%d writers of one file", len(set.writers))
	}
	if a == b || b == c {
		t.Error("streams are not each shard's own")
	}
	d0 := mustOpen(t, set, "file:{shard}-x-{shard}", 0, counters)
	d12 := mustOpen(t, set, "file:{shard}-x-{shard}", 12, counters)
	e12 := mustOpen(t, set, "file:12-x-12", 3, counters)
	if len(set.writers) != 3 {
		t.Errorf("%d writers of three files", len(set.writers))
	}
	for _, s := range []packet.Sink{mustOpen(t, set, "stdout", 0, counters), mustOpen(t, set, "stdout", 1, counters)} {
		s.Flush() // of nothing
	}
	if len(set.writers) != 4 {
		t.Errorf("%d writers of three files and standard output", len(set.writers))
	}
	for text, s := range map[string]packet.Sink{"a\n": a, "b\n": b, "c\n": c, "d0\n": d0, "d12\n": d12, "e12\n": e12} {
		put(s, counters, text)
	}
	until(t, "all is delivered", func() bool { return counters.Delivered.Load() == 6 })
	for path, want := range map[string][]string{"one": {"a", "b", "c"}, "0-x-0": {"d0"}, "12-x-12": {"d12", "e12"}} {
		got := content(t, path)
		for _, line := range want {
			if !strings.Contains(got, line+"\n") {
				t.Errorf("%s lacks %q: %q", path, line, got)
			}
		}
		if lines := strings.Count(got, "\n"); lines != len(want) {
			t.Errorf("%s has %d lines, want %d: %q", path, lines, len(want), got)
		}
	}
}

// Discard counts records as delivered when they are flushed or a buffer is full, as the other
// outputs.
func TestDiscard(t *testing.T) {
	set := openSet(t)
	counters := metrics.NewShard(0, 0)
	s := mustOpen(t, set, "discard", 0, counters)
	if len(set.writers) != 0 {
		t.Error("discard has a writer")
	}
	counters.Received.Add(3)
	for range 3 {
		s.Commit(append(s.Buffer(), "x\n"...))
	}
	if got := counters.Delivered.Load(); got != 0 {
		t.Errorf("%d delivered before the flush", got)
	}
	s.Flush()
	s.Flush()
	if got := counters.Delivered.Load(); got != 3 {
		t.Errorf("%d delivered, want 3", got)
	}
	long := strings.Repeat("x", 1000) + "\n"
	for range 10_000 {
		counters.Received.Add(1)
		s.Commit(append(s.Buffer(), long...))
	}
	if got := counters.Read(); got.InFlight > flushSize/1000+1 {
		t.Errorf("%d in flight of %d bytes each: more than a buffer holds", got.InFlight, len(long))
	}
	s.Flush()
	if got := counters.Read(); got.InFlight != 0 || got.Delivered != 10_003 {
		t.Errorf("%d in flight, %d delivered", got.InFlight, got.Delivered)
	}
}

// A full buffer travels without a flush.
func TestAFullBufferIsHandedOver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	set := openSet(t)
	counters := metrics.NewShard(0, 0)
	s := mustOpen(t, set, "file:"+path, 0, counters)
	line := strings.Repeat("x", 999) + "\n"
	const full = (flushSize + 999) / 1000
	const total = full + full/2
	counters.Received.Add(total)
	for range total {
		s.Commit(append(s.Buffer(), line...))
	}
	until(t, "a buffer is written", func() bool { return counters.Delivered.Load() > 0 })
	if got := counters.Delivered.Load(); got != full {
		t.Errorf("%d records delivered, want the %d of a full buffer", got, full)
	}
	s.Flush()
	until(t, "the rest is written", func() bool { return counters.Delivered.Load() == total })
	if got := content(t, path); got != strings.Repeat(line, total) {
		t.Errorf("the file holds %d bytes, want %d", len(got), total*len(line))
	}
}

func TestOpenFails(t *testing.T) {
	dir := t.TempDir()
	set := openSet(t)
	counters := metrics.NewShard(0, 0)
	fails := func(spec, why string) {
		t.Helper()
		s, err := set.Open(spec, 7, counters, 100)
		if err == nil {
			t.Errorf("%s: opened: %v", spec, s)
			return
		}
		if !strings.Contains(err.Error(), spec) || !strings.Contains(err.Error(), why) {
			t.Errorf("error %q: want %s and %q", err, spec, why)
		}
		if strings.Count(err.Error(), dir) > 1 {
			t.Errorf("error %q says the path twice", err)
		}
	}
	fails("file:"+dir+"/missing/x", "no such file or directory")
	fails("file:"+dir+"/missing/{shard}", "no such file or directory")
	fails("file:"+dir, "is a directory")
	if os.Geteuid() == 0 {
		t.Log("root may write anywhere: to see a permission refused, run the test as another user")
	} else {
		if err := os.Mkdir(filepath.Join(dir, "closed"), 0o500); err != nil {
			t.Fatal(err)
		}
		fails("file:"+dir+"/closed/x", "permission denied")
	}
	if len(set.writers) != 0 {
		t.Errorf("%d writers of what could not be opened", len(set.writers))
	}
}

// Records stay where they were written before: a restart appends.
func TestAFileIsAppendedTo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	for _, text := range []string{"one\n", "two\n"} {
		set := NewSet(func(Event) {})
		counters := metrics.NewShard(0, 0)
		put(mustOpen(t, set, "file:"+path, 0, counters), counters, text)
		if err := set.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if got := counters.Delivered.Load(); got != 1 {
			t.Errorf("%d delivered after Close", got)
		}
	}
	if got := content(t, path); got != "one\ntwo\n" {
		t.Errorf("the file holds %q", got)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o007 != 0 {
		t.Errorf("mode %v: messages are not for everybody", info.Mode())
	}
}

// A slow reader of standard output is no failure, also where another process has made standard
// output non-blocking.
func TestStandardOutputThatDoesNotBlock(t *testing.T) {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	reader, writer, real := os.NewFile(uintptr(ends[0]), "r"), os.NewFile(uintptr(ends[1]), "w"), os.Stdout
	os.Stdout = writer
	defer func() { os.Stdout = real }()
	defer reader.Close()
	if err := unix.SetNonblock(ends[1], true); err != nil {
		t.Fatal(err)
	}
	var failures events
	set := NewSet(failures.report)
	counters := metrics.NewShard(0, 0)
	s, err := set.Open("stdout", 0, counters, 1<<10)
	if err != nil {
		t.Fatal(err)
	}
	line := strings.Repeat("x", 999) + "\n"
	const count = 2000 // many times the size of the pipe
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range count {
			put(s, counters, line)
		}
		s.Flush()
		if err := set.Close(context.Background()); err != nil {
			t.Error(err)
		}
		writer.Close()
	}()
	until(t, "the pipe is full", func() bool {
		n, err := unix.IoctlGetInt(ends[0], unix.TIOCINQ) // FIONREAD
		return err == nil && n >= 60_000
	})
	if n, err := io.Copy(io.Discard, reader); err != nil || n != int64(count*len(line)) {
		t.Errorf("%d bytes, %v", n, err)
	}
	<-done
	if e := failures.all(); len(e) != 0 || counters.Read().Delivered != count {
		t.Errorf("%+v; %+v", e, counters.Read())
	}
}

// A stream that a shard still uses after Close loses its records, and waits for nothing.
func TestAStreamAfterClose(t *testing.T) {
	for name, open := range map[string]func(*Set, string, int, *metrics.Shard, int) (packet.Sink, error){"waits": (*Set).Open, "drops": (*Set).OpenLossy} {
		t.Run(name, func(t *testing.T) {
			set, counters := NewSet(func(Event) {}), metrics.NewShard(0, 0)
			path := filepath.Join(t.TempDir(), "records")
			stream, err := open(set, "file:"+path, 0, counters, 1<<10)
			if err != nil {
				t.Fatal(err)
			}
			put := func() {
				counters.Received.Add(1)
				stream.Commit(append(stream.Buffer(), "{}\n"...))
			}
			put()
			stream.Flush()
			put()
			if err := set.Close(context.Background()); err != nil {
				t.Fatal(err)
			}
			stream.Flush()
			for range 2 * lossyBuffers {
				put()
				stream.Flush()
			}
			if r := counters.Read(); r.Delivered != 1 || r.Dropped.Output != 1+2*lossyBuffers || r.InFlight != 0 {
				t.Errorf("%+v", r)
			}
			if text, err := os.ReadFile(path); err != nil || string(text) != "{}\n" {
				t.Errorf("%q, %v", text, err)
			}
		})
	}
}
