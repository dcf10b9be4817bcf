package checkup

import (
	"context"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

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
				t.Errorf("nothing of %s", check)
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
	own, foreign := held(812, "udpshard"), held(99, "rsyslogd")
	list := func(s ...sockets.Watched) []sockets.Watched { return s }
	testSituations(t, map[string]given{
		"an instance": {situation{}, wants{"port", `^2 sockets of pid 812 \(udpshard\): nothing was dropped in \d+ms$`, "", OK}},
		"nobody":      {situation{nobody: true}, wants{"port", `^nobody has port 5514`, "", OK}},
		"any port": {situation{listener: func(l *Listener) { l.Address = netip.MustParseAddrPort("[::]:0") }},
			wants{"port", `any free port`, "", OK}},
		"not to be seen": {situation{watchErr: errForbidden}, wants{"port", `can't be seen: operation not permitted`, "", Skip}},
		"an instance of another user": {situation{sockets: list(held(812, "", unseen))},
			wants{"port", `^1 socket of uid 65532, whose process uid \d+ may not see: run doctor as root$`, "", Skip}},
		"a foreign member": {situation{sockets: list(own, foreign)},
			wants{"port", `pid 99 \(rsyslogd\) has port 5514 too, and gets a share`, "kill 99", Warn}},
		"a foreign member that was asked for": {situation{sockets: list(own, foreign), listener: func(l *Listener) { l.Join = true }},
			wants{"port", `as --join asks`, "", OK}},
		"a foreign member that nobody reads": {situation{sockets: list(own, held(99, "rsyslogd", unread))},
			wants{"port", `^nobody reads 1 socket of pid 99 \(rsyslogd\): 4KiB wait in queues of 64MiB, and 0 datagrams were dropped in`, "kill 99", Fail}},
		"a stopped instance": {situation{files: map[string]string{"proc/812/stat": stat("T")}},
			wants{"port", `^nobody reads 2 sockets of pid 812 \(udpshard\): .*: it is stopped$`, "kill -CONT 812", Fail}},
		"an instance whose output stands": {situation{sockets: list(held(812, "udpshard", unread))},
			wants{"port", `its output does not take records$`, "udpshard health", Warn}},
		"somebody's that is not read": {situation{sockets: list(held(7, "", unseen, unread))},
			wants{"port", `nobody reads 1 socket of uid 65532`, "udpshard sockets :5514", Warn}},
		"another program": {situation{sockets: list(foreign)},
			wants{"port", `pid 99 \(rsyslogd\) has port 5514: serve would not start without --join`, "kill 99", Fail}},
		"another user's program": {situation{sockets: list(foreign), listener: func(l *Listener) { l.Join = true }},
			wants{"port", `has port 5514 as uid 65532: only processes of one user can share it`, "kill 99", Fail}},
		"another address": {situation{sockets: list(held(99, "rsyslogd", at("127.0.0.1:5514"))), listener: func(l *Listener) {
			l.Address, l.Dual = netip.MustParseAddrPort("192.0.2.2:5514"), false
		}}, wants{"port", `^nobody has port 5514`, "", OK}},
		"a client of one server": {situation{sockets: list(held(99, "dig", func(s *sockets.Watched) { s.Peer = netip.MustParseAddrPort("[::1]:53") }))},
			wants{"port", `^nobody has port 5514`, "", OK}},
	})
}

// Datagrams that are dropped at the shards' own sockets fail twice: as the
// sockets', and as the protocol's.
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
		if got := l.holds(netip.MustParseAddrPort(c.local), c.v6Only); got != c.want {
			t.Errorf("%s (dual %v) and %s (IPv6 alone %v): %v", c.address, c.dual, c.local, c.v6Only, got)
		}
	}
}

// Ports are watched at once, each once.
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
