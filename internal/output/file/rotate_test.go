package file

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/metrics"
)

// openRotating returns a new file with a rotation.
func openRotating(t *testing.T, r Rotation) (*File, string) {
	t.Helper()
	f, path := open(t)
	if err := f.SetRotation(r); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f, path
}

// due does what a writer does before a write.
func due(t *testing.T, f *File) bool {
	t.Helper()
	if f.NeedsReopen() {
		t.Error("the file has lost its name")
	}
	return f.RotationDue()
}

// rotate rotates a file that has to be rotated.
func rotate(t *testing.T, f *File) string {
	t.Helper()
	if !due(t, f) {
		t.Fatal("no rotation is due")
	}
	closed, err := f.Rotate()
	if err != nil {
		t.Fatal(err)
	}
	return closed
}

// A file is rotated at its size, in a whole record alone.
func TestRotationBySize(t *testing.T) {
	f, path := openRotating(t, Rotation{Size: 10})
	for _, test := range []struct {
		text string
		due  bool
	}{{"12345678\n", false}, {"part", false}, {"ial\n", true}} {
		write(t, f, test.text)
		if got := due(t, f); got != test.due {
			t.Errorf("after %q: due %t", test.text, got)
		}
	}
	closed := rotate(t, f)
	if due(t, f) {
		t.Error("the new file has to be rotated")
	}
	write(t, f, "next\n")
	if got := content(t, closed); got != "12345678\npartial\n" {
		t.Errorf("the closed file has %q", got)
	}
	if got := content(t, path); got != "next\n" {
		t.Errorf("the new file has %q", got)
	}
}

// The age of a file counts from its first record; a file that exists counts from its birth.
func TestRotationByAge(t *testing.T) {
	f, path := openRotating(t, Rotation{Every: time.Hour})
	if !f.RotateAt().IsZero() || due(t, f) {
		t.Error("a file without records has an age")
	}
	write(t, f, "a\n")
	write(t, f, "b\n")
	if at := time.Until(f.RotateAt()); at <= 59*time.Minute || at > time.Hour || due(t, f) {
		t.Errorf("due in %s, %t", at, due(t, f))
	}
	f.rotation.first = time.Now().Add(-time.Hour)
	if !due(t, f) {
		t.Error("an old file is not rotated")
	}
	rotate(t, f)
	if !f.RotateAt().IsZero() {
		t.Error("the new file is as old as the closed file")
	}
	write(t, f, "c\n")

	again, err := Open(path, metrics.NewShard(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if err := again.SetRotation(Rotation{Every: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if at := time.Until(again.RotateAt()); at <= 59*time.Minute || at > time.Hour {
		t.Errorf("an existing file is due in %s", at)
	}
}

// Names have the time in UTC, and a number where a file, also a compressed file, has the name.
func TestNamesOfClosedFiles(t *testing.T) {
	f, path := openRotating(t, Rotation{Size: 1})
	stamp := time.Now().Add(5 * time.Minute) // the rotations of this test happen before
	for s := time.Now().Add(-time.Second); s.Before(stamp); s = s.Add(time.Second) {
		for _, name := range []string{closedName(path, stampOf(s), 0), closedName(path, stampOf(s), 2) + ".zst"} {
			if err := os.WriteFile(name, []byte("kept\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	f.rotation.stamp = ""
	for _, number := range []string{".1", ".3"} {
		write(t, f, "a\n")
		f.rotation.stamp = "" // as in another process
		closed := rotate(t, f)
		if !strings.HasSuffix(closed, number) || !strings.HasPrefix(closed, path+"-20") {
			t.Errorf("closed as %s, want the number %s", closed, number)
		}
		if got := content(t, strings.TrimSuffix(closed, number)); got != "kept\n" {
			t.Errorf("a file was overwritten: %q", got)
		}
		stamp = time.Now()
		for s := stamp.Add(-time.Second); s.Before(stamp.Add(5 * time.Second)); s = s.Add(time.Second) {
			if err := os.WriteFile(closedName(path, stampOf(s), 1), []byte("kept\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A file that another program has renamed or replaced keeps its name.
func TestRotateLeavesRenamedFilesAlone(t *testing.T) {
	for _, replaced := range []bool{false, true} {
		f, path := openRotating(t, Rotation{Size: 4})
		write(t, f, "mine\n")
		if err := os.Rename(path, path+".1"); err != nil {
			t.Fatal(err)
		}
		if replaced {
			if err := os.WriteFile(path, []byte("x\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if f.Replaced() != replaced {
			t.Errorf("replaced: %t", f.Replaced())
		}
		if closed := rotate(t, f); closed != "" {
			t.Errorf("closed %s", closed)
		}
		write(t, f, "new\n")
		if got := content(t, path+".1"); got != "mine\n" {
			t.Errorf("the renamed file has %q", got)
		}
		if got := strings.TrimPrefix(content(t, path), "x\n"); got != "new\n" {
			t.Errorf("the new file has %q", got)
		}
	}
}

// A rotation that fails leaves the file in use, and is not tried again at once.
func TestRotationFails(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, strings.Repeat("x", 250)) // of 255 bytes
	f, err := Open(path, metrics.NewShard(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.SetRotation(Rotation{Size: 1}); err != nil {
		t.Fatal(err)
	}
	write(t, f, "a\n")
	if !due(t, f) {
		t.Fatal("no rotation is due")
	}
	if _, err := f.Rotate(); !errors.Is(err, unix.ENAMETOOLONG) {
		t.Errorf("%v", err)
	}
	if due(t, f) {
		t.Error("the rotation is due again at once")
	}
	write(t, f, "b\n")
	if got := content(t, path); got != "a\nb\n" {
		t.Errorf("%q", got)
	}
	if f.rotation.retryAt = time.Now(); !due(t, f) {
		t.Error("the rotation is not due again")
	}
}

// Named pipes, devices and symbolic links are not rotated.
func TestRotationOfOtherFiles(t *testing.T) {
	folder := t.TempDir()
	pipe, link := filepath.Join(folder, "pipe"), filepath.Join(folder, "link")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("target", link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{pipe, link, os.DevNull} {
		f, err := Open(path, metrics.NewShard(0, 0))
		if err != nil {
			t.Fatal(err)
		}
		if err := f.SetRotation(Rotation{Size: 1}); err == nil || !strings.Contains(err.Error(), "only a regular file") {
			t.Errorf("%s: %v", path, err)
		}
		write(t, f, "a\n")
		if due(t, f) {
			t.Errorf("%s is rotated", path)
		}
		f.Close()
	}
}

// After a crash between the rename and the next write, Recover finds the closed file.
func TestRecoverFindsARotatedFile(t *testing.T) {
	path, w := written(t, "a\nb\nc", metrics.Write{Size: 2, Length: 4, Records: 2, Uncounted: true})
	closed := closedName(path, stampOf(time.Now()), 0)
	if err := os.Rename(path, closed); err != nil {
		t.Fatal(err)
	}
	if records, err := Recover(t.Context(), w); records != 1 || err != nil {
		t.Errorf("%d, %v", records, err)
	}
	if got := content(t, closed); got != "a\nb\n" {
		t.Errorf("%q", got)
	}
}
