package systemd

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/handoff"
	"github.com/udpshard/udpshard/internal/handoff/systemd/systemdtest"
	"github.com/udpshard/udpshard/internal/leak"
)

// report is what a child reports about itself, as a line of JSON.
type report struct {
	Watchdog   time.Duration
	Addresses  []string   // of each listener
	Generation uint64     // of the stored state
	Seeds      []uint32   // of the stored state
	Waited     [][]string // datagrams in the queues of the sockets, by listener
	Counters   string
	Activated  []string
	Dropped    int
	Leaked     []string // environment variables that remain
	Inherited  bool     // a descriptor is not close-on-exec
}

// child is the process: it restores the stored state, or opens two listeners of two sockets;
// stores the state with counters of its own; and lives until the end of its standard input.
func child(args []string) int {
	r, err := runChild(args[0])
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(r)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	io.Copy(io.Discard, os.Stdin)
	return 0
}

func runChild(counters string) (r report, err error) {
	u, err := Open()
	if err != nil {
		return r, err
	}
	r.Watchdog, _ = u.Watchdog()
	for _, name := range []string{"NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID", "WATCHDOG_USEC", "FDSTORE"} {
		if _, ok := os.LookupEnv(name); ok {
			r.Leaked = append(r.Leaked, name)
		}
	}
	passed := u.Passed()
	for _, p := range passed {
		flags, err := unix.FcntlInt(p.File.Fd(), unix.F_GETFD, 0)
		r.Inherited = r.Inherited || err != nil || flags&unix.FD_CLOEXEC == 0
	}
	k := Restore(passed)
	r.Generation, r.Dropped = k.Generation, len(k.Dropped)+len(k.Surplus)
	for _, a := range k.Activated {
		r.Activated = append(r.Activated, a.Name)
	}
	next := k.State
	if k.Generation == 0 {
		if next.Listeners, err = openListeners(k.Activated); err != nil {
			return r, err
		}
	} else {
		text := make([]byte, 100)
		n, _ := k.Memory.Counters.ReadAt(text, 0)
		r.Counters = string(text[:n])
	}
	for _, l := range next.Listeners {
		r.Seeds = append(r.Seeds, l.Seed)
		r.Waited = append(r.Waited, readWaiting(l.Sockets))
		conn, err := net.FilePacketConn(l.Sockets[0])
		if err != nil {
			return r, err
		}
		r.Addresses = append(r.Addresses, conn.LocalAddr().String())
		conn.Close()
	}
	var files []*os.File
	for _, name := range []string{"counters", "control"} {
		fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
		if err != nil {
			return r, err
		}
		files = append(files, os.NewFile(uintptr(fd), name))
	}
	next.Memory = handoff.MemoryOf(files)
	if _, err := next.Memory.Counters.WriteString(counters); err != nil {
		return r, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	return r, errors.Join(u.StoreAndWait(ctx, next), u.Ready("serves"))
}

// openListeners returns two listeners of two sockets, or a listener of the activated sockets.
func openListeners(activated []Passed) (listeners []handoff.Listener, err error) {
	if len(activated) > 0 {
		l := handoff.Listener{Name: "activated", Seed: 30}
		for _, a := range activated {
			l.Sockets = append(l.Sockets, a.File)
		}
		return []handoff.Listener{l}, nil
	}
	for i := range 2 {
		l := handoff.Listener{Name: fmt.Sprint("l", i), Seed: uint32(10 + i)}
		if l.Sockets, err = openUDP(2); err != nil {
			return nil, err
		}
		listeners = append(listeners, l)
	}
	return listeners, nil
}

// readWaiting reads the queues of sockets.
func readWaiting(sockets []*os.File) (texts []string) {
	for _, f := range sockets {
		for buffer := make([]byte, 100); ; {
			n, _, err := unix.Recvfrom(int(f.Fd()), buffer, unix.MSG_DONTWAIT)
			if err != nil {
				break
			}
			texts = append(texts, string(buffer[:n]))
		}
	}
	slices.Sort(texts)
	return texts
}

// childProcess is a child that has stored its state and is ready.
type childProcess struct {
	report
	cmd   *exec.Cmd
	stdin io.Closer
}

func startChild(t *testing.T, m *systemdtest.Manager, counters string, activated ...systemdtest.Descriptor) *childProcess {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r := &childProcess{cmd: exec.Command(self, "child", counters)}
	defer m.Prepare(r.cmd, activated...)()
	r.cmd.Stderr = os.Stderr
	stdout, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if r.stdin, err = r.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.kill)
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &r.report)
	}
	if err != nil {
		t.Fatal(err)
	}
	m.Await("ready", func(said []systemdtest.Message, _ []string) bool {
		return slices.ContainsFunc(said, func(s systemdtest.Message) bool {
			return s.PID == r.cmd.Process.Pid && s.Text == "READY=1\nSTATUS=serves"
		})
	})
	return r
}

func (r *childProcess) kill() {
	r.cmd.Process.Kill()
	r.stdin.Close()
	r.cmd.Wait()
}

// Datagrams that arrive between two processes wait for the next process, after kill -9 and after a
// clean end.
func TestRestarts(t *testing.T) {
	leak.Descriptors(t)
	m := newManager(t)
	r := startChild(t, m, "0")
	if r.Watchdog != 20*time.Second || r.Leaked != nil || r.Generation != 0 {
		t.Errorf("%+v", r.report)
	}
	for i := range 3 {
		if i%2 == 0 {
			r.kill()
		} else {
			r.stdin.Close()
			if err := r.cmd.Wait(); err != nil {
				t.Error(err)
			}
		}
		var want [][]string
		for _, address := range r.Addresses {
			var sent []string
			for n := range 20 { // from 20 ports, so that each socket gets some
				conn, err := net.Dial("udp", address)
				if err != nil {
					t.Fatal(err)
				}
				text := fmt.Sprintf("%s %02d", address, n)
				if _, err := conn.Write([]byte(text)); err != nil {
					t.Error(err)
				}
				conn.Close()
				sent = append(sent, text)
			}
			want = append(want, sent)
		}
		next := startChild(t, m, fmt.Sprint(i+1))
		if next.Counters != fmt.Sprint(i) || next.Generation <= r.Generation || next.Dropped != 0 || next.Leaked != nil || next.Inherited {
			t.Errorf("%+v", next.report)
		}
		if !slices.Equal(next.Addresses, r.Addresses) || !slices.Equal(next.Seeds, []uint32{10, 11}) {
			t.Errorf("%+v, before %+v", next.report, r.report)
		}
		if !slices.EqualFunc(next.Waited, want, slices.Equal[[]string]) {
			t.Errorf("%q, sent %q", next.Waited, want)
		}
		if kept := m.StoredNames(); len(kept) != 7 {
			t.Errorf("%q", kept)
		}
		r = next
	}
}

func TestActivatedProcess(t *testing.T) {
	leak.Descriptors(t)
	m := newManager(t)
	var unit []systemdtest.Descriptor
	for _, f := range udpSockets(t, 3) {
		unit = append(unit, systemdtest.Descriptor{Name: "udpshard.socket", File: f})
	}
	r := startChild(t, m, "0", unit...)
	if !slices.Equal(r.Activated, []string{"udpshard.socket", "udpshard.socket", "udpshard.socket"}) || r.Inherited {
		t.Errorf("%+v", r.report)
	}
	r.kill()
	next := startChild(t, m, "1", unit...)
	if next.Activated != nil || !slices.Equal(next.Seeds, []uint32{30}) || next.Counters != "0" || next.Dropped != 0 {
		t.Errorf("%+v", next.report)
	}
}
