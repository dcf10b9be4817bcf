package sockets

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/sys"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// socket is a real socket.
type socket struct {
	fd int
	at netip.AddrPort
}

// option is set before a socket is bound.
type option func(fd int) error

func set(level, name, value int) option {
	return func(fd int) error { return unix.SetsockoptInt(fd, level, name, value) }
}

var (
	reuseport = set(unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	reuseaddr = set(unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	v6only    = set(unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1)
	dual      = set(unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0)
)

func buffer(bytes int) option { return set(unix.SOL_SOCKET, unix.SO_RCVBUF, bytes) }

func onInterface(name string) option {
	return func(fd int) error { return unix.BindToDevice(fd, name) }
}

// sharing are the options with which sockets can share a port.
var sharing = []int{unix.SO_REUSEPORT, unix.SO_REUSEADDR}

// bind opens a socket; port 0 is a free port. A socket with an option of sharing set may get the
// port of another such socket, so bind sets the options after the first bind. Without the address
// family, or the privilege for an option, bind skips the test.
func bind(t testing.TB, at string, options ...option) socket {
	t.Helper()
	address := netip.MustParseAddrPort(at)
	family := unix.AF_INET
	if address.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if errors.Is(err, unix.EAFNOSUPPORT) {
		t.Skip("needs IPv6: boot without ipv6.disable=1")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	for _, o := range options {
		if err := o(fd); errors.Is(err, unix.EPERM) {
			t.Skip("needs CAP_NET_RAW: grant it, or run as root")
		} else if err != nil {
			t.Fatal(err)
		}
	}
	var shared []int
	for _, name := range sharing {
		if on, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, name); err != nil {
			t.Fatal(err)
		} else if on != 0 && address.Port() == 0 {
			shared = append(shared, name)
		}
	}
	setSharing := func(to int) {
		for _, name := range shared {
			if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, name, to); err != nil {
				t.Fatal(err)
			}
		}
	}
	setSharing(0)
	err = unix.Bind(fd, sockaddr(address))
	if errors.Is(err, unix.EADDRNOTAVAIL) && family == unix.AF_INET6 {
		t.Skip("needs ::1 on the loopback interface: sysctl -w net.ipv6.conf.lo.disable_ipv6=0")
	}
	if err != nil {
		t.Fatalf("bind %s: %v", address, err)
	}
	setSharing(1)
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	port := 0
	switch name := name.(type) {
	case *unix.SockaddrInet4:
		port = name.Port
	case *unix.SockaddrInet6:
		port = name.Port
	}
	return socket{fd, netip.AddrPortFrom(address.Addr(), uint16(port))}
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}

func (s socket) port() uint16 { return s.at.Port() }

// beside is an address with the same port.
func (s socket) beside(ip string) string {
	return netip.AddrPortFrom(netip.MustParseAddr(ip), s.port()).String()
}

// cookie returns the cookie by the socket's own descriptor.
func (s socket) cookie(t *testing.T) uint64 {
	t.Helper()
	cookie, err := sys.SocketCookie(s.fd)
	if err != nil {
		t.Fatal(err)
	}
	return cookie
}

func (s socket) send(t *testing.T, to netip.AddrPort, size int) {
	t.Helper()
	if err := unix.Sendto(s.fd, make([]byte, size), 0, sockaddr(to)); errors.Is(err, unix.ENETUNREACH) {
		t.Skip("needs the loopback interface: ip link set lo up")
	} else if err != nil {
		t.Fatalf("send to %s: %v", to, err)
	}
}

// await waits until one of several sockets has a datagram: on a busy CPU, delivery takes time.
func await(t *testing.T, some ...socket) {
	t.Helper()
	var polls []unix.PollFd
	for _, s := range some {
		polls = append(polls, unix.PollFd{Fd: int32(s.fd), Events: unix.POLLIN})
	}
	for {
		n, err := unix.Poll(polls, 20_000)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			t.Fatal(err)
		case n == 0:
			t.Fatal("nothing has come")
		default:
			return
		}
	}
}

// receive returns how many datagrams waited.
func (s socket) receive(t *testing.T) int {
	t.Helper()
	var b [1]byte
	for n := 0; ; n++ {
		_, _, err := unix.Recvfrom(s.fd, b[:], unix.MSG_TRUNC)
		if errors.Is(err, unix.EAGAIN) {
			return n
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func list(t *testing.T, port uint16) []Socket {
	t.Helper()
	found, err := List(port)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func find(t *testing.T, s socket) Socket {
	t.Helper()
	cookie := s.cookie(t)
	for _, found := range list(t, s.port()) {
		if found.Cookie == cookie {
			return found
		}
	}
	t.Fatalf("%s is not listed", s.at)
	return Socket{}
}

func TestWhatIsSaidOfASocket(t *testing.T) {
	s := bind(t, "127.0.0.1:0", buffer(20_000))
	sender := bind(t, "127.0.0.1:0")
	const size, sent = 1000, 100
	for range sent {
		sender.send(t, s.at, size)
	}
	var stat unix.Stat_t
	if err := unix.Fstat(s.fd, &stat); err != nil {
		t.Fatal(err)
	}
	granted, err := unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	if err != nil {
		t.Fatal(err)
	}
	got := find(t, s)
	if got.Local != s.at || got.Peer.IsValid() || got.V6Only || got.Interface != "" {
		t.Errorf("%+v, want the address %s and no more", got, s.at)
	}
	if uint64(got.Inode) != stat.Ino || int(got.UID) != os.Getuid() || int(got.BufferBytes) != granted {
		t.Errorf("%+v, want inode %d, uid %d, buffer %d", got, stat.Ino, os.Getuid(), granted)
	}
	if len(got.Processes) != 1 || got.Processes[0].PID != os.Getpid() || got.Processes[0].Command == "" {
		t.Errorf("processes %v, want this one, %d", got.Processes, os.Getpid())
	}
	queued := s.receive(t)
	if queued == 0 || queued == sent || int(got.Drops) != sent-queued || int(got.QueueBytes) < queued*size {
		t.Errorf("%d bytes in the queue and %d drops, of %d datagrams of which %d were queued", got.QueueBytes, got.Drops, sent, queued)
	}
	if got := find(t, s); got.QueueBytes != 0 || int(got.Drops) != sent-queued {
		t.Errorf("after reading: %d bytes in the queue, %d drops", got.QueueBytes, got.Drops)
	}
}

func TestConnectedSocketsHaveAPeer(t *testing.T) {
	for _, at := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(at, func(t *testing.T) {
			s, peer := bind(t, at), bind(t, at)
			peer.send(t, peer.at, 1) // fails where there is no route
			if err := unix.Connect(s.fd, sockaddr(peer.at)); err != nil {
				t.Fatal(err)
			}
			if got := find(t, s); got.Peer != peer.at || got.Local != s.at {
				t.Errorf("%+v, want %s connected to %s", got, s.at, peer.at)
			}
		})
	}
}

func TestFamiliesAndInterfaces(t *testing.T) {
	for _, c := range []struct {
		at      string
		options []option
		v6Only  bool
		iface   string
	}{
		{"[::]:0", []option{dual}, false, ""},
		{"[::]:0", []option{v6only}, true, ""},
		{"[::1]:0", []option{v6only}, true, ""},
		{"[::ffff:127.0.0.1]:0", []option{dual}, false, ""},
		{"127.0.0.1:0", []option{onInterface("lo")}, false, "lo"},
	} {
		t.Run(fmt.Sprint(c.at, c.v6Only, c.iface), func(t *testing.T) {
			s := bind(t, c.at, c.options...)
			if got := find(t, s); got.Local != s.at || got.V6Only != c.v6Only || got.Interface != c.iface {
				t.Errorf("%+v, want %s, V6Only %v, interface %q", got, s.at, c.v6Only, c.iface)
			}
		})
	}
}

// With more sockets than fit into one answer of the kernel, List keeps the order of binding.
func TestBindOrder(t *testing.T) {
	const members = 200
	none := func(int) error { return nil }
	for _, c := range []struct {
		name, at string
		option   option // of all
	}{
		{"IPv4", "127.0.0.1:0", none},
		{"IPv4 wildcard", "0.0.0.0:0", none},
		{"IPv6", "[::1]:0", none},
		{"IPv6 wildcard", "[::]:0", v6only},
		{"dual stack", "[::]:0", dual},
	} {
		for _, joined := range []bool{true, false} {
			t.Run(fmt.Sprint(c.name, ", the first one joins ", joined), func(t *testing.T) {
				first := bind(t, c.at, c.option, reuseport) // made to share after bind
				if joined {
					held := first.fd
					first = bind(t, first.at.String(), c.option, reuseport)
					if err := unix.Dup3(first.fd, held, unix.O_CLOEXEC); err != nil { // closes held
						t.Fatal(err)
					}
				}
				want := []uint64{first.cookie(t)}
				for range members - 1 {
					want = append(want, bind(t, first.at.String(), c.option, reuseport).cookie(t))
				}
				groups, _ := Groups(watched(list(t, first.port())))
				if len(groups) != 1 {
					t.Fatalf("%d groups, want 1", len(groups))
				}
				if got := cookies(groups[0]); !slices.Equal(got, want) {
					t.Errorf("cookies %v, want those in bind order %v", got, want)
				}
			})
		}
	}
}

// The kernel numbers members in the order of List: a program that returns a number chooses the
// member with that number.
func TestOrderIsTheNumbering(t *testing.T) {
	for _, at := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(at, func(t *testing.T) {
			byCookie := make(map[uint64]socket)
			first := bind(t, at, reuseport)
			byCookie[first.cookie(t)] = first
			all := []socket{first}
			for range 4 {
				s := bind(t, first.at.String(), reuseport)
				byCookie[s.cookie(t)] = s
				all = append(all, s)
			}
			sender := bind(t, at)
			for number, listed := range list(t, first.port()) {
				first.steer(t, number)
				sender.send(t, first.at, 1)
				await(t, all...)
				for cookie, s := range byCookie {
					want := 0
					if cookie == listed.Cookie {
						want = 1
					}
					if got := s.receive(t); got != want {
						t.Errorf("member %d: a socket got %d datagrams, want %d", number, got, want)
					}
				}
			}
		})
	}
}

// steer attaches a program that always returns the same member's number.
func (s socket) steer(t *testing.T, number int) {
	t.Helper()
	returns := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: uint32(number)}}
	program := unix.SockFprog{Len: 1, Filter: &returns[0]}
	if err := unix.SetsockoptSockFprog(s.fd, unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF, &program); err != nil {
		t.Fatal(err)
	}
}

func TestAMemberThatIsConnectedKeepsItsNumber(t *testing.T) {
	first := bind(t, "127.0.0.1:0", reuseport)
	second := bind(t, first.at.String(), reuseport)
	third := bind(t, first.at.String(), reuseport)
	first.send(t, first.at, 1) // fails where there is no route
	await(t, first, second, third)
	for _, s := range []socket{first, second, third} {
		s.receive(t)
	}
	if err := unix.Connect(first.fd, sockaddr(bind(t, "127.0.0.1:0").at)); err != nil {
		t.Fatal(err)
	}
	third.steer(t, 1)
	bind(t, "127.0.0.1:0").send(t, first.at, 1)
	await(t, first, second, third)
	if a, b, c := first.receive(t), second.receive(t), third.receive(t); a != 0 || b != 1 || c != 0 {
		t.Errorf("member 1 is not the second socket: they got %d, %d and %d", a, b, c)
	}
}

func watched(found []Socket) []Watched {
	var w Watch
	w.add(found)
	return w.Sockets
}

func cookies(g *Group) []uint64 {
	var list []uint64
	for _, s := range g.Members {
		list = append(list, s.Cookie)
	}
	return list
}
