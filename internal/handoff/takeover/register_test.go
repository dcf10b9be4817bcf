package takeover

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/handoff"
	"github.com/udpshard/udpshard/internal/leak"
)

func registrations(t *testing.T, control *os.File) int {
	t.Helper()
	n, err := CountRegistrations(control, 1)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// waitForRegistrations waits for a number of registrations: descriptors are closed after
// connections.
func waitForRegistrations(t *testing.T, control *os.File, want int) {
	t.Helper()
	for ctx := testContext(t); registrations(t, control) != want; runtime.Gosched() {
		if ctx.Err() != nil {
			t.Fatalf("%d are registered, want %d", registrations(t, control), want)
		}
	}
}

// A registration lasts as long as any duplicate of its descriptor. The registration of the
// descriptor itself does not count.
func TestRegistrations(t *testing.T) {
	leak.Descriptors(t)
	control := memory(t)
	defer control.Close()
	var all []*os.File
	for i := range 40 {
		own, err := Register(control, 0)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, own)
		if n := registrations(t, control); n != i+1 {
			t.Fatalf("%d are registered, want %d", n, i+1)
		}
	}
	if n := registrations(t, all[7]); n != 39 {
		t.Errorf("%d registrations besides the own one, want 39", n)
	}
	second := duplicate(all[20])
	for _, i := range []int{0, 20, 39, 21} {
		all[i].Close()
	}
	if n := registrations(t, control); n != 37 {
		t.Errorf("%d are registered, want 37: the duplicate counts", n)
	}
	second.Close()
	if n := registrations(t, control); n != 36 {
		t.Errorf("%d are registered, want 36", n)
	}
	lease, err := AcquireLease(control, 3)
	if err != nil {
		t.Fatal(err)
	}
	defer lease.Release()
	if n := registrations(t, control); n != 36 {
		t.Errorf("%d registrations: a lease counts", n)
	}
	handoff.CloseFiles(all...)
	if n := registrations(t, control); n != 0 {
		t.Errorf("%d are registered", n)
	}
}

// A registration at an epoch counts only for processes that take over at a later epoch.
func TestRegistrationsOfEpochs(t *testing.T) {
	leak.Descriptors(t)
	control := memory(t)
	defer control.Close()
	var all []*os.File
	for _, epoch := range []uint64{0, 2, 2, 3, maxEpochs - 1} {
		own, err := Register(control, epoch)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, own)
	}
	for epoch, want := range map[uint64]int{0: 0, 1: 1, 2: 1, 3: 3, 4: 4, maxEpochs - 1: 4} {
		if n, err := CountRegistrations(control, epoch); n != want || err != nil {
			t.Errorf("%d registrations before epoch %d, %v, want %d", n, epoch, err, want)
		}
	}
	if _, err := CountRegistrations(control, maxEpochs); err == nil {
		t.Error("an epoch above the limit is accepted")
	}
	if _, err := Register(control, maxEpochs); err == nil {
		t.Error("an epoch above the limit is accepted")
	}
	handoff.CloseFiles(all...)
}

// Arbitrary locks of another process do not make CountRegistrations endless.
func TestHostileRegistrations(t *testing.T) {
	leak.Descriptors(t)
	for name, lock := range map[string]unix.Flock_t{
		"all":         {Type: unix.F_WRLCK},
		"all of them": {Type: unix.F_WRLCK, Start: firstRegistration, Len: maxRegistrations},
		"from within": {Type: unix.F_RDLCK, Start: firstRegistration + 5},
		"across":      {Type: unix.F_WRLCK, Start: firstRegistration - 5, Len: 10},
	} {
		control := memory(t)
		hostile, err := reopen(control)
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.FcntlFlock(hostile.Fd(), unix.F_OFD_SETLK, &lock); err != nil {
			t.Fatal(err)
		}
		if n := registrations(t, control); n != 1 {
			t.Errorf("%s: %d are registered", name, n)
		}
		own, err := Register(control, 0)
		if full := name == "all" || name == "all of them"; (err != nil) != full {
			t.Errorf("%s: %v", name, err)
		}
		handoff.CloseFiles(own, hostile, control)
	}
}

func TestLeaseHeldBelow(t *testing.T) {
	leak.Descriptors(t)
	control := memory(t)
	defer control.Close()
	var leases []*Lease
	for _, epoch := range []uint64{2, 9, 5, 11} {
		c, err := AcquireLease(control, epoch)
		if err != nil {
			t.Fatal(err)
		}
		leases = append(leases, c)
	}
	for epoch, want := range map[uint64]uint64{0: 0, 1: 0, 2: 0, 3: 2, 9: 5, 10: 9, 11: 9, 12: 11, firstRegistration - 1: 11} {
		if at, ok, err := LeaseHeldBelow(control, epoch); at != want || ok != (want > 0) || err != nil {
			t.Errorf("below %d: %d, %t, %v, want %d", epoch, at, ok, err, want)
		}
	}
	if _, _, err := LeaseHeldBelow(control, firstRegistration); err == nil {
		t.Error("an epoch above the limit is accepted")
	}
	for _, c := range leases {
		c.Release()
	}
	if at, ok, err := LeaseHeldBelow(control, 100); ok || err != nil {
		t.Errorf("%d, %v", at, err)
	}
}

// A peer with an offer is registered in the memory of the offer until the peer closes the memory.
func TestOfferRegistersPeer(t *testing.T) {
	leak.Descriptors(t)
	a := newActive(t, 1)
	v := start(t, a)
	_, first := join(t, v.Path(), Standby)
	_, second := join(t, v.Path(), Standby)
	a.waitForPeers(v, 2)
	if all, others := registrations(t, a.memory.Control), registrations(t, first.Memory.Control); all != 2 || others != 1 {
		t.Errorf("%d registrations, %d besides the own one", all, others)
	}
	first.Close()
	waitForRegistrations(t, a.memory.Control, 1)
	v.stop()
	if n := registrations(t, a.memory.Control); n != 1 {
		t.Errorf("%d are registered after the end of the active process, want 1", n)
	}
	second.Close()
	waitForRegistrations(t, a.memory.Control, 0)
}

// stoppedActive is an active process that is stopped before committed.
type stoppedActive struct {
	*active
	stopped chan struct{}
	wake    chan struct{}
}

func (s *stoppedActive) Committing(Hello) {
	close(s.stopped)
	<-s.wake
}

// Standbys have the memory of the new process, and are registered there, before the new process
// can read: the old process may be stopped from then on.
func TestAnnouncementBeforeCommitted(t *testing.T) {
	leak.Descriptors(t)
	a := &stoppedActive{newActive(t, 1), make(chan struct{}), make(chan struct{})}
	v := start(t, a)
	reading, _ := join(t, v.Path(), Standby)
	asleep, _ := join(t, v.Path(), Standby)
	a.waitForPeers(v, 2)
	counts := newMemory(t)
	defer counts.Close()
	successor, _ := join(t, v.Path(), Successor)
	successor.SetMemory(counts)

	ctx, cancel := context.WithCancel(testContext(t))
	waited := make(chan error, 1)
	go func() { waited <- reading.Wait(ctx) }()
	taken := make(chan *Server, 1)
	go func() { taken <- takeOver(t, successor) }()
	<-a.stopped
	if n := registrations(t, counts.Control); n != 2 {
		t.Errorf("%d standbys are registered with the memory of the new process, want 2", n)
	}
	cancel()
	wantError(t, result(t, waited), context.Canceled)
	for _, c := range []*Conn{reading, asleep} {
		h := c.Announcement()
		sameMemory(t, h.Memory, counts)
		if h.PID != os.Getpid() {
			t.Errorf("%+v", h)
		}
		h.Memory.Close()
	}
	if n := registrations(t, counts.Control); n != 0 {
		t.Errorf("%d registrations in a closed memory", n)
	}
	close(a.wake)
	(<-taken).Close()
}

// The announcement of a successor that fails before committed is withdrawn.
func TestAnnouncementIsWithdrawn(t *testing.T) {
	leak.Descriptors(t)
	a := &stoppedActive{newActive(t, 1), make(chan struct{}), make(chan struct{})}
	v := start(t, a)
	standby, _ := join(t, v.Path(), Standby)
	a.waitForPeers(v, 1)
	counts := newMemory(t)
	defer counts.Close()
	successor, _ := join(t, v.Path(), Successor)
	successor.SetMemory(counts)
	failed := make(chan error, 1)
	go func() {
		if err := successor.Ready(testContext(t)); err != nil {
			failed <- err
			return
		}
		_, err := successor.Commit(testContext(t))
		failed <- err
	}()
	<-a.stopped
	successor.conn.Close()
	result(t, failed)
	close(a.wake)
	a.waitForCall("resume")
	if h := standby.Announcement(); h != (Announcement{}) {
		t.Errorf("%+v", h)
	}
	if calls := a.calls(); !slices.Equal(calls, []string{"quiesce", "resume"}) {
		t.Errorf("%q", calls)
	}
	waitForRegistrations(t, counts.Control, 0)
}

// The active process passes the memory of a successor to standbys only if it is memory: another
// file would be opened for writing, with the rights of the active process.
func TestMemoryThatIsAFileIsNotAnnounced(t *testing.T) {
	leak.Descriptors(t)
	a := newActive(t, 1)
	v := start(t, a)
	standby, _ := join(t, v.Path(), Standby)
	a.waitForPeers(v, 1)
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("12345678"), 0o644); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	successor, _ := join(t, v.Path(), Successor)
	successor.SetMemory(handoff.Memory{Counters: file, Control: file})
	defer takeOver(t, successor).Close()
	wantError(t, standby.Wait(testContext(t)), ErrRedirected)
	h := standby.Announcement()
	defer h.Memory.Close()
	if h.PID != os.Getpid() || h.Memory.Files() != nil {
		t.Errorf("%+v", h)
	}
}
