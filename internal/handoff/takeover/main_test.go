package takeover

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/handoff"
	"github.com/udpshard/udpshard/internal/sys"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testTimeout bounds waiting for an event that should come at once.
const testTimeout = 20 * time.Second

func udpSocket(t *testing.T) *os.File {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), "udp")
}

// newMemory returns a Memory as a process makes it.
func newMemory(t *testing.T) handoff.Memory {
	t.Helper()
	return handoff.Memory{Counters: memory(t), Control: memory(t)}
}

func duplicateOf(m handoff.Memory) handoff.Memory {
	return handoff.Memory{Counters: duplicate(m.Counters), Control: duplicate(m.Control)}
}

// sameMemory fails the test unless got has duplicates of the files of want.
func sameMemory(t *testing.T, got, want handoff.Memory) {
	t.Helper()
	if got.Files() == nil || inode(t, got.Counters) != inode(t, want.Counters) || inode(t, got.Control) != inode(t, want.Control) {
		t.Errorf("memory %+v, want %+v", got, want)
	}
}

func memory(t *testing.T) *os.File {
	t.Helper()
	file, mapped, _, err := sys.NewMemory("counters", 8, sys.ReadWrite)
	if err == nil {
		err = sys.UnmapMemory(mapped)
	}
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func inode(t *testing.T, f *os.File) uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	return st.Ino
}

// active is an active process. The files of its offer are duplicates.
type active struct {
	t       *testing.T
	sockets [][]*os.File // by listener
	memory  handoff.Memory
	refusal error
	quiesce func(context.Context) error
	changes chan string // names of called methods

	mu     sync.Mutex
	called []string
	hellos []Hello
}

func newActive(t *testing.T, sockets ...int) *active {
	a := &active{t: t, memory: newMemory(t), changes: make(chan string, 1000)}
	t.Cleanup(func() { a.memory.Close() })
	for _, n := range sockets {
		var files []*os.File
		for range n {
			files = append(files, udpSocket(t))
		}
		a.sockets = append(a.sockets, files)
		t.Cleanup(func() { handoff.CloseFiles(files...) })
	}
	return a
}

func (a *active) onQuiesce(f func(context.Context) error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.quiesce = f
}

// quiesceUntilCanceled makes Quiesce last until its context ends.
func (a *active) quiesceUntilCanceled() {
	a.onQuiesce(func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	})
}

func (a *active) record(what string) {
	a.mu.Lock()
	a.called = append(a.called, what)
	a.mu.Unlock()
	a.changes <- what
}

// waitForCall waits for a call of a method.
func (a *active) waitForCall(what string) {
	a.t.Helper()
	late := time.After(testTimeout)
	for {
		select {
		case c := <-a.changes:
			if c == what {
				return
			}
		case <-late:
			a.t.Fatalf("no %s", what)
		}
	}
}

func (a *active) calls() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.called)
}

func (a *active) receivedHellos() []Hello {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.hellos)
}

func duplicate(f *os.File) *os.File {
	duplicate, err := sys.DuplicateFile(f, f.Name())
	if err != nil {
		panic(err)
	}
	return duplicate
}

func (a *active) Offer(h Hello) (Offer, error) {
	a.mu.Lock()
	a.hellos = append(a.hellos, h)
	a.mu.Unlock()
	if a.refusal != nil {
		return Offer{}, a.refusal
	}
	o := Offer{State: handoff.State{Memory: duplicateOf(a.memory), Notes: []byte(`{"later":1}`)}}
	for i, files := range a.sockets {
		l := handoff.Listener{Name: string(rune('a' + i)), Address: "127.0.0.1:5514", Protocol: "raw", Seed: 1<<32 - 1}
		for _, f := range files {
			l.Sockets = append(l.Sockets, duplicate(f))
		}
		if i == 0 && len(files) > 0 {
			l.Stream = duplicate(files[0]) // any file will do
		}
		o.Listeners = append(o.Listeners, l)
	}
	return o, nil
}

func (a *active) Quiesce(ctx context.Context) error {
	a.record("quiesce")
	a.mu.Lock()
	quiesce := a.quiesce
	a.mu.Unlock()
	if quiesce != nil {
		return quiesce(ctx)
	}
	return nil
}

func (a *active) Resume(reason error) {
	if reason == nil {
		a.t.Error("resumed without a reason")
	}
	a.record("resume")
}

func (a *active) SuccessorFailed(Hello, error) { a.record("failed") }
func (a *active) Committing(Hello)             {}
func (a *active) Committed(Hello)              { a.record("committed") }

// patientLimits are limits that a running process never exceeds, also on a busy machine that stops
// a process for a second or two.
var patientLimits = limits{step: testTimeout, prepare: testTimeout, commit: testTimeout, announce: testTimeout, closing: testTimeout}

// served is a server, and the result of Serve.
type served struct {
	*Server
	ended chan error
	stop  context.CancelFunc
}

func serve(t *testing.T, s *Server, a Active) served {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	v := served{s, make(chan error, 1), cancel}
	done := make(chan struct{})
	go func() {
		v.ended <- s.Serve(ctx, a)
		close(done)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return v
}

func start(t *testing.T, a Active, change ...func(*Server)) served {
	t.Helper()
	s, err := Listen(filepath.Join(t.TempDir(), "takeover.sock"), "1.0")
	if err != nil {
		t.Fatal(err)
	}
	s.limits = patientLimits
	for _, f := range change {
		f(s)
	}
	return serve(t, s, a)
}

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	t.Cleanup(cancel)
	return ctx
}

func dial(t *testing.T, path string) *Conn {
	t.Helper()
	c, err := Dial(testContext(t), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// join connects and receives the offer.
func join(t *testing.T, path string, role Role) (*Conn, Offer) {
	t.Helper()
	c := dial(t, path)
	o, err := c.Hello(testContext(t), Hello{Version: "1.1", Role: role})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.Close)
	return c, o
}

// takeOver takes over after the offer.
func takeOver(t *testing.T, c *Conn) *Server {
	t.Helper()
	if err := c.Ready(testContext(t)); err != nil {
		t.Fatal(err)
	}
	return commitTakeover(t, c)
}

func commitTakeover(t *testing.T, c *Conn) *Server {
	t.Helper()
	s, err := c.Commit(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	return s
}

func result(t *testing.T, c <-chan error) error {
	t.Helper()
	select {
	case err := <-c:
		return err
	case <-time.After(testTimeout):
		t.Fatal("timed out")
		return nil
	}
}

func wantError(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%v, want %v", err, want)
	}
}
