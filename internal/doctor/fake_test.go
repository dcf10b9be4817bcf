package doctor

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/format"
	"github.com/udpshard/udpshard/internal/holder"
	"github.com/udpshard/udpshard/internal/probe"
	"github.com/udpshard/udpshard/internal/sockets"
	"github.com/udpshard/udpshard/internal/sys"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// healthy is a host without problems: four CPUs, a card with two queues, an instance (pid 812) with
// two sockets at port 5514, and the process that runs doctor (pid 4711). "" removes a file.
var healthy = map[string]string{
	"proc/4711/comm":    "udpshard\n",
	"proc/4711/status":  "Name:\tudpshard\nCpus_allowed_list:\t0-3\n",
	"proc/4711/environ": "HOME=/\x00",
	"proc/4711/limits":  limitsOf("1024", "524288"),
	"proc/4711/cgroup":  "0::/user.slice\n",
	"proc/4711/mountinfo": "30 1 0:26 / /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 rw\n" +
		"31 1 0:27 / /proc rw shared:10 - proc proc rw\n",
	"proc/812/comm":    "udpshard\n",
	"proc/812/stat":    stat("S"),
	"proc/812/status":  "Name:\tudpshard\nCpus_allowed_list:\t0-3\n",
	"proc/812/environ": "GOGC=100\x00",
	"proc/812/limits":  limitsOf("1024", "524288"),
	"proc/812/cgroup":  "0::/system.slice/udpshard.service\n",
	"proc/99/comm":     "rsyslogd\n",
	"proc/99/stat":     stat("S"),
	"proc/loadavg":     "0.10 0.20 0.30 1/200 4711\n",

	"proc/net/snmp":         snmp(1000, 0, 0, 0),
	"proc/net/snmp6":        "Ip6InReceives 5\nUdp6InDatagrams \t7\nUdp6InErrors \t0\nUdp6RcvbufErrors \t0\nUdp6MemErrors \t0\n",
	"proc/net/udp":          udpTable("0100007F:0202", 0),
	"proc/net/softnet_stat": softnetOf(0, 0, 0) + softnetOf(0, 0, 1),
	"proc/net/sockstat":     "sockets: used 20\nUDP: inuse 2 mem 3\n",

	"proc/sys/net/core/rmem_max":           "33554432\n",
	"proc/sys/net/core/netdev_max_backlog": "1000\n",
	"proc/sys/net/core/netdev_budget":      "300\n",
	"proc/sys/net/ipv4/udp_mem":            "100000 200000 300000\n",
	"proc/sys/kernel/threads-max":          "60000\n",

	"sys/class/net/eth0/device/vendor":                     "0x1af4\n",
	"sys/class/net/eth0/queues/rx-0/rps_cpus":              "00\n",
	"sys/class/net/eth0/queues/rx-1/rps_cpus":              "00\n",
	"sys/class/net/eth0/statistics/rx_missed_errors":       "0\n",
	"sys/class/net/eth0/statistics/rx_packets":             "5000\n",
	"sys/class/net/docker0/statistics/rx_packets":          "5\n",
	"sys/fs/cgroup/cgroup.controllers":                     "cpuset cpu io memory pids\n",
	"sys/fs/cgroup/system.slice/cpu.max":                   "max 100000\n",
	"sys/fs/cgroup/system.slice/udpshard.service/x":        "",
	"sys/fs/cgroup/system.slice/udpshard.service/y":        "exists\n",
	"sys/fs/cgroup/user.slice/cpu.max":                     "max 100000\n",
	"sys/fs/cgroup/system.slice/pids.max":                  "max\n",
	"sys/fs/cgroup/system.slice/pids.current":              "40\n",
	"sys/fs/cgroup/system.slice/memory.max":                "max\n",
	"sys/fs/cgroup/system.slice/udpshard.service/cpu.stat": "nr_periods 0\nnr_throttled 0\n",
}

func limitsOf(soft, hard string) string {
	return "Limit                     Soft Limit           Hard Limit           Units     \n" +
		"Max processes             15000                15000                processes \n" +
		"Max open files            " + soft + "                 " + hard + "               files     \n"
}

// stat is proc_pid_stat(5) of a process in a state.
func stat(state string) string {
	return "812 (udpshard) " + state + strings.Repeat(" 1", 49) + "\n"
}

func snmp(received, rcvbuf, csum, mem int) string {
	return "Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors IgnoredMulti MemErrors\n" +
		"Udp: " + strings.Join([]string{itoa(received), "0", itoa(rcvbuf + csum + mem), "0", itoa(rcvbuf), "0", itoa(csum), "0", itoa(mem)}, " ") + "\n"
}

func itoa(n int) string { return strings.ReplaceAll(format.Count(uint64(n)), ",", "") }

func udpTable(local string, drops int) string {
	return "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n" +
		"  100: " + local + " 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 1234 2 0000000000000000 " + itoa(drops) + "\n"
}

// softnetOf is a line of softnet_stat after 2000 packets.
func softnetOf(dropped, squeezed, cpu uint32) string {
	hex := func(n uint32) string { return "0000000" + string("0123456789abcdef"[n%16]) }
	return strings.Join([]string{"000007d0", hex(dropped), hex(squeezed), hex(0), hex(0), hex(0), hex(0), hex(0), hex(0), hex(0), hex(0), hex(0), hex(cpu)}, " ") + "\n"
}

// device is the driver of a network card.
type device struct {
	udp4, udp6  uint64
	channels    sys.Channels
	slots, most int
	err         error
}

func (d device) ethtool() Ethtool {
	return Ethtool{
		FlowHash: func(_ string, flow uint32) (uint64, error) {
			if flow == sys.FlowUDP4 {
				return d.udp4, d.err
			}
			return d.udp6, d.err
		},
		Channels: func(string) (sys.Channels, error) { return d.channels, d.err },
		Ring:     func(string) (int, int, error) { return d.slots, d.most, d.err },
	}
}

const sdfn = sys.HashSourceAddress | sys.HashDestinationAddress | sys.HashSourcePort | sys.HashDestinationPort

// situation is the differences from the healthy host.
type situation struct {
	files     map[string]string
	later     map[string]string // files at the second reading
	listener  func(*Listener)
	sockets   []sockets.Watched // nil: two of the instance
	nobody    bool              // no sockets
	watchErr  error
	device    *device
	granted   int // 0: as asked
	features  []probe.Feature
	addresses []Interface
	mayBind   func(netip.AddrPort) error
}

func held(pid int, command string, change ...func(*sockets.Watched)) sockets.Watched {
	s := sockets.Watched{Socket: sockets.Socket{
		Local: netip.MustParseAddrPort("[::]:5514"), Cookie: uint64(pid), UID: uint32(os.Geteuid()), BufferBytes: 64 << 20,
		Processes: []holder.Process{{PID: pid, Command: command}},
	}}
	for _, f := range change {
		f(&s)
	}
	return s
}

// anotherUsers gives a socket to uid 7, which is neither root nor the user of the test.
func anotherUsers(s *sockets.Watched) { s.UID = 7 }

// examine returns the findings of a host in the situation.
func (s situation) examine(t *testing.T) []Finding {
	t.Helper()
	root := t.TempDir()
	write := func(files map[string]string) {
		for name, content := range files {
			name = filepath.Join(root, name)
			if content == "" {
				if err := os.RemoveAll(name); err != nil {
					t.Fatal(err)
				}
				continue
			}
			if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
				t.Fatal(err)
			}
			if target, isLink := strings.CutPrefix(content, "-> "); isLink {
				if err := os.Symlink(target, name); err != nil {
					t.Fatal(err)
				}
				continue
			}
			if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	write(healthy)
	write(s.files)
	if err := os.Symlink("4711", filepath.Join(root, "proc/self")); err != nil {
		t.Fatal(err)
	}
	l := Listener{Name: "syslog", Address: netip.MustParseAddrPort("[::]:5514"), Dual: true, Shards: 2, CPUs: []int{0, 1, 2, 3},
		ReceiveBuffer: 32 << 20, ShardMemory: 2 << 20, ShardFiles: 1}
	if s.listener != nil {
		s.listener(&l)
	}
	there := s.sockets
	if there == nil && !s.nobody {
		there = []sockets.Watched{held(812, "udpshard"), held(812, "udpshard")}
	}
	card := device{udp4: sdfn, udp6: sdfn, slots: 256, most: 4096}
	if s.device != nil {
		card = *s.device
	}
	if s.addresses == nil {
		s.addresses = []Interface{
			{Name: "lo", Up: true, Loopback: true, Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1")}},
			{Name: "eth0", Up: true, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.2")}},
			{Name: "docker0", Up: true, Addresses: []netip.Addr{netip.MustParseAddr("172.17.0.1")}},
		}
	}
	if s.mayBind == nil {
		s.mayBind = func(netip.AddrPort) error { return nil }
	}
	h := Host{
		MayBind: s.mayBind,
		Proc:    filepath.Join(root, "proc"), Sys: filepath.Join(root, "sys"), Features: s.features, Ethtool: card.ethtool(),
		Interfaces: func() ([]Interface, error) { return s.addresses, nil },
		Grant: func(asked int) (int, error) {
			if s.granted > 0 {
				return s.granted, nil
			}
			return asked, nil
		},
		Watch: func(_ context.Context, _ uint16, interval time.Duration) (sockets.Watch, error) {
			if interval > 0 {
				write(s.later)
			}
			return sockets.Watch{Sockets: there}, s.watchErr
		},
	}
	findings, err := h.Examine(context.Background(), []Listener{l}, time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	for i := range findings {
		findings[i].Remedy = strings.ReplaceAll(findings[i].Remedy, root, "ROOT")
	}
	for _, f := range findings {
		if (f.Remedy != "") != (f.Level == Warn || f.Level == Fail) || f.Finding == "" || f.Check == "" {
			t.Errorf("a remedy is missing or superfluous: %+v", f)
		}
	}
	return findings
}

// wants is a finding: its check, a pattern of its text, its remedy and its level.
type wants struct {
	check, finding, remedy string
	level                  Level
}

// testSituations expects one finding of each situation, and no other warning or failure.
func testSituations(t *testing.T, cases map[string]struct {
	situation
	wants
}) {
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			found := false
			for _, f := range c.examine(t) {
				if f.Check != c.check {
					if f.Level == Warn || f.Level == Fail {
						t.Errorf("unexpected finding %+v", f)
					}
					continue
				}
				switch {
				case f.Level == c.level && f.Remedy == c.remedy && regexp.MustCompile(c.finding).MatchString(f.Finding):
					found = true
				case f.Level != Warn && f.Level != Fail:
					t.Logf("%+v", f)
				default:
					t.Errorf("unexpected finding %+v", f)
				}
			}
			if !found {
				t.Errorf("no finding %+v", c.wants)
			}
		})
	}
}

type given = struct {
	situation
	wants
}

var errForbidden = unix.EPERM
