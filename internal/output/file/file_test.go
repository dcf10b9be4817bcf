package file

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/metrics"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func content(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
	}
	return string(data)
}

// open returns a new file.
func open(t *testing.T) (*File, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x")
	f, err := Open(path, metrics.NewShard(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	return f, path
}

// write does what a writer does around a write.
func write(t *testing.T, f *File, text string) {
	t.Helper()
	if f.NeedsReopen() {
		t.Error("the file has lost its name")
	}
	f.Begin(metrics.NewShard(0, 0), len(text), 1)
	n, err := f.Write([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	f.End(n)
}

// After a failed write, Close cuts the file at the last whole record, unless another program has
// appended since.
func TestClosePartial(t *testing.T) {
	for _, test := range []struct{ appended, want string }{{"", "whole\n"}, {"theirs\n", "whole\nparttheirs\n"}} {
		f, path := open(t)
		write(t, f, "whole\npa")
		write(t, f, "rt")
		writable, err := f.file, error(nil)
		if f.file, err = os.Open(path); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte("ial\n")); !errors.Is(err, unix.EBADF) {
			t.Errorf("%v", err)
		}
		f.file.Close()
		f.file = writable
		if _, err := f.file.WriteString(test.appended); err != nil {
			t.Fatal(err)
		}
		f.NeedsReopen() // before one more attempt
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if got := content(t, path); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
}

// Reopen follows a removal, and returns the incomplete record of the previous file.
func TestReopen(t *testing.T) {
	f, path := open(t)
	write(t, f, "whole\npart")
	previous, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer previous.Close()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if !f.NeedsReopen() {
		t.Error("a removed file stays in use")
	}
	if cut, err := f.Reopen(); cut != len("part") || err != nil {
		t.Errorf("cut %d, %v", cut, err)
	}
	write(t, f, "partial\n")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	write(t, f, "renamed\n")
	if cut, err := f.Reopen(); cut != 0 || err != nil {
		t.Errorf("cut %d, %v", cut, err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if info, err := previous.Stat(); err != nil || info.Size() != int64(len("whole\n")) {
		t.Errorf("%d bytes in the previous file, %v", info.Size(), err)
	}
	if got := content(t, path+".1"); got != "partial\nrenamed\n" {
		t.Errorf("%q", got)
	}
	if got := content(t, path); got != "" {
		t.Errorf("%q", got)
	}
	if f.NeedsReopen() {
		t.Error("a closed file has to be reopened")
	}
}
