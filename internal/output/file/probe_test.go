package file

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/metrics"
)

// Probe returns the error of Open, and makes nothing.
func TestProbe(t *testing.T) {
	folder := t.TempDir()
	at := func(name string) string { return filepath.Join(folder, name) }
	socket, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(socket)
	for _, err := range []error{
		os.WriteFile(at("regular"), []byte("a line\n"), 0o600), os.Mkdir(at("folder"), 0o700), unix.Mkfifo(at("fifo"), 0o600),
		os.Symlink("regular", at("link")), os.Symlink("folder/new", at("dangling")), os.Symlink(at("dangling"), at("absolute")),
		os.Symlink("none/new", at("lost")), os.Symlink("circle", at("circle")), unix.Bind(socket, &unix.SockaddrUnix{Name: at("socket")}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for path, usable := range map[string]bool{
		at("regular"): true, at("new"): true, at("fifo"): true, at("link"): true, at("dangling"): true, at("absolute"): true,
		"/dev/null": true, at("folder"): false, at("none/new"): false, at("regular/new"): false, at("lost"): false,
		at("circle"): false, at("socket"): false,
	} {
		before, _ := os.ReadDir(folder)
		probed := Probe(path)
		if after, _ := os.ReadDir(folder); len(after) != len(before) {
			t.Fatalf("%s: %d files, and %d before", path, len(after), len(before))
		}
		f, opened := Open(path, metrics.NewShard(0, 0))
		if opened == nil {
			f.Close()
		}
		if (probed == nil) != usable || (opened == nil) != usable || probed != nil && probed.Error() != opened.Error() {
			t.Errorf("%s: Probe returns %v, and Open %v", path, probed, opened)
		}
	}
}
