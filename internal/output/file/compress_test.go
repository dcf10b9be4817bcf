package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"
)

const closedBase = "x-20261126T120000Z"

// closedWith makes a closed file with text.
func closedWith(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), closedBase)
	if err := os.WriteFile(name, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
	return name
}

// decompressed returns the content of a compressed file.
func decompressed(t *testing.T, name string) string {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	decoder, err := zstd.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	defer decoder.Close()
	text, err := io.ReadAll(decoder)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// random is text that can't be compressed.
func random(size int) string {
	text := make([]byte, size)
	r := rand.NewChaCha8([32]byte{1})
	r.Read(text)
	return string(text)
}

// A compressed file has the content, the owner, the mode and the time of the closed file, and no
// other file is left.
func TestCompress(t *testing.T) {
	for _, text := range []string{"", "a\n", strings.Repeat("record\n", 1<<17), random(compressChunk), random(3*compressChunk + 1)} {
		name := closedWith(t, text)
		at := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
		if err := os.Chtimes(name, at, at); err != nil {
			t.Fatal(err)
		}
		uid := os.Getuid()
		if uid == 0 {
			uid = 65534
			if err := os.Chown(name, uid, uid); err != nil {
				t.Fatal(err)
			}
		}
		if err := Compress(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		if got := decompressed(t, name+".zst"); got != text {
			t.Errorf("%d bytes of %d", len(got), len(text))
		}
		info, err := os.Stat(name + ".zst")
		if err != nil {
			t.Fatal(err)
		}
		if stat := info.Sys().(*syscall.Stat_t); info.Mode() != 0o640 || int(stat.Uid) != uid || !info.ModTime().Equal(at) {
			t.Errorf("mode %s, owner %d, time %s", info.Mode(), stat.Uid, info.ModTime())
		}
		if got := namesIn(t, filepath.Dir(name)); len(got) != 1 {
			t.Errorf("%d bytes: left %q", len(text), got)
		}
	}
}

// A file that a process has open for writing, or compresses, stays until the process is done.
func TestCompressLeavesFilesInUse(t *testing.T) {
	for what, use := range map[string]func(f *os.File) error{
		"open for writing": func(*os.File) error { return nil },
		"compressed":       func(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX) },
	} {
		name := closedWith(t, "a\n")
		flags := os.O_WRONLY | os.O_APPEND
		if what == "compressed" {
			flags = os.O_RDONLY
		}
		f, err := os.OpenFile(name, flags, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := use(f); err != nil {
			t.Fatal(err)
		}
		if err := Compress(t.Context(), name); !errors.Is(err, ErrInUse) {
			t.Errorf("%s: %v", what, err)
		}
		if got := namesIn(t, filepath.Dir(name)); !slices.Equal(got, []string{closedBase}) {
			t.Errorf("%s: left %q", what, got)
		}
		f.Close()
		if err := Compress(t.Context(), name); err != nil {
			t.Errorf("%s, afterwards: %v", what, err)
		}
		if err := Compress(t.Context(), name); !errors.Is(err, ErrInUse) {
			t.Errorf("a file that is gone: %v", err)
		}
	}
}

// readHook calls a function before each read.
type readHook struct {
	io.Reader
	before func()
}

func (a *readHook) Read(p []byte) (int, error) {
	a.before()
	return a.Reader.Read(p)
}

// Each state that a crash can leave becomes one complete compressed file.
func TestCompressAfterACrash(t *testing.T) {
	text := strings.Repeat("record\n", 1<<15)
	for what, prepare := range map[string]func(name string) error{
		"an incomplete file": func(name string) error {
			return os.WriteFile(name+".zst.tmp", []byte("half"), 0o600)
		},
		"both files": func(name string) error {
			if err := Compress(context.Background(), name); err != nil {
				return err
			}
			return os.WriteFile(name, []byte(text), 0o640)
		},
	} {
		name := closedWith(t, text)
		if err := prepare(name); err != nil {
			t.Fatal(err)
		}
		path := strings.TrimSuffix(name, strings.TrimPrefix(closedBase, "x"))
		if names, err := Uncompressed(path); err != nil || !slices.Equal(names, []string{name}) {
			t.Errorf("%s: %q, %v", what, names, err)
		}
		if err := Compress(t.Context(), name); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if got := namesIn(t, filepath.Dir(name)); !slices.Equal(got, []string{closedBase + ".zst"}) {
			t.Errorf("%s: left %q", what, got)
		}
		if decompressed(t, name+".zst") != text {
			t.Errorf("%s: other content", what)
		}
	}
}

// A compressed file with other content is not overwritten, and the closed file stays.
func TestCompressOverwritesNothing(t *testing.T) {
	encoder, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer encoder.Close()
	whole := encoder.EncodeAll([]byte("a\nb\n"), nil)
	for what, other := range map[string][]byte{
		"shorter":   encoder.EncodeAll([]byte("a\n"), nil),
		"longer":    encoder.EncodeAll([]byte("a\nb\nc\n"), nil),
		"different": encoder.EncodeAll([]byte("a\nc\n"), nil),
		"truncated": whole[:len(whole)-2],
		"no zstd":   []byte("a\nb\n"),
		"empty":     nil,
	} {
		name := closedWith(t, "a\nb\n")
		if err := os.WriteFile(name+".zst", other, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := Compress(t.Context(), name); !errors.Is(err, errOtherContent) {
			t.Errorf("%s: %v", what, err)
		}
		if got := content(t, name+".zst"); got != string(other) || content(t, name) != "a\nb\n" {
			t.Errorf("%s: a file has changed", what)
		}
	}
}

// The end of ctx stops a compression, and leaves the closed file alone.
func TestCompressIsStopped(t *testing.T) {
	name := closedWith(t, random(1<<20))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Compress(ctx, name); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if got := namesIn(t, filepath.Dir(name)); !slices.Equal(got, []string{closedBase}) {
		t.Errorf("left %q", got)
	}
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	n := 0
	in := &readHook{strings.NewReader(random(1 << 20)), func() {
		if n++; n == 2 {
			cancel()
		}
	}}
	if n, err := encode(ctx, io.Discard, in); !errors.Is(err, context.Canceled) || n >= 1<<20 {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// Incomplete compressed files without a closed file are deleted, and other files are not.
func TestUncompressed(t *testing.T) {
	folder := folderOf(t, "x", closedBase+".zst", closedBase+".1", closedBase+".2.zst.tmp", closedBase+".1.zst.tmp", "x.zst.tmp")
	names, err := Uncompressed(filepath.Join(folder, "x"))
	if err != nil || !slices.Equal(names, []string{filepath.Join(folder, closedBase+".1")}) {
		t.Errorf("%q, %v", names, err)
	}
	want := []string{"x", closedBase + ".1", closedBase + ".1.zst.tmp", closedBase + ".zst", "x.zst.tmp"}
	if got := namesIn(t, folder); !slices.Equal(got, want) {
		t.Errorf("left %q, want %q", got, want)
	}
}

// Compression of a file of records, with the ratio.
func BenchmarkCompress(b *testing.B) {
	var text strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&text, `{"received_at":"2026-11-29T12:00:00.%06dZ","source":"192.0.2.%d:5514","message":"number %d"}`+"\n", i*37%1_000_000, i%251, i)
	}
	b.SetBytes(int64(text.Len()))
	b.ReportAllocs()
	var size countingWriter
	for b.Loop() {
		size = 0
		if _, err := encode(context.Background(), &size, strings.NewReader(text.String())); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(text.Len())/float64(size), "ratio")
}

type countingWriter int

func (w *countingWriter) Write(p []byte) (int, error) {
	*w += countingWriter(len(p))
	return len(p), nil
}
