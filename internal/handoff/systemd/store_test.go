package systemd

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/handoff"
	"github.com/udpshard/udpshard/internal/leak"
)

// More descriptors than fit into a message are sent in several.
func TestStoreAndRemoveFiles(t *testing.T) {
	leak.Descriptors(t)
	m := newManager(t)
	m.Limit(1000, -1)
	u := startedBy(m)
	var files []*os.File
	for range 2*maxFiles + 1 {
		fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, os.NewFile(uintptr(fd), "event"))
	}
	defer handoff.CloseFiles(files...)
	one := memory(t, "one")
	if err := errors.Join(u.storeFiles(testContext(t), "many", files...), u.storeFiles(testContext(t), "one", one), u.Barrier(testContext(t))); err != nil {
		t.Fatal(err)
	}
	var came []int
	for _, s := range m.Messages() {
		came = append(came, s.Files)
	}
	// eventfds share an inode, so the Manager takes them for duplicates
	if !slices.Equal(came, []int{253, 253, 1, 1, 1}) || !slices.Equal(m.StoredNames(), []string{"many", "one"}) {
		t.Error(came, m.StoredNames())
	}
	if said := m.Messages()[3].Text; said != "FDSTORE=1\nFDPOLL=0\nFDNAME=one" {
		t.Errorf("%q", said)
	}
	if err := errors.Join(u.removeFiles(testContext(t), "many"), u.removeFiles(testContext(t), "never"), u.Barrier(testContext(t))); err != nil {
		t.Fatal(err)
	}
	passed := passedBy(m)
	defer passed[0].File.Close()
	if len(passed) != 1 || passed[0].Name != "one" || content(t, passed[0].File) != "one" {
		t.Error(passed)
	}
}

func TestNamesThatAreRefused(t *testing.T) {
	u := &Unit{socket: "/nowhere"}
	for _, name := range []string{"", "a:b", "a\nFDNAME=b", "é", "\x7f", strings.Repeat("x", 256)} {
		if err := u.storeFiles(testContext(t), name); err == nil {
			t.Errorf("stored as %q", name)
		}
		if err := u.removeFiles(testContext(t), name); err == nil {
			t.Errorf("removed %q", name)
		}
	}
	for _, name := range []string{"x", "a b~", strings.Repeat("x", 255), Name{SocketKind, 1<<64 - 1}.String()} {
		if err := checkName(name); err != nil {
			t.Error(err)
		}
	}
}

func TestStoreOfAClosedFile(t *testing.T) {
	leak.Descriptors(t)
	u := startedBy(newManager(t))
	f := memory(t, "")
	f.Close()
	if err := u.storeFiles(testContext(t), "x", f); err == nil || !strings.HasSuffix(err.Error(), "use of closed file") {
		t.Error(err)
	}
	if err := u.StoreAndWait(testContext(t), handoff.State{Listeners: []handoff.Listener{{Name: "dns", Sockets: []*os.File{f}}}}); err == nil || err.Error() != "listener dns, shard 0: use of closed file" {
		t.Error(err)
	}
}

// A manager that does not read holds up no process beyond its context.
func TestStoreEndsWithContext(t *testing.T) {
	leak.Descriptors(t)
	m := newManager(t)
	goOn := m.Pause()
	defer goOn()
	u := &Unit{socket: m.Address(), stored: make(map[string]bool)}
	ctx, end := context.WithCancelCause(t.Context())
	defer end(nil)
	late := errors.New("late")
	s := newState(t, "x", 1)
	for range 10_000 { // up to net.unix.max_dgram_qlen messages wait in the kernel
		full := time.AfterFunc(200*time.Millisecond, func() { end(late) })
		if err := u.Store(ctx, s); err != nil {
			if !errors.Is(err, late) {
				t.Error(err)
			}
			return
		}
		full.Stop()
	}
	t.Error("no Store failed")
}
