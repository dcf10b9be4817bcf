package sys

import (
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

func TestMmsghdrIsTheKernels(t *testing.T) {
	// struct mmsghdr has 64 bytes on 64-bit Linux, with msg_len behind msg_hdr.
	if size := unsafe.Sizeof(mmsghdr{}); size != 64 {
		t.Errorf("size %d", size)
	}
	if at := unsafe.Offsetof(mmsghdr{}.len); at != 56 {
		t.Errorf("msg_len at %d", at)
	}
}

func TestControlMessagesRoundTrip(t *testing.T) {
	for _, addr := range []string{"192.0.2.1", "2001:db8::1", "::1"} {
		local := netip.MustParseAddr(addr)
		buf := make([]byte, destinationSpace)
		n := putControl(buf, local)
		if n == 0 || n > destinationSpace {
			t.Fatalf("%s: %d bytes", local, n)
		}
		if control := parseControl(buf[:n]); control.local != local {
			t.Errorf("%s comes back as %s", local, control.local)
		}
		for i := range buf[:n] { // a truncated message is not read past its end
			parseControl(buf[:i])
		}
	}
	if n := putControl(nil, netip.Addr{}); n != 0 {
		t.Errorf("no address takes %d bytes", n)
	}
}

func TestMulticastIsNotAnsweredFrom(t *testing.T) {
	buf := make([]byte, destinationSpace)
	n := putControl(buf, netip.MustParseAddr("ff02::1"))
	control := parseControl(buf[:n])
	if control.destination != netip.MustParseAddr("ff02::1") || control.local.IsValid() {
		t.Errorf("asked %s, answer from %s", control.destination, control.local)
	}
}

// pair returns two sockets, of which the first sends to the second.
func pair(t *testing.T) (from, to int) {
	t.Helper()
	to, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(to) })
	if err := unix.Bind(to, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	from, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(from) })
	name, err := unix.Getsockname(to)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Connect(from, name); err != nil {
		t.Fatal(err)
	}
	return from, to
}

func TestReceiverReusesItsMemory(t *testing.T) {
	from, to := pair(t)
	r := NewReceiver(4, 8, ReceiverOptions{})
	message := []byte("0123")
	for round := range 3 {
		for range 6 {
			if _, err := unix.Write(from, message); err != nil {
				t.Fatal(err)
			}
		}
		for _, want := range []int{4, 2} {
			n, err := r.Receive(to, 0)
			if n != want || err != nil {
				t.Fatalf("round %d: %d, %v", round, n, err)
			}
			for i := range n {
				source, scope := r.Source(i)
				if string(r.Payload(i)) != "0123" || r.Truncated(i) || !r.HasSource(i) || source.Addr().String() != "127.0.0.1" || scope != 0 {
					t.Errorf("message %d: %q of %s", i, r.Payload(i), source)
				}
			}
		}
	}
	if n, err := r.Receive(to, unix.MSG_DONTWAIT); n != 0 || err != unix.EAGAIN {
		t.Errorf("an empty socket gives %d, %v", n, err)
	}
	if allocs := testing.AllocsPerRun(100, func() {
		unix.Write(from, message)
		r.Receive(to, 0)
		r.Source(0)
	}); allocs != 0 {
		t.Errorf("%v allocations a receive", allocs)
	}
}

func TestSocketMemoryCountsDrops(t *testing.T) {
	from, to := pair(t)
	if err := unix.SetsockoptInt(to, unix.SOL_SOCKET, unix.SO_RCVBUF, 1); err != nil {
		t.Fatal(err)
	}
	message := make([]byte, 1000)
	for range 50 {
		if _, err := unix.Write(from, message); err != nil {
			t.Fatal(err)
		}
	}
	m, err := SocketMemory(to)
	if err != nil {
		t.Fatal(err)
	}
	r := NewReceiver(64, 1000, ReceiverOptions{})
	n, _ := r.Receive(to, unix.MSG_DONTWAIT)
	if n+int(m.Dropped) != 50 || m.Dropped == 0 || m.Queued == 0 || m.Buffer == 0 {
		t.Errorf("%d received, %+v", n, m)
	}
	if _, err := SocketMemory(-1); err != unix.EBADF {
		t.Errorf("no socket: %v", err)
	}
}

func TestThread(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, err := ThreadCPU(unix.Gettid())
	if err != nil {
		t.Fatal(err)
	}
	for used := before; used < before+5*time.Millisecond; {
		if used, err = ThreadCPU(unix.Gettid()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := ThreadCPU(1 << 23); err == nil {
		t.Error("a thread beyond the largest pid_max has used time")
	}
	name, err := os.ReadFile("/proc/thread-self/comm")
	if err != nil {
		t.Fatal(err)
	}
	defer NameThread(strings.TrimSpace(string(name)))
	if err := NameThread("a name of more than fifteen bytes"); err != nil {
		t.Fatal(err)
	}
	if name, _ = os.ReadFile("/proc/thread-self/comm"); string(name) != "a name of more \n" {
		t.Errorf("the thread is called %q", name)
	}
}
