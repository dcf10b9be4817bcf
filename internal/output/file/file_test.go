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

// Where a write fails, the file is cut at the last whole record, and only there.
func TestAFailedWriteIsCut(t *testing.T) {
	for _, test := range []struct{ others, want string }{{"", "whole\n"}, {"theirs\n", "whole\nparttheirs\n"}} {
		path := filepath.Join(t.TempDir(), "x")
		f, err := Open(path, metrics.NewShard(0, 0))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte("whole\npart")); err != nil {
			t.Fatal(err)
		}
		writable := f.f
		if f.f, err = os.Open(path); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte("ial\n")); !errors.Is(err, unix.EBADF) {
			t.Errorf("%v", err)
		}
		f.f.Close()
		f.f = writable
		if _, err := f.f.WriteString(test.others); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if got := content(t, path); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
}
