package dnsrecord

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"
)

const (
	header   = "\x12\x67\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" // ID 4711, RD
	question = "\x03www\x07example\x00\x00\x01\x00\x01"
	answer   = "\xc0\x0c\x00\x01\x00\x01\x00\x00\x0e\x10\x00\x04\xc0\x00\x02\x50"
)

// answered is an exchange with a query and a reply.
func answered() Exchange {
	return Exchange{
		Message:     []byte(header + question),
		Reply:       []byte("\x12\x67\x85\x00\x00\x01\x00\x01\x00\x00\x00\x00" + question + answer),
		Source:      netip.MustParseAddrPort("198.51.100.7:5000"),
		Destination: netip.MustParseAddrPort("192.0.2.53:53"),
		ReceivedAt:  time.Date(2026, 11, 20, 10, 0, 0, 5_000_000, time.UTC),
		Duration:    1_600 * time.Nanosecond,
		Name:        []byte("\x03www\x07example\x00"),
		Type:        1,
		Class:       1,
		Zone:        []byte("\x07example\x00"),
	}
}

// The members of a record, in order. Each row changes one thing of the exchange of the first row.
func TestJSON(t *testing.T) {
	const (
		query = `{"id":4711,"name":"www.example.","type":"A","class":"IN","opcode":"QUERY",`
		reply = `"rcode":"NOERROR","flags":["qr","aa","rd"],"answers":1,`
		asked = `"zone":"example.","rd":true,`
		bytes = `"query_size":29,"reply_size":45,"duration_us":2,`
		sizes = `"transport":"udp","destination":"192.0.2.53:53",` + bytes
		tail  = `"received_at":"2026-11-20T10:00:00.005000Z","source":"198.51.100.7:5000","listener":"dns","shard":3`
	)
	edns := func(e *Exchange) { e.EDNS, e.Size = true, 1232 }
	subnet := func(data string) func(*Exchange) {
		return func(e *Exchange) { edns(e); e.ClientSubnet = []byte(data) }
	}
	const size = `"edns":{"version":0,"size":1232`
	j := NewJSON("dns", 3, false)
	for _, c := range []struct {
		name   string
		change func(e *Exchange)
		want   string
	}{
		{"a query", func(*Exchange) {}, query + reply + asked + sizes + tail},
		{"no zone", func(e *Exchange) { e.Zone = nil }, query + reply + `"rd":true,` + sizes + tail},
		{"another zone", func(e *Exchange) { e.Zone = []byte("\x00") }, query + reply + `"zone":".","rd":true,` + sizes + tail},
		{"another rcode", func(e *Exchange) { e.Rcode = 23 }, query + `"rcode":"BADCOOKIE"` + reply[17:] + asked + sizes + tail},
		{"no answer", func(e *Exchange) { e.Reply, e.Limited = nil, "dropped" },
			query + `"zone":"example.","limited":"dropped","rd":true,"transport":"udp","destination":"192.0.2.53:53","query_size":29,"duration_us":2,` + tail},
		{"truncated answer", func(e *Exchange) { e.Limited = "truncated" },
			query + reply + `"zone":"example.","limited":"truncated","rd":true,` + sizes + tail},
		{"AD and CD", func(e *Exchange) { e.Message[2], e.Message[3] = 0, 0x30 },
			query + reply + `"zone":"example.","ad":true,"cd":true,` + sizes + tail},
		{"no flag", func(e *Exchange) { e.Message[2] = 0 }, query + reply + `"zone":"example.",` + sizes + tail},
		{"EDNS", edns, query + reply + asked + size + `},` + sizes + tail},
		{"DO", func(e *Exchange) { edns(e); e.DO = true }, query + reply + asked + size + `,"do":true},` + sizes + tail},
		{"EDNS 1", func(e *Exchange) { edns(e); e.Version = 1 },
			query + reply + asked + `"edns":{"version":1,"size":1232},` + sizes + tail},
		{"cookie", func(e *Exchange) { edns(e); e.Cookie = "valid" },
			query + reply + asked + size + `,"cookie":"valid"},` + sizes + tail},
		{"IPv4 subnet", subnet("\x00\x01\x18\x00\xc0\x00\x02"), query + reply + asked + size + `,"client_subnet":"192.0.2.0/24"},` + sizes + tail},
		{"IPv6 subnet", subnet("\x00\x02\x20\x00\x20\x01\x0d\xb8"), query + reply + asked + size + `,"client_subnet":"2001:db8::/32"},` + sizes + tail},
		{"empty subnet", subnet("\x00\x01\x00\x00"), query + reply + asked + size + `,"client_subnet":"0.0.0.0/0"},` + sizes + tail},
		{"subnet with too few octets", subnet("\x00\x01\x18\x00\xc0\x00"), query + reply + asked + size + `},` + sizes + tail},
		{"IPv4 subnet that is too long", subnet("\x00\x01\x28\x00\xc0\x00\x02\x01\x00"), query + reply + asked + size + `},` + sizes + tail},
		{"subnet of no family", subnet("\x00\x03\x08\x00\x01"), query + reply + asked + size + `},` + sizes + tail},
		{"subnet without a header", subnet("\x00\x01\x00"), query + reply + asked + size + `},` + sizes + tail},
		{"TCP", func(e *Exchange) { e.Transport = TCP }, query + reply + asked + strings.Replace(sizes, "udp", "tcp", 1) + tail},
		{"no destination", func(e *Exchange) { e.Destination = netip.AddrPort{} },
			query + reply + asked + `"transport":"udp",` + bytes + tail},
		{"destination with a zone", func(e *Exchange) { e.Destination = netip.MustParseAddrPort(`[fe80::1%"]:53`) },
			query + reply + asked + `"transport":"udp","destination":"[fe80::1%\"]:53",` + bytes + tail},
		{"cut", func(e *Exchange) { e.Truncated = true }, query + reply + asked + sizes + tail + `,"truncated":true`},
		{"unreadable question", func(e *Exchange) { e.Name, e.Zone, e.Malformed = nil, nil, "question" },
			`{"id":4711,"opcode":"QUERY",` + reply + `"rd":true,"message_base64":"EmcBAAABAAAAAAAAA3d3dwdleGFtcGxlAAABAAE=",` + sizes + tail + `,"malformed":"question"`},
		{"no header", func(e *Exchange) {
			*e = Exchange{Message: []byte("short"), Malformed: "header", ReceivedAt: e.ReceivedAt, Source: e.Source}
		},
			`{"message_base64":"c2hvcnQ=","transport":"udp","query_size":5,"duration_us":0,` + tail + `,"malformed":"header"`},
		{"nothing", func(e *Exchange) { *e = Exchange{Malformed: "header", ReceivedAt: e.ReceivedAt, Source: e.Source} },
			`{"transport":"udp","query_size":0,"duration_us":0,` + tail + `,"malformed":"header"`},
		{"again a query", func(*Exchange) {}, query + reply + asked + sizes + tail},
	} {
		e := answered()
		c.change(&e)
		got := string(j.Append(nil, &e))
		if want := c.want + "}\n"; got != want {
			t.Errorf("%s:\n%swant\n%s", c.name, got, want)
		}
		if !json.Valid([]byte(got)) {
			t.Errorf("%s: no JSON: %s", c.name, got)
		}
		buf := make([]byte, 0, 2000)
		if n := testing.AllocsPerRun(10, func() { j.Append(buf, &e) }); n != 0 {
			t.Errorf("%s: %v allocations", c.name, n)
		}
	}
}

func BenchmarkJSON(b *testing.B) {
	e, j, buf := answered(), NewJSON("dns", 3, false), make([]byte, 0, 2000)
	e.EDNS, e.Size = true, 1232
	b.ReportAllocs()
	for b.Loop() {
		buf = j.Append(buf[:0], &e)
	}
}
