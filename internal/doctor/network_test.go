package doctor

import (
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/sockets"
	"github.com/udpshard/udpshard/internal/sys"
)

// files are files of the fake host, by name.
type files = map[string]string

const (
	eth0   = "sys/class/net/eth0/"
	filter = "sys/net/netfilter/"
)

func TestQueues(t *testing.T) {
	one := files{eth0 + "queues/rx-1": ""}
	with := func(a, b files) files {
		all := files{}
		for _, f := range []files{a, b} {
			for name, content := range f {
				all[name] = content
			}
		}
		return all
	}
	testSituations(t, map[string]given{
		"several": {situation{}, wants{"rx queues", `^eth0: 2 receive queues, without RPS$`, "", OK}},
		"RPS":     {situation{files: with(one, files{eth0 + "queues/rx-0/rps_cpus": "00000000,0000000f\n"})}, wants{"rx queues", `^eth0: 1 receive queue, spread by RPS$`, "", OK}},
		"one shard": {situation{files: one, sockets: []sockets.Watched{held(812, "udpshard")}},
			wants{"rx queues", `^eth0: 1 receive queue, which is enough for 1 shard$`, "", OK}},
		"loopback": {situation{listener: loopback},
			wants{"rx queues", `^no device: all datagrams come from this host$`, "", OK}},
		"a container": {situation{files: files{eth0 + "device": ""}}, wants{"rx queues", `run doctor on the host$`, "", Skip}},
		"no sysfs":    {situation{files: files{"sys/class": ""}}, wants{"rx queues", `^interfaces can't be listed: .*no such file`, "", Skip}},
	})
	for name, c := range map[string]struct {
		device *device
		remedy string
	}{
		"by the kernel": {&device{slots: 256, most: 256, err: unix.EOPNOTSUPP}, "echo 3 > "},
		"by the card":   {&device{slots: 256, most: 256, channels: sys.Channels{Combined: 1, MostCombined: 8}}, "ethtool -L eth0 combined 2"},
	} {
		t.Run(name, func(t *testing.T) {
			found := false
			for _, f := range (situation{files: one, device: c.device}).examine(t) {
				found = found || f.Check == "rx queues"
				if f.Check == "rx queues" && (f.Level != Warn || len(f.Remedy) < len(c.remedy) || f.Remedy[:len(c.remedy)] != c.remedy) {
					t.Errorf("%+v", f)
				}
			}
			if !found {
				t.Error("no finding of the queues")
			}
		})
	}
}

func loopback(l *Listener) { l.Address, l.Dual = netip.MustParseAddrPort("127.0.0.1:5514"), false }

// A bond has no device, nor has a VLAN on the bond: the cards below have.
func TestDevicesBelow(t *testing.T) {
	s := situation{
		files: files{"sys/class/net/bond0/lower_eth0/x": "1\n", "sys/class/net/bond0.7/lower_bond0/x": "1\n", "sys/class/net/loop/lower_loop/x": "1\n"},
		addresses: []Interface{
			{Name: "bond0.7", Up: true}, {Name: "loop", Up: true}, {Name: "eth0", Up: false},
		},
	}
	found := false
	for _, f := range s.examine(t) {
		found = found || f.Check == "rx ring" && f.Level == OK
	}
	if !found {
		t.Error("eth0 is not found below bond0.7")
	}
}

func TestHash(t *testing.T) {
	const sd = sys.HashSourceAddress | sys.HashDestinationAddress
	testSituations(t, map[string]given{
		"by all":            {situation{}, wants{"udp hash", `^eth0: udp4 and udp6 by addresses and ports \(sdfn\)$`, "", OK}},
		"IPv4 by addresses": {situation{device: &device{udp4: sd, udp6: sdfn}}, wants{"udp hash", `^eth0: udp4 is hashed by addresses alone \(sd\)`, "ethtool -N eth0 rx-flow-hash udp4 sdfn", Warn}},
		"IPv6 by nothing":   {situation{device: &device{udp4: sdfn}}, wants{"udp hash", `^eth0: udp6 is hashed by addresses alone \(none of sdfn\)`, "ethtool -N eth0 rx-flow-hash udp6 sdfn", Warn}},
		"by one port":       {situation{device: &device{udp4: sd | sys.HashSourcePort, udp6: sdfn}}, wants{"udp hash", `^eth0: udp4 is hashed by sdf and not all`, "ethtool -N eth0 rx-flow-hash udp4 sdfn", Warn}},
		"not reported":      {situation{device: &device{err: unix.EOPNOTSUPP}}, wants{"udp hash", `^eth0: the driver does not report the hash of udp4 and udp6: operation not supported$`, "", Skip}},
	})
}

func TestRings(t *testing.T) {
	missed := files{eth0 + "statistics/rx_missed_errors": "70\n"}
	testSituations(t, map[string]given{
		"grows":            {situation{later: missed}, wants{"rx ring", `^eth0: 256 slots of at most 4,096: packets are dropped now because the ring is full: 70 in`, "ethtool -G eth0 rx 4096", Fail}},
		"grows at its end": {situation{later: missed, device: &device{udp4: sdfn, udp6: sdfn, slots: 256, most: 256}}, wants{"rx ring", `256 slots of at most 256: packets are dropped now`, "ethtool -S eth0", Fail}},
		"grew":             {situation{files: missed}, wants{"rx ring", `70 of 5,000 packets were dropped because the ring was full$`, "ethtool -G eth0 rx 4096", Warn}},
		"began anew":       {situation{files: missed, later: files{eth0 + "statistics/rx_missed_errors": "0\n"}}, wants{"rx ring", `no packets dropped, 5,000 received$`, "", OK}},
		"fifo":             {situation{later: files{eth0 + "statistics/rx_fifo_errors": "3\n"}}, wants{"rx ring", `are dropped now because the ring is full: 3 in`, "ethtool -G eth0 rx 4096", Fail}},
	})
}

func TestSoftnet(t *testing.T) {
	const name = "proc/net/softnet_stat"
	testSituations(t, map[string]given{
		"grows":                  {situation{later: files{name: softnetOf(3, 0, 0) + softnetOf(1, 0, 1)}}, wants{"softnet", `drops packets now: 4 in`, "sysctl -w net.core.netdev_max_backlog=2000", Fail}},
		"grew, or wrapped":       {situation{files: files{name: softnetOf(3, 0, 0)}}, wants{"softnet", `^the backlog dropped nothing`, "", OK}},
		"a CPU came":             {situation{later: files{name: softnetOf(0, 0, 0) + softnetOf(0, 0, 1) + softnetOf(9, 9, 2)}}, wants{"softnet", `^the backlog dropped nothing`, "", OK}},
		"not there at first":     {situation{files: files{name: ""}, later: files{name: softnetOf(0, 0, 0)}}, wants{"softnet", `softnet_stat: no such file`, "", Skip}},
		"squeezed":               {situation{later: files{name: softnetOf(0, 9, 0)}}, wants{"softnet", `time_squeeze\): 9 times`, "sysctl -w net.core.netdev_budget=600 net.core.netdev_budget_usecs=4000", Warn}},
		"squeezed once long ago": {situation{files: files{name: softnetOf(0, 9, 0)}}, wants{"softnet", `grew by 0`, "", OK}},
		"not there":              {situation{files: files{name: ""}}, wants{"softnet", `softnet_stat: no such file`, "", Skip}},
	})
}

const conntrackHead = "entries  clashres found new invalid ignore delete chainlength insert insert_failed drop early_drop icmp_error  expect_new expect_create expect_delete search_restart\n"

func conntrackStat(failed, drop string) string {
	return conntrackHead + "00000005 0 0 0 0 0 0 0 0 " + failed + " " + drop + " 0 0 0 0 0 0\n"
}

func TestConntrack(t *testing.T) {
	on := func(count, max, entries string) files {
		return files{"proc/" + filter + "nf_conntrack_count": count, "proc/" + filter + "nf_conntrack_max": max,
			"proc/net/nf_conntrack": entries, "proc/net/stat/nf_conntrack": conntrackStat("0", "fffffffe")}
	}
	const (
		to    = "ipv4     2 udp      17 29 src=192.0.2.9 dst=192.0.2.2 sport=4000 dport=5514 [UNREPLIED] src=192.0.2.2 dst=192.0.2.9 sport=5514 dport=4000 mark=0 use=2\n"
		to6   = "ipv6     10 udp      17 29 src=2001:0db8:0000:0000:0000:0000:0000:0009 dst=2001:0db8:0000:0000:0000:0000:0000:0002 sport=4000 dport=5514 packets=1 bytes=70 [UNREPLIED] src=2001:0db8:0000:0000:0000:0000:0000:0002 dst=2001:0db8:0000:0000:0000:0000:0000:0009 sport=5514 dport=4000 packets=0 bytes=0 mark=0 use=2\n"
		moved = "ipv4     2 udp      17 29 src=192.0.2.9 dst=192.0.2.2 sport=4000 dport=514 src=172.17.0.1 dst=192.0.2.9 sport=5514 dport=4000 mark=0 use=2\n"
		away  = "ipv4     2 udp      17 29 src=192.0.2.9 dst=192.0.2.2 sport=4000 dport=5514 src=172.17.0.2 dst=192.0.2.9 sport=5514 dport=4000 mark=0 use=2\n"
		query = "ipv4     2 udp      17 29 src=192.0.2.2 dst=192.0.2.53 sport=4000 dport=5514 src=192.0.2.53 dst=192.0.2.2 sport=5514 dport=4000 mark=0 use=2\n"
		self  = "ipv4     2 udp      17 29 src=127.0.0.1 dst=127.0.0.1 sport=4000 dport=5514 src=127.0.0.1 dst=127.0.0.1 sport=5514 dport=4000 mark=0 use=2\n"
		other = "ipv4     2 udp      17 29 src=192.0.2.9 dst=172.17.0.1 sport=4000 dport=5514 src=172.17.0.1 dst=192.0.2.9 sport=5514 dport=4000 mark=0 use=2\n"
		from  = "ipv4     2 udp      17 29 src=192.0.2.2 dst=192.0.2.9 sport=5514 dport=53 src=192.0.2.9 dst=192.0.2.2 sport=53 dport=5514 mark=0 use=2\n"
		tcp   = "ipv4     2 tcp      6 29 ESTABLISHED src=192.0.2.9 dst=192.0.2.2 sport=4000 dport=5514 src=192.0.2.2 dst=192.0.2.9 sport=5514 dport=4000 mark=0 use=2\n"
	)
	untrack := "nft 'add table inet udpshard_5514; delete table inet udpshard_5514; add table inet udpshard_5514; " +
		"add chain inet udpshard_5514 in { type filter hook prerouting priority raw; }; add rule inet udpshard_5514 in udp dport 5514 notrack; " +
		"add chain inet udpshard_5514 out { type filter hook output priority raw; }; add rule inet udpshard_5514 out udp sport 5514 notrack'"
	exact := func(l *Listener) { l.Address, l.Dual = netip.MustParseAddrPort("192.0.2.2:5514"), false }
	ipv6 := []Interface{{Name: "eth0", Up: true, Addresses: []netip.Addr{netip.MustParseAddr("2001:db8::2")}}}
	testSituations(t, map[string]given{
		"absent":       {situation{}, wants{"conntrack", `^connections are not tracked here$`, "", OK}},
		"idle":         {situation{files: on("0\n", "262144\n", "")}, wants{"conntrack", `^no connection is tracked here$`, "", OK}},
		"others":       {situation{files: on("2\n", "262144\n", tcp+from)}, wants{"conntrack", `^no datagram to the listeners is tracked at present; 2 of 262,144`, "", OK}},
		"tracked":      {situation{files: on("2\n", "262144\n", tcp+to)}, wants{"conntrack", `^datagrams to port 5514 are tracked.* 2 of 262,144 entries are used. Without tracking, NAT and .* expire after some minutes$`, untrack, Warn}},
		"tracked too":  {situation{files: on("2\n", "262144\n", moved+to)}, wants{"conntrack", `^datagrams to port 5514 are tracked`, untrack, Warn}},
		"IPv6":         {situation{files: on("2\n", "262144\n", to6), addresses: ipv6}, wants{"conntrack", `^datagrams to port 5514 are tracked`, untrack, Warn}},
		"forwarded":    {situation{files: on("2\n", "262144\n", moved)}, wants{"conntrack", `^datagrams to port 514 are forwarded to port 5514 \(NAT\)`, "", OK}},
		"passed on":    {situation{files: on("2\n", "262144\n", away)}, wants{"conntrack", `^no datagram to the listeners`, "", OK}},
		"own queries":  {situation{files: on("2\n", "262144\n", query)}, wants{"conntrack", `^no datagram to the listeners`, "", OK}},
		"own messages": {situation{files: on("2\n", "262144\n", self)}, wants{"conntrack", `^no datagram to the listeners`, "", OK}},
		"own messages alone": {situation{files: on("2\n", "262144\n", self), listener: loopback},
			wants{"conntrack", `^datagrams to port 5514 are tracked`, strings.Replace(untrack, "sport", "dport", 1), Warn}},
		"another address": {situation{files: on("2\n", "262144\n", other), listener: exact}, wants{"conntrack", `^no datagram to the listeners`, "", OK}},
		"not listed":      {situation{files: on("2\n", "262144\n", "")}, wants{"conntrack", `^this kernel does not list tracked connections .*; 2 of 262,144 entries are used$`, "", Skip}},
		"nearly full":     {situation{files: on("950\n", "1000\n", tcp)}, wants{"conntrack", `nearly full, .*: 950 of 1,000`, "sysctl -w net.netfilter.nf_conntrack_max=131072", Warn}},
		"full": {situation{files: on("1000\n", "1000\n", tcp), later: files{"proc/net/stat/nf_conntrack": conntrackStat("1", "3")}},
			wants{"conntrack", `dropped now because the table has no room: 6 in`, "sysctl -w net.netfilter.nf_conntrack_max=131072", Fail}},
	})
}

func TestUDPErrors(t *testing.T) {
	const name, table = "proc/net/snmp", "proc/net/udp"
	testSituations(t, map[string]given{
		"none": {situation{}, wants{"udp errors", `^1,007 datagrams received so far, none lost; no loss in`, "", OK}},
		"grew": {situation{nobody: true, files: files{name: snmp(1000, 5, 0, 0)}},
			wants{"udp errors", `lost: IPv4 RcvbufErrors 5; .*; no open socket has dropped datagrams$`, "udpshard doctor --interval 1m", Warn}},
		"grew, at another socket": {situation{nobody: true, files: files{name: snmp(1000, 5, 0, 0), table: udpTable("0100007F:0202", 4)}},
			wants{"udp errors", `RcvbufErrors 5; .*; 4 RcvbufErrors at the sockets of 127.0.0.1:514 since the sockets were opened$`, "udpshard sockets :514", Warn}},
		"grew, and not the instance's": {situation{files: files{name: snmp(1000, 5, 0, 0)}}, wants{"udp errors", `lost: IPv4 RcvbufErrors 5; no loss in`, "", OK}},
		"grows elsewhere": {situation{later: files{name: snmp(1000, 5, 0, 0), table: udpTable("0100007F:0202", 5)}},
			wants{"udp errors", `now: 5 in \d+ms \(RcvbufErrors\); not at the listeners' sockets but at 127.0.0.1:514$`, "udpshard sockets :514", Warn}},
		"grows where a socket went": {situation{later: files{name: snmp(1000, 5, 0, 0)}}, wants{"udp errors", `at a socket that was closed$`, "ss -lunmp", Warn}},
		"checksums":                 {situation{later: files{name: snmp(1000, 0, 2, 0)}}, wants{"udp errors", `IPv4 datagrams arrive with wrong checksums: 2 in`, "ethtool -S eth0", Warn}},
		"not there":                 {situation{files: files{name: ""}}, wants{"udp errors", `snmp: no such file`, "", Skip}},
		"not there at first":        {situation{files: files{name: ""}, later: files{name: snmp(1000, 0, 0, 0)}}, wants{"udp errors", `snmp: no such file`, "", Skip}},
	})
	blind := situation{watchErr: errForbidden, later: files{"proc/net/snmp6": "Udp6InDatagrams 9\nUdp6RcvbufErrors 4\n"}}
	testSituations(t, map[string]given{
		"grows unseen": {blind, wants{"udp errors", `^IPv6 datagrams are dropped .* now: 4 in .*; the sockets are not visible$`, "ss -lunmp", Fail}},
		"no IPv6":      {situation{files: files{"proc/net/snmp6": ""}}, wants{"udp errors", `^1,000 datagrams received`, "", OK}},
	})
}

// Drops at sockets of another program at the listener's port are reported with that program.
func TestOthersDrops(t *testing.T) {
	s := situation{sockets: []sockets.Watched{held(99, "rsyslogd", dropping)}, later: files{"proc/net/snmp": snmp(1000, 17, 0, 0)}}
	found := false
	for _, f := range s.examine(t) {
		if f.Check == "udp errors" {
			found = f.Level == Warn && f.Remedy == "udpshard sockets :5514" && strings.HasSuffix(f.Finding, "; 17 of them at the sockets of pid 99 (rsyslogd)")
			if !found {
				t.Errorf("%+v", f)
			}
		}
	}
	if !found {
		t.Error("no finding of the drops")
	}
}

func TestUDPMemory(t *testing.T) {
	const most, stat = "proc/sys/net/ipv4/udp_mem", "proc/net/sockstat"
	if page := unix.Getpagesize(); page != 4096 {
		t.Skipf("the figures are for pages of 4096 bytes, not %d", page)
	}
	testSituations(t, map[string]given{
		"enough":    {situation{}, wants{"udp memory", `^full receive buffers take 128MiB of the 1.1GiB that UDP may have, 12KiB is used$`, "", OK}},
		"little":    {situation{files: files{most: "100 200 300\n"}}, wants{"udp memory", `128MiB of the 1.2MiB .*receive buffers can't fill$`, "sysctl -w net.ipv4.udp_mem='32768 49152 65536'", Warn}},
		"used up":   {situation{files: files{stat: "UDP: inuse 2 mem 300000\n"}}, wants{"udp memory", `are dropped until less is used \(net.ipv4.udp_mem\)$`, "sysctl -w net.ipv4.udp_mem='100000 450000 600000'", Fail}},
		"grows":     {situation{later: files{"proc/net/snmp": snmp(1000, 0, 0, 8)}}, wants{"udp memory", `IPv4 datagrams are dropped now for lack of kernel memory: 8 in`, "sysctl -w net.ipv4.udp_mem='100000 450000 600000'", Fail}},
		"not there": {situation{files: files{most: ""}}, wants{"udp memory", `can't be read here: .*udp_mem: no such file`, "", Skip}},
	})
}
