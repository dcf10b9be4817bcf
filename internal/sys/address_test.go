package sys

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// A socket that is bound to the Sockaddr of an address reports that address.
func TestAddresses(t *testing.T) {
	for _, text := range []string{"127.0.0.1", "0.0.0.0", "::1", "::"} {
		at := netip.AddrPortFrom(netip.MustParseAddr(text), 0)
		family := unix.AF_INET
		if at.Addr().Is6() {
			if family = unix.AF_INET6; !HaveIPv6() {
				continue
			}
		}
		fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		name, err := Sockaddr(at)
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Bind(fd, name); err == unix.EADDRNOTAVAIL {
			t.Logf("%s is no address of this host", at)
			continue
		} else if err != nil {
			t.Fatal(err)
		}
		if bound, err := BoundAddress(fd); bound.Addr() != at.Addr() || bound.Port() == 0 || err != nil {
			t.Errorf("bound to %s, %v, want %s", bound, err, at)
		}
	}
	if _, err := BoundAddress(-1); err == nil {
		t.Error("no error without a socket")
	}
}

func TestZones(t *testing.T) {
	index, err := ZoneIndex("lo")
	if err != nil || ZoneName(index) != "lo" {
		t.Errorf("lo is interface %d, which is %s, %v", index, ZoneName(index), err)
	}
	if index, err := ZoneIndex("4711"); index != 4711 || err != nil {
		t.Error(index, err)
	}
	if name := ZoneName(1 << 30); name != "1073741824" {
		t.Errorf("an unknown interface is %s", name)
	}
	link := netip.MustParseAddr("fe80::1")
	if name, err := Sockaddr(netip.AddrPortFrom(link.WithZone("lo"), 7)); err != nil || name.(*unix.SockaddrInet6).ZoneId != index {
		t.Errorf("%+v, %v", name, err)
	}
	if _, err := Sockaddr(netip.AddrPortFrom(link.WithZone("no such interface"), 7)); err == nil {
		t.Error("no error for an unknown zone")
	}
}

func TestSocketCookie(t *testing.T) {
	fds := boundPair(t)
	duplicate, err := Duplicate(fds[0])
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(duplicate)
	var cookies [3]uint64
	for i, fd := range []int{fds[0], duplicate, fds[1]} {
		if cookies[i], err = SocketCookie(fd); err != nil {
			t.Fatal(err)
		}
	}
	if cookies[0] == 0 || cookies[0] != cookies[1] || cookies[0] == cookies[2] {
		t.Errorf("cookies %x: a socket, its duplicate, and another socket", cookies)
	}
	if _, err := SocketCookie(-1); err == nil {
		t.Error("no error without a socket")
	}
}
