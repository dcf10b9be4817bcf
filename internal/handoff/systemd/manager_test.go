package systemd

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/handoff"
	"github.com/udpshard/udpshard/internal/handoff/systemd/systemdtest"
)

// testTimeout bounds waiting for an event that should come at once.
const testTimeout = 20 * time.Second

func newManager(t *testing.T) *systemdtest.Manager {
	return systemdtest.New(t, filepath.Join(t.TempDir(), "notify"))
}

// passedBy returns the descriptors that a manager passes, as Unit.Passed does.
func passedBy(m *systemdtest.Manager) (passed []Passed) {
	for _, d := range m.Descriptors() {
		passed = append(passed, Passed(d))
	}
	return passed
}

func texts(said []systemdtest.Message) (all []string) {
	for _, s := range said {
		all = append(all, s.Text)
	}
	return all
}

// startedBy returns the Unit of a process that a manager has started.
func startedBy(m *systemdtest.Manager) *Unit {
	u := &Unit{socket: m.Address(), limit: systemdtest.DefaultCapacity, stored: make(map[string]bool)}
	for _, name := range m.StoredNames() {
		u.stored[name] = true
		if n, ok := ParseName(name); ok && n.Kind == ManifestKind {
			u.generation = max(u.generation, n.ID)
		}
	}
	return u
}

// udpSockets returns n sockets on one port of loopback.
func udpSockets(t *testing.T, n int) []*os.File {
	t.Helper()
	files, err := openUDP(n)
	t.Cleanup(func() { handoff.CloseFiles(files...) })
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// openUDP opens n sockets on one port. The first gets a port before SO_REUSEPORT: otherwise the
// kernel might choose a port that another process shares.
func openUDP(n int) (files []*os.File, err error) {
	address := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}
	for range n {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return files, err
		}
		files = append(files, os.NewFile(uintptr(fd), "udp"))
		share := func() error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) }
		if address.Port == 0 {
			err = errors.Join(unix.Bind(fd, address), share())
		} else {
			err = errors.Join(share(), unix.Bind(fd, address))
		}
		if err != nil {
			return files, err
		}
		name, err := unix.Getsockname(fd)
		if err != nil {
			return files, err
		}
		address = name.(*unix.SockaddrInet4)
	}
	return files, nil
}

func memory(t *testing.T, text string) *os.File {
	t.Helper()
	fd, err := unix.MemfdCreate("test", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "memory")
	t.Cleanup(func() { f.Close() })
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	return f
}

// content returns the text of a memory file, independent of the file offset.
func content(t *testing.T, f *os.File) string {
	t.Helper()
	text := make([]byte, 100)
	n, _ := f.ReadAt(text, 0)
	return string(text[:n])
}
