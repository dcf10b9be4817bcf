package sys

import (
	"testing"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// boundPair returns two sockets of a SO_REUSEPORT group.
func boundPair(t *testing.T) (fds [2]int) {
	t.Helper()
	name := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}
	for i := range fds {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
			t.Fatal(err)
		}
		if err := unix.Bind(fd, name); err != nil {
			t.Fatal(err)
		}
		bound, err := BoundAddress(fd)
		if err != nil {
			t.Fatal(err)
		}
		name.Port, fds[i] = int(bound.Port()), fd
	}
	return fds
}

func TestPrograms(t *testing.T) {
	fds := boundPair(t)
	attached := func(want bool) {
		t.Helper()
		if got, err := RemoveProgram(fds[1]); got != want || err != nil {
			t.Errorf("attached is %t, %v", got, err)
		}
	}
	attached(false)
	program, err := bpf.Assemble([]bpf.Instruction{bpf.RetConstant{Val: 1}})
	if err != nil {
		t.Fatal(err)
	}
	if err := AttachProgram(fds[0], program); err != nil {
		t.Fatal(err)
	}
	attached(true)
	attached(false)
	if err := AttachProgram(fds[0], program); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := DetachProgram(fds[0]); err != nil {
			t.Error(err)
		}
	}
	attached(false)
	if err := AttachProgram(-1, program); err == nil {
		t.Error("a program without a socket")
	}
}

// RejectNew drops datagrams at the socket, and DetachFilter ends that.
func TestRejectNew(t *testing.T) {
	fd := boundPair(t)[0]
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Connect(fd, name); err != nil { // the socket sends to itself
		t.Fatal(err)
	}
	for _, rejects := range []bool{true, false} {
		if rejects {
			if err := RejectNew(fd); err != nil {
				t.Fatal(err)
			}
		}
		before, err := SocketMemory(fd)
		if err != nil {
			t.Fatal(err)
		}
		unix.Write(fd, []byte("x"))
		after := before
		for end := time.Now().Add(20 * time.Second); after == before && time.Now().Before(end); {
			if after, err = SocketMemory(fd); err != nil {
				t.Fatal(err)
			}
		}
		if queued, dropped := after.Queued > before.Queued, after.Dropped > before.Dropped; queued == rejects || dropped != rejects {
			t.Errorf("rejects is %t: %+v, then %+v", rejects, before, after)
		}
		for _, want := range []bool{rejects, false} {
			if detached, err := DetachFilter(fd); detached != want || err != nil {
				t.Errorf("detached is %t, %v", detached, err)
			}
		}
	}
}
