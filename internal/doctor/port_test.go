package doctor

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/sockets"
)

func TestHealthy(t *testing.T) {
	for _, nobody := range []bool{false, true} {
		s := situation{nobody: nobody}
		if nobody {
			s.files = map[string]string{"proc/4711/cgroup": "0::/user.slice\n"}
		}
		checks := make(map[string]bool)
		for _, f := range s.examine(t) {
			checks[f.Check] = true
			if f.Level != OK {
				t.Errorf("%+v", f)
			}
		}
		for _, check := range []string{"port", "receive buffer", "cpus", "cpu quota", "rx queues", "udp hash", "rx ring",
			"softnet", "conntrack", "udp errors", "udp memory", "open files", "threads", "memory", "go runtime"} {
			if !checks[check] {
				t.Errorf("no finding of %s", check)
			}
		}
	}
}

func unread(s *sockets.Watched)   { s.Unread, s.QueueBytes = true, 4096 }
func dropping(s *sockets.Watched) { s.Dropped, s.Drops = 17, 17 }
func unseen(s *sockets.Watched)   { s.Processes = nil }

func at(local string) func(*sockets.Watched) {
	return func(s *sockets.Watched) { s.Local = netip.MustParseAddrPort(local) }
}

func TestPort(t *testing.T) {
	const container = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	says := func(err error) func(netip.AddrPort) error { return func(netip.AddrPort) error { return err } }
	own, foreign := held(812, "udpshard"), held(99, "rsyslogd")
	list := func(s ...sockets.Watched) []sockets.Watched { return s }
	testSituations(t, map[string]given{
		"an instance": {situation{}, wants{"port", `^2 sockets of pid 812 \(udpshard\): nothing was dropped in \d+ms$`, "", OK}},
		"a free port": {situation{nobody: true}, wants{"port", `^port 5514 is free: serve can bind it$`, "", OK}},
		"any port": {situation{listener: func(l *Listener) { l.Address = netip.MustParseAddrPort("[::]:0") }},
			wants{"port", `^serve will bind any free port$`, "", OK}},
		"not visible": {situation{watchErr: errForbidden}, wants{"port", `^the sockets at port 5514 can't be listed: operation not permitted$`, "", Skip}},
		"an instance of another user": {situation{sockets: list(held(812, "", unseen, anotherUsers))},
			wants{"port", `^1 socket of uid 7, whose process uid \d+ may not see: (run doctor as root|the kernel has the socket, or .*)$`, "", Skip}},
		"a foreign member": {situation{sockets: list(own, foreign)},
			wants{"port", `pid 99 \(rsyslogd\) has port 5514 too, and receives a share of the datagrams$`, "kill 99", Warn}},
		"a foreign member that was asked for": {situation{sockets: list(own, foreign), listener: func(l *Listener) { l.Join = true }},
			wants{"port", `as --join asks`, "", OK}},
		"a foreign member that nobody reads": {situation{sockets: list(own, held(99, "rsyslogd", unread))},
			wants{"port", `^1 socket of pid 99 \(rsyslogd\) is not read: 4KiB wait in queues of 64MiB, and 0 datagrams were dropped in`, "kill 99", Fail}},
		"a stopped instance": {situation{files: map[string]string{"proc/812/stat": stat("T")}},
			wants{"port", `^2 sockets of pid 812 \(udpshard\) are not read: .*: the process is stopped$`, "kill -CONT 812", Fail}},
		"an instance whose output stands": {situation{sockets: list(held(812, "udpshard", unread))},
			wants{"port", `: the output accepts no records$`, "udpshard health", Warn}},
		"a hidden process that does not read": {situation{sockets: list(held(7, "", unseen, unread, anotherUsers))},
			wants{"port", `^1 socket of uid 7 is not read: `, "udpshard sockets :5514", Warn}},
		"a hidden process whose socket drops": {situation{sockets: list(held(7, "", unseen, dropping, anotherUsers))},
			wants{"port", `^datagrams are dropped at the sockets of uid 7, whose process is not visible: 17 in`, "udpshard sockets :5514", Fail}},
		"an instance in a debugger": {situation{files: files{"proc/812/stat": stat("t")}},
			wants{"port", `: a debugger has stopped the process$`, "grep TracerPid /proc/812/status", Fail}},
		"an instance by another name": {situation{sockets: list(held(812, "udpshard-1.2")), files: files{"proc/812/exe": "-> /opt/udpshard", "proc/4711/exe": "-> /tmp/udpshard-1.3"}},
			wants{"port", `^1 socket of pid 812 \(udpshard-1.2\)`, "", OK}},
		"an instance that was replaced": {situation{sockets: list(held(812, "main")), files: files{"proc/812/exe": "-> /opt/front (deleted)", "proc/4711/exe": "-> /opt/front"}},
			wants{"port", `^1 socket of pid 812 \(main\)`, "", OK}},
		"another user's instance": {situation{sockets: list(held(812, "udpshard", anotherUsers))},
			wants{"port", `^1 socket of pid 812 \(udpshard\) of uid 7: nothing`, "", OK}},
		"another program by the same name": {situation{sockets: list(held(99, "udpshard")), files: files{"proc/99/comm": "udpshard\n", "proc/99/exe": "-> /usr/bin/python3"}},
			wants{"port", `^pid 99 \(udpshard\) has port 5514: serve would not start$`, "kill 99", Fail}},
		"a name with control characters": {situation{sockets: list(held(99, "\x1b]0;x\a"))},
			wants{"port", `^pid 99 \("\\x1b]0;x\\a"\) has port`, "kill 99", Fail}},
		"another program": {situation{sockets: list(foreign)},
			wants{"port", `^pid 99 \(rsyslogd\) has port 5514: serve would not start$`, "kill 99", Fail}},
		"another program in two": {situation{sockets: list(held(99, "rsyslogd", func(s *sockets.Watched) {
			s.Processes = append(s.Processes, s.Processes[0])
			s.Processes[1].PID = 100
		}))}, wants{"port", `^pid 100 \(rsyslogd\), pid 99 \(rsyslogd\) has port`, "kill 99 100", Fail}},
		"a service":        {situation{sockets: list(foreign), files: files{"proc/99/cgroup": "0::/system.slice/rsyslog.service\n"}}, wants{"port", `has port`, "systemctl stop rsyslog.service", Fail}},
		"a user's service": {situation{sockets: list(foreign), files: files{"proc/99/cgroup": "0::/user.slice/user-7.slice/user@7.service/app.slice/x.service\n"}}, wants{"port", `has port`, "systemctl --user stop x.service", Fail}},
		"a user's program": {situation{sockets: list(foreign), files: files{"proc/99/cgroup": "0::/user.slice/user-7.slice/user@7.service\n"}}, wants{"port", `has port`, "kill 99", Fail}},
		"a container":      {situation{sockets: list(foreign), files: files{"proc/99/cgroup": "0::/system.slice/docker-" + container + ".scope\n"}}, wants{"port", `has port`, "docker stop 0123456789ab", Fail}},
		"a program of this session": {situation{sockets: list(foreign), files: files{"proc/99/cgroup": "0::/system.slice/ssh.service\n", "proc/4711/cgroup": "0::/system.slice/ssh.service\n"}},
			wants{"port", `has port`, "kill 99", Fail}},
		"a socket of systemd": {situation{sockets: list(held(1, "systemd")), files: files{"proc/1/comm": "systemd\n"}}, wants{"port", `has port`, "systemctl list-sockets", Fail}},
		"a container's first": {situation{sockets: list(held(1, "rsyslogd")), files: files{"proc/1/comm": "rsyslogd\n"}}, wants{"port", `has port`, "stop this container, whose first process has the port", Fail}},
		"one to join": {situation{sockets: list(foreign), listener: func(l *Listener) { l.Join = true }},
			wants{"port", `^pid 99 \(rsyslogd\) has port 5514; serve starts only if that socket has SO_REUSEPORT`, "", Skip}},
		"another user's program": {situation{sockets: list(held(99, "rsyslogd", anotherUsers)), listener: func(l *Listener) { l.Join = true }},
			wants{"port", `^pid 99 \(rsyslogd\) of uid 7 has port 5514: only processes of one user can share a port`, "kill 99", Fail}},
		"forbidden": {situation{nobody: true, mayBind: says(unix.EACCES)},
			wants{"port", `^port 5514 is free, but uid \d+ may not bind it: .*CAP_NET_BIND_SERVICE`, "sysctl -w net.ipv4.ip_unprivileged_port_start=5514", Fail}},
		"not this host's": {situation{nobody: true, mayBind: says(unix.EADDRNOTAVAIL)}, wants{"port", `^serve can't listen on \[::\]:5514: no interface`, "ip address", Fail}},
		"IPv6 is off": {situation{nobody: true, mayBind: says(unix.EADDRNOTAVAIL), listener: func(l *Listener) { l.Address, l.Dual = netip.MustParseAddrPort("[::1]:5514"), false }},
			wants{"port", `^serve can't listen on \[::1\]:5514: the loopback interface has no IPv6$`, "sysctl -w net.ipv6.conf.lo.disable_ipv6=0", Fail}},
		"no loopback": {situation{nobody: true, mayBind: says(unix.EADDRNOTAVAIL), addresses: []Interface{{Name: "lo", Loopback: true}}, listener: loopback},
			wants{"port", `^serve can't listen on 127.0.0.1:5514: the loopback interface is down$`, "ip link set lo up", Fail}},
		"no IPv6": {situation{nobody: true, mayBind: says(unix.EAFNOSUPPORT)}, wants{"port", `: this host has no IPv6$`, "boot without ipv6.disable=1", Fail}},
		"no IPv6, for all": {situation{nobody: true, mayBind: func(at netip.AddrPort) error {
			if at.Addr().Is6() {
				return unix.EAFNOSUPPORT
			}
			return nil
		}}, wants{"port", `^port 5514 is free: serve can bind it$`, "", OK}},
		"unknown error of bind": {situation{nobody: true, mayBind: says(unix.EPERM)}, wants{"port", `^not known whether serve can listen on \[::\]:5514: operation not permitted$`, "", Skip}},
		"another address": {situation{sockets: list(held(99, "rsyslogd", at("127.0.0.1:5514"))), listener: func(l *Listener) {
			l.Address, l.Dual = netip.MustParseAddrPort("192.0.2.2:5514"), false
		}}, wants{"port", `^port 5514 is free: serve can bind it$`, "", OK}},
		"a client of one server": {situation{sockets: list(held(99, "dig", func(s *sockets.Watched) { s.Peer = netip.MustParseAddrPort("[::1]:53") }))},
			wants{"port", `^port 5514 is free: serve can bind it$`, "", OK}},
	})
}

// A socket that is not read does not hide the other holders of the port.
func TestEachHolderIsNamed(t *testing.T) {
	s := situation{sockets: []sockets.Watched{held(812, "udpshard", unread), held(99, "rsyslogd")}}
	var remedies []string
	for _, f := range s.examine(t) {
		if f.Check == "port" {
			remedies = append(remedies, f.Remedy)
		}
	}
	if !slices.Equal(remedies, []string{"udpshard health", "kill 99"}) {
		t.Errorf("%q", remedies)
	}
}

// mayBind returns the kernel's error for addresses and ports.
func TestMayBind(t *testing.T) {
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	taken := conn.LocalAddr().(*net.UDPAddr).AddrPort()
	of := map[netip.AddrPort]error{taken: nil, netip.MustParseAddrPort("0.0.0.0:0"): nil}
	if own, err := net.InterfaceAddrs(); err == nil && len(own) > 0 { // without any, the kernel takes all
		of[netip.MustParseAddrPort("192.0.2.77:5514")] = unix.EADDRNOTAVAIL // RFC 5737
	}
	for at, want := range of {
		if err := mayBind(at); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", at, err, want)
		}
	}
	err = mayBind(netip.MustParseAddrPort("127.0.0.1:9"))
	start, _ := number("/proc/sys/net/ipv4/ip_unprivileged_port_start")
	if os.Geteuid() != 0 && start > 9 != errors.Is(err, unix.EACCES) || os.Geteuid() == 0 && err != nil {
		t.Errorf("port 9, of those from %d on: %v", start, err)
	}
}

// Datagrams that are dropped at the shards' own sockets fail two checks: that of the sockets, and
// that of the protocol.
func TestDroppingInstance(t *testing.T) {
	s := situation{sockets: []sockets.Watched{held(812, "udpshard", dropping)}, later: map[string]string{"proc/net/snmp": snmp(1000, 17, 0, 0)}}
	failed := make(map[string]bool)
	for _, f := range s.examine(t) {
		failed[f.Check] = f.Level == Fail
	}
	if !failed["port"] || !failed["udp errors"] {
		t.Errorf("%v", failed)
	}
}

// A socket reports its drops since it was opened, also if it drops nothing now.
func TestAnInstanceThatHasDropped(t *testing.T) {
	shard := func(cookie uint64, drops uint32, change ...func(*sockets.Watched)) sockets.Watched {
		s := held(812, "udpshard", change...)
		s.Cookie, s.Drops = cookie, drops
		return s
	}
	find := func(s situation, name string) (found []Finding) {
		for _, f := range s.examine(t) {
			if f.Check == name {
				found = append(found, f)
			}
		}
		return found
	}
	s := situation{sockets: []sockets.Watched{shard(0xa0, 0), shard(0xa1, 1843), shard(0xa2, 0), shard(0xa3, 7)}, files: files{"proc/net/snmp": snmp(1000, 9000, 0, 0)}}
	want := "datagrams were dropped at the sockets of pid 812 (udpshard) since the sockets were opened: 1,843 at shard 1, socket 0xa1; 7 at shard 3, socket 0xa3"
	if port := find(s, "port"); len(port) != 1 || port[0].Level != Warn || port[0].Finding != want {
		t.Errorf("%+v", port)
	}
	want = "; 1,850 RcvbufErrors at the listeners' sockets since the sockets were opened: see the check port"
	if udp := find(s, "udp errors"); len(udp) != 1 || udp[0].Level != Warn || !strings.HasSuffix(udp[0].Finding, want) {
		t.Errorf("%+v", udp)
	}
	// Sockets that drop now have both findings, each with its number.
	s.sockets[0] = shard(0xa0, 20, func(s *sockets.Watched) { s.Dropped = 17 })
	port := find(s, "port")
	if len(port) != 2 || port[0].Level != Fail || !strings.Contains(port[0].Finding, "(17 at shard 0, socket 0xa0)") || port[1].Level != Warn ||
		!strings.HasSuffix(port[1].Finding, ": 3 at shard 0, socket 0xa0; 1,843 at shard 1, socket 0xa1; 7 at shard 3, socket 0xa3") {
		t.Errorf("%+v", port)
	}
	// The same for sockets that are not read, and for a process that is not visible.
	s.sockets = []sockets.Watched{shard(0xa0, 5, unread), shard(0xb0, 6, unseen, anotherUsers)}
	var said []string
	for _, f := range find(s, "port") {
		said = append(said, f.Finding)
	}
	if text := strings.Join(said, "\n"); len(said) != 3 || !strings.Contains(text, "udpshard) since the sockets were opened: 5 at shard 0, socket 0xa0") ||
		!strings.Contains(text, "of uid 7 since the sockets were opened: 6 at socket 0xb0") {
		t.Errorf("%q", said)
	}
}

func TestHolds(t *testing.T) {
	for _, c := range []struct {
		address string
		dual    bool
		local   string
		v6Only  bool
		want    bool
	}{
		{"[::]:5514", true, "[::]:5514", false, true},
		{"[::]:5514", true, "0.0.0.0:5514", false, true},
		{"[::]:5514", true, "127.0.0.1:5514", false, true},
		{"[::]:5514", true, "127.0.0.1:5515", false, false},
		{"[::]:5514", false, "127.0.0.1:5514", false, false},
		{"[::]:5514", false, "[::1]:5514", false, true},
		{"127.0.0.1:5514", false, "[::]:5514", false, true},
		{"127.0.0.1:5514", false, "[::]:5514", true, false},
		{"127.0.0.1:5514", false, "0.0.0.0:5514", false, true},
		{"127.0.0.1:5514", false, "127.0.0.2:5514", false, false},
		{"127.0.0.1:5514", false, "[::ffff:127.0.0.1]:5514", false, true},
		{"[::1]:5514", false, "0.0.0.0:5514", false, false},
		{"0.0.0.0:5514", false, "192.0.2.1:5514", false, true},
	} {
		l := Listener{Address: netip.MustParseAddrPort(c.address), Dual: c.dual}
		if got := l.Holds(netip.MustParseAddrPort(c.local), c.v6Only); got != c.want {
			t.Errorf("%s (dual %v) and %s (IPv6 alone %v): %v", c.address, c.dual, c.local, c.v6Only, got)
		}
	}
}

// All ports are watched at the same time, each once.
func TestWatchPorts(t *testing.T) {
	var calls [65536]atomic.Int32
	h := Host{Watch: func(_ context.Context, port uint16, _ time.Duration) (sockets.Watch, error) {
		calls[port].Add(1)
		return sockets.Watch{Looks: int(port)}, nil
	}}
	var listeners []Listener
	for port := range 50 {
		for _, host := range []string{"127.0.0.1", "::1"} {
			listeners = append(listeners, Listener{Address: netip.AddrPortFrom(netip.MustParseAddr(host), uint16(5000+port))})
		}
	}
	ports := h.watch(context.Background(), listeners, 0)
	for port := range 50 {
		if n := 5000 + port; ports[uint16(n)].Looks != n || calls[n].Load() != 1 {
			t.Errorf("port %d: %+v after %d calls", n, ports[uint16(n)], calls[n].Load())
		}
	}
}
