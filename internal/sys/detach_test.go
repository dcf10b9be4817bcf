package sys

import (
	"testing"

	"golang.org/x/sys/unix"
)

// A detached socket has a peer: itself.
func TestDetachSocket(t *testing.T) {
	for _, fd := range boundPair(t) {
		own, err := BoundAddress(fd)
		if err != nil {
			t.Fatal(err)
		}
		if err := DetachSocket(fd); err != nil {
			t.Fatal(err)
		}
		peer, err := unix.Getpeername(fd)
		if p, ok := peer.(*unix.SockaddrInet4); !ok || p.Addr != own.Addr().As4() || p.Port != int(own.Port()) || err != nil {
			t.Errorf("the peer is %+v, not %s, %v", peer, own, err)
		}
	}
	if err := DetachSocket(-1); err == nil {
		t.Error("no error without a socket")
	}
}

func TestIsUnreachable(t *testing.T) {
	for errno, want := range map[unix.Errno]bool{
		unix.EHOSTUNREACH: true, unix.ENETUNREACH: true, unix.EADDRNOTAVAIL: true,
		unix.ECONNREFUSED: false, unix.EBADF: false, unix.EAGAIN: false,
	} {
		if got := isUnreachable(errno); got != want {
			t.Errorf("%v: %t", errno, got)
		}
	}
}
