package sockets

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/udpshard/udpshard/internal/holder"
)

func TestRoles(t *testing.T) {
	group := func(at, iface string, v6Only bool) *Group {
		return &Group{Local: netip.MustParseAddrPort(at + ":5514"), V6Only: v6Only, Interface: iface}
	}
	everywhere, dual, only6 := group("0.0.0.0", "", false), group("[::]", "", false), group("[::]", "", true)
	local, eth0, wildEth0 := group("192.0.2.1", "", false), group("192.0.2.1", "eth0", false), group("0.0.0.0", "eth0", false)
	type groups []*Group
	for _, c := range []struct {
		asked    string
		groups   groups
		want     string // of the first
		receives bool
	}{
		{"192.0.2.1:5514", groups{local, everywhere, dual}, "receives what is sent to 192.0.2.1:5514", true},
		{"192.0.2.1:5514", groups{everywhere, dual}, "receives what is sent to 192.0.2.1:5514, since no socket is bound to that address", true},
		{"192.0.2.1:5514", groups{everywhere, local}, "receives nothing: 192.0.2.1:5514 comes first", false},
		{"192.0.2.1:5514", groups{dual, local, everywhere}, "receives nothing: 192.0.2.1:5514 and 0.0.0.0:5514 come first", false},
		{"192.0.2.1:5514", groups{eth0, everywhere}, "receives what is sent to 192.0.2.1:5514, through interface eth0", true},
		{"192.0.2.1:5514", groups{everywhere, eth0}, "receives what is sent to 192.0.2.1:5514, but not through the interface of a group that is bound to that address", true},
		{"192.0.2.1:5514", groups{local, eth0}, "receives what is sent to 192.0.2.1:5514, unless 192.0.2.1:5514 on eth0 does", true},
		{"192.0.2.1:5514", groups{wildEth0, eth0}, "receives nothing: 192.0.2.1:5514 on eth0 comes first", false},
		{"[2001:db8::1]:5514", groups{dual, everywhere}, "receives what is sent to [2001:db8::1]:5514, since no socket is bound to that address", true},
		{":5514", groups{local, everywhere}, "receives what is sent to that address", true},
		{":5514", groups{everywhere, dual}, "receives IPv4 to addresses without sockets of their own", true},
		{":5514", groups{dual, everywhere}, "receives IPv6 to addresses without sockets of their own", true},
		{":5514", groups{dual, local}, "receives IPv6 and IPv4 to addresses without sockets of their own", true},
		{":5514", groups{only6, local}, "receives IPv6 to addresses without sockets of their own", true},
		{":5514", groups{wildEth0, dual}, "receives IPv4 to addresses without sockets of their own, through interface eth0", true},
		{":5514", groups{group("[::ffff:0.0.0.0]", "", false), everywhere}, "receives nothing: other wildcards come first", true},
	} {
		text := c.asked
		if text[0] == ':' {
			text = "[::]" + text
		}
		asked := netip.MustParseAddrPort(text)
		if text, receives := role(c.groups[0], c.groups, asked); text != c.want || receives != c.receives {
			t.Errorf("%s, %s of %d: %q, %v, want %q, %v", c.asked, c.groups[0].Name(), len(c.groups), text, receives, c.want, c.receives)
		}
	}
}

func TestFindings(t *testing.T) {
	one := func(member int, unread bool, dropped uint32, pids ...int) socketReport {
		s := socketReport{Member: &member, UID: 7, QueueBytes: 1024, Unread: unread, dropped: dropped}
		for _, pid := range pids {
			s.Processes = append(s.Processes, holder.Process{PID: pid, Command: "rsyslogd"})
		}
		return s
	}
	const group = "127.0.0.1:5514"
	for _, c := range []struct {
		members []socketReport
		want    []string
	}{
		{[]socketReport{one(0, false, 0, 11), one(1, false, 0)}, nil},
		{[]socketReport{one(0, false, 0, 11), one(1, true, 9, 4711)},
			[]string{"pid 4711 (rsyslogd) seems not to read member 1 of 127.0.0.1:5514: the datagrams of a share of the senders are lost (9 datagrams in 300ms)"}},
		{[]socketReport{one(0, true, 0, 4711)},
			[]string{"pid 4711 (rsyslogd) seems not to read 127.0.0.1:5514: all datagrams wait, and are lost once the queue is full"}},
		{[]socketReport{one(0, true, 1), one(1, false, 1, 11), one(2, true, 0), one(3, true, 0), one(4, false, 0, 11)}, []string{
			"a process of uid 7 seems not to read members 0, 2-3 of 127.0.0.1:5514: the datagrams of a share of the senders are lost (1 datagram in 300ms)",
			"pid 11 (rsyslogd) lost 1 datagram in 300ms at member 1 of 127.0.0.1:5514: the receive buffer was full"}},
		{[]socketReport{one(0, true, 0, 11, 12)},
			[]string{"pid 11 (rsyslogd), with pid 12 (rsyslogd), seems not to read 127.0.0.1:5514: all datagrams wait, and are lost once the queue is full"}},
	} {
		var got []string
		for _, f := range findings(group, c.members, 300*time.Millisecond) {
			got = append(got, f.Finding)
			if f.Remedy == "" {
				t.Errorf("%q has no remedy", f.Finding)
			}
		}
		if strings.Join(got, "\n") != strings.Join(c.want, "\n") {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

func TestReport(t *testing.T) {
	at := netip.MustParseAddrPort
	holders := []holder.Process{{PID: 11, Command: "udpshard"}}
	watch := Watch{Looks: 100, Elapsed: 500 * time.Millisecond, Sockets: []Watched{
		{Socket: Socket{Local: at("0.0.0.0:5514"), Processes: holders}},
		{Socket: Socket{Local: at("127.0.0.1:5514"), Processes: holders, QueueBytes: 2048, BufferBytes: 4096, Drops: 7}, Dropped: 5},
		{Socket: Socket{Local: at("127.0.0.1:5514")}, Unread: true},
		{Socket: Socket{Local: at("127.0.0.1:5514"), Peer: at("127.0.0.2:9"), Processes: holders}},
		{Socket: Socket{Local: at("127.0.0.3:5514"), Peer: at("127.0.0.2:9"), Processes: holders}},
	}}
	r := NewReport(at("127.0.0.1:5514"), watch)
	if len(r.Groups) != 2 || !r.Groups[0].Receives || len(r.Groups[0].Sockets) != 2 || r.Groups[1].Receives || r.Groups[1].Address != "0.0.0.0:5514" {
		t.Errorf("groups %+v", r.Groups)
	}
	if s := r.Groups[0].Sockets[0]; *s.Member != 0 || s.DropsPerSecond != 10 || s.Drops != 7 {
		t.Errorf("%+v", s)
	}
	if len(r.Connected) != 1 || r.Connected[0].Peer != "127.0.0.2:9" || r.Connected[0].Member != nil {
		t.Errorf("connected %+v", r.Connected)
	}
	if len(r.Findings) != 2 || !strings.Contains(r.Findings[0].Finding, "lost 5 datagrams in 500ms at member 0 of 127.0.0.1:5514") || r.Unseen == "" {
		t.Errorf("findings %+v, unseen %q", r.Findings, r.Unseen)
	}
	var out bytes.Buffer
	r.Print(&out)
	for _, want := range []string{
		"127.0.0.1:5514 receives what is sent to 127.0.0.1:5514\n", "  dropping\n", "  not read\n", "0.0.0.0:5514 receives nothing: 127.0.0.1:5514 comes first\n",
		"connected sockets receive what their peer sends", "\n  remedy: ", "pid -: ",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, &out)
		}
	}
	port := NewReport(at("[::]:5514"), Watch{Sockets: watch.Sockets[:1]})
	if port.Address != ":5514" || len(port.Groups) != 1 || port.Unseen != "" || port.Connected == nil {
		t.Errorf("%+v", port)
	}
}

// A list of several processes has no comma, which could pass for a thousands separator.
func TestSeveralProcessesOfASocket(t *testing.T) {
	member := 0
	two := []holder.Process{{PID: 328, Command: "udpshard"}, {PID: 343, Command: "udpshard"}}
	s := socketReport{Member: &member, Processes: two}
	r := Report{Groups: []groupReport{{Address: "127.0.0.1:5514", Sockets: []socketReport{s}}}}
	var out bytes.Buffer
	r.Print(&out)
	if want := "  328 and 343  udpshard  "; !strings.Contains(out.String(), want) {
		t.Errorf("%q is not in\n%s", want, &out)
	}
	r.Groups[0].Sockets[0].Processes[1].Command = "old"
	out.Reset()
	r.Print(&out)
	if want := "  328 and 343  udpshard and old  "; !strings.Contains(out.String(), want) {
		t.Errorf("%q is not in\n%s", want, &out)
	}
}
