package file

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/metrics"
)

// written makes a file with text, as a dead process left the file, and completes its last write.
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
	at := writeAt(info)
	w.Device, w.Inode = at.Device, at.Inode
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
		"the rest of a partial one": {"a\nlong\nb\nc", metrics.Write{Size: 4, Partial: 2, Length: 9, Records: 3, Uncounted: true}, 2, "a\nlong\nb\n", ""},
		"less than the rest":        {"a\nlon", metrics.Write{Size: 4, Partial: 2, Length: 9, Records: 3, Uncounted: true}, 0, "a\n", ""},
		"a partial one, at rest":    {"a\nlo", metrics.Write{Size: 4, Partial: 2, Length: 9, Records: 3}, 0, "a\n", ""},
		"no partial one, at rest":   {"a\nlo", metrics.Write{Size: 4, Length: 9, Records: 3}, 0, "a\nlo", ""},
		"cut already":               {"a\n", metrics.Write{Size: 4, Partial: 2, Length: 9, Records: 3}, 0, "a\n", ""},
		"counted, at rest":          {"a\nb\nc\n", metrics.Write{Size: 2, Length: 4, Records: 2}, 0, "a\nb\nc\n", ""},
		"given up":                  {"a\nb\nc", metrics.Write{Size: 2, Length: 4, Uncounted: true}, 0, "a\nb\n", ""},
		"an empty file":             {"", metrics.Write{Length: 4, Records: 2, Uncounted: true}, 0, "", ""},
		"the first of a file":       {"a\nb", metrics.Write{Length: 4, Records: 2, Uncounted: true}, 1, "a\n", ""},
		"of others before":          {"theirs", metrics.Write{Size: 6, Length: 4, Records: 2, Uncounted: true}, 0, "theirs", ""},
		"others appended":           {"a\nb\nc\nd\ntheirs", metrics.Write{Size: 2, Length: 4, Records: 2, Uncounted: true}, 2, "a\nb\nc\nd\ntheirs", "another program has appended"},
		"others appended, at rest":  {"a\nlotheirs", metrics.Write{Size: 4, Partial: 2}, 0, "a\nlotheirs", "another program has appended"},
		"a line more, at rest":      {"a\nlotheirs\n", metrics.Write{Size: 4, Partial: 2, Length: 4, Records: 2}, 0, "a\nlotheirs\n", "another program has appended"},
		"others cut it":             {"a\n", metrics.Write{Size: 4, Partial: 1, Length: 4, Records: 2, Uncounted: true}, 0, "a\n", "another program has cut the file"},
		"long":                      {strings.Repeat("x", 99) + "\n" + strings.Repeat(strings.Repeat("y", 99)+"\n", 2000) + "zzz", metrics.Write{Size: 100, Length: 300_000, Records: 3000, Uncounted: true}, 2000, strings.Repeat("x", 99) + "\n" + strings.Repeat(strings.Repeat("y", 99)+"\n", 2000), ""},
		"longer than a chunk":       {strings.Repeat("y", 200_000), metrics.Write{Length: 300_000, Records: 1, Uncounted: true}, 0, "", ""},
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
			t.Errorf("%s: the second time %d, %v", name, again, err)
		}
	}
}

// Recover finds a file that logrotate has renamed, and leaves a new file of its path alone.
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
			t.Errorf("the renamed file holds %q", got)
		}
	}
	if got := content(t, path); got != "new\nne" {
		t.Errorf("the new file holds %q", got)
	}
	if err := os.Remove(path + ".1"); err != nil {
		t.Fatal(err)
	}
	if records, err := Recover(t.Context(), w); records != 0 || err == nil || !strings.Contains(err.Error(), "up to 2 records of the last write count as lost") ||
		!strings.Contains(err.Error(), "no file of inode") {
		t.Errorf("%d, %v", records, err)
	}
	if w.Uncounted = false; w.Partial == 0 {
		w.Partial = 1
	}
	if _, err := Recover(t.Context(), w); err == nil || !strings.Contains(err.Error(), "last line may be incomplete") {
		t.Errorf("%v", err)
	}
	if err := os.RemoveAll(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	if _, err := Recover(t.Context(), w); err == nil || strings.Contains(err.Error(), path) {
		t.Errorf("%v", err)
	}
}

// Recover reads no named pipe, and does not wait for a pipe's writer.
func TestRecoverLeavesPipesAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if records, err := Recover(t.Context(), metrics.Write{Path: path, Length: 10, Records: 2, Uncounted: true}); records != 0 || err != nil {
		t.Errorf("%d, %v", records, err)
	}
	if _, err := Recover(t.Context(), metrics.Write{Path: path, Inode: 7, Length: 10, Records: 2, Uncounted: true}); err == nil {
		t.Error("no error, though a pipe has the path of the file")
	}
}

// inspect returns though the file system does not answer, and closes a file that is opened late.
func TestInspectWithoutAnswer(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	file, err := os.Create(filepath.Join(t.TempDir(), "records"))
	if err != nil {
		t.Fatal(err)
	}
	answer, examining := make(chan struct{}), make(chan struct{})
	go func() {
		<-examining
		cancel()
	}()
	if s := inspect(ctx, func() state {
		close(examining)
		<-answer
		return state{file: file}
	}); !errors.Is(s.err, errNoAnswer) {
		t.Error(s.err)
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
