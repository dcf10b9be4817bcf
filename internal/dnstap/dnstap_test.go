package dnstap

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"
	"time"

	reference "github.com/dnstap/golang-dnstap"
	"google.golang.org/protobuf/proto"
)

var (
	client = netip.MustParseAddrPort("198.51.100.7:5000")
	server = netip.MustParseAddrPort("192.0.2.53:53")
	asked  = time.Date(2026, 11, 20, 10, 0, 0, 5_000_001, time.UTC)
)

func query() Message {
	return Message{Type: AuthQuery, Client: client, Server: server, Query: []byte("query"), QueryTime: asked}
}

// The reference decoder of the module has the fields of each message.
func TestMessages(t *testing.T) {
	inet, inet6 := reference.SocketFamily_INET, reference.SocketFamily_INET6
	udp, tcp := reference.SocketProtocol_UDP, reference.SocketProtocol_TCP
	want := func(change func(m *reference.Message)) *reference.Message {
		m := &reference.Message{
			Type: reference.Message_AUTH_QUERY.Enum(), SocketFamily: &inet, SocketProtocol: &udp,
			QueryAddress: []byte{198, 51, 100, 7}, QueryPort: proto.Uint32(5000),
			ResponseAddress: []byte{192, 0, 2, 53}, ResponsePort: proto.Uint32(53),
			QueryTimeSec: proto.Uint64(uint64(asked.Unix())), QueryTimeNsec: proto.Uint32(5_000_001),
			QueryMessage: []byte("query"),
		}
		change(m)
		return m
	}
	long := strings.Repeat("x", 65535)
	client6, server6 := netip.MustParseAddrPort("[2001:db8::7]:5000"), netip.MustParseAddrPort("[2001:db8::53]:53")
	for name, c := range map[string]struct {
		change func(m *Message)
		want   func(m *reference.Message)
	}{
		"a query":        {func(*Message) {}, func(*reference.Message) {}},
		"an empty query": {func(m *Message) { m.Query = []byte{} }, func(m *reference.Message) { m.QueryMessage = []byte{} }},
		"TCP":            {func(m *Message) { m.TCP = true }, func(m *reference.Message) { m.SocketProtocol = &tcp }},
		"a zone":         {func(m *Message) { m.Zone = []byte("\x00") }, func(m *reference.Message) { m.QueryZone = []byte{0} }},
		"no server": {func(m *Message) { m.Server = netip.AddrPort{} },
			func(m *reference.Message) { m.ResponseAddress, m.ResponsePort = nil, nil }},
		"IPv6": {func(m *Message) { m.Client, m.Server = client6, server6 }, func(m *reference.Message) {
			m.SocketFamily = &inet6
			m.QueryAddress, m.ResponseAddress = client6.Addr().AsSlice(), server6.Addr().AsSlice()
		}},
		"a response": {func(m *Message) {
			m.Type, m.Query, m.Response, m.ResponseTime = AuthResponse, nil, []byte(long), asked.Add(time.Second)
		}, func(m *reference.Message) {
			m.Type, m.QueryMessage, m.ResponseMessage = reference.Message_AUTH_RESPONSE.Enum(), nil, []byte(long)
			m.ResponseTimeSec, m.ResponseTimeNsec = proto.Uint64(uint64(asked.Unix())+1), proto.Uint32(5_000_001)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			m := query()
			c.change(&m)
			e := NewEncoder("host", "udpshard 1")
			frame := e.AppendFrame(nil, &m)
			if n := binary.BigEndian.Uint32(frame); int(n) != len(frame)-4 {
				t.Fatalf("the length is %d, of %d bytes", n, len(frame)-4)
			}
			var got reference.Dnstap
			if err := proto.Unmarshal(frame[4:], &got); err != nil {
				t.Fatal(err)
			}
			want := &reference.Dnstap{Identity: []byte("host"), Version: []byte("udpshard 1"),
				Type: reference.Dnstap_MESSAGE.Enum(), Message: want(c.want)}
			if !proto.Equal(&got, want) {
				t.Errorf("%v\nwant %v", &got, want)
			}
			if isQuery(frame[4:]) != (m.Type == AuthQuery) {
				t.Errorf("isQuery is %t", isQuery(frame[4:]))
			}
			buf := make([]byte, 0, 70_000)
			if n := testing.AllocsPerRun(100, func() { e.AppendFrame(buf, &m) }); n != 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
	m := query()
	var got reference.Dnstap
	if err := proto.Unmarshal(NewEncoder("", "").AppendFrame(nil, &m)[4:], &got); err != nil || got.Identity != nil || got.Version != nil {
		t.Errorf("without identity and version: %v, %v", &got, err)
	}
}

// Scan counts the queries in each begin of a stream, and finds the end of the last complete frame.
func TestScan(t *testing.T) {
	e, m := NewEncoder("host", ""), query()
	response := m
	response.Type, response.Query, response.Response = AuthResponse, nil, bytes.Repeat([]byte("x"), 300)
	frames := [][]byte{StreamStart, e.AppendFrame(nil, &m), e.AppendFrame(nil, &response), e.AppendFrame(nil, &m),
		e.AppendFrame(nil, &m), e.AppendFrame(nil, &response), StreamEnd}
	stream := bytes.Join(frames, nil)
	queriesTo := []int{0, 1, 1, 2, 3, 3, 3} // by frame
	complete, next, queries := 0, len(frames[0]), 0
	for n, i := 0, -1; n <= len(stream); n++ {
		if n == next {
			i++
			complete, queries = next, queriesTo[i]
			if i+1 < len(frames) {
				next += len(frames[i+1])
			}
		}
		got, end, err := Scan(bytes.NewReader(stream[:n]))
		if got != queries || end != int64(complete) || err != nil {
			t.Fatalf("%d bytes: %d queries to %d, %v, want %d to %d", n, got, end, err, queries, complete)
		}
	}
}

// ReadControl reads what AppendControl appends, and refuses other frames.
func TestControls(t *testing.T) {
	for _, c := range []Control{Accept, Start, Stop, Ready, Finish} {
		if got, err := ReadControl(bytes.NewReader(AppendControl(nil, c))); got != c || err != nil {
			t.Errorf("%s: %s, %v", c, got, err)
		}
	}
	other := bytes.Replace(AppendControl(nil, Accept), []byte("dnstap"), []byte("DNSTAP"), 1)
	cut := AppendControl(nil, Accept)
	binary.BigEndian.PutUint32(cut[16:], 1000)
	for name, frame := range map[string][]byte{
		"HTTP":           []byte("HTTP/1.1 400 Bad Request\r\n"),
		"a data frame":   {0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 1},
		"a long frame":   {0, 0, 0, 0, 0, 0, 2, 1},
		"a short frame":  {0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0},
		"another type":   other,
		"a cut field":    cut,
		"an early end":   AppendControl(nil, Accept)[:20],
		"nothing at all": nil,
	} {
		if c, err := ReadControl(bytes.NewReader(frame)); err == nil {
			t.Errorf("%s is %s", name, c)
		}
	}
}

func FuzzScan(f *testing.F) {
	m := query()
	f.Add(append(AppendControl(nil, Start), NewEncoder("", "").AppendFrame(nil, &m)...))
	f.Fuzz(func(t *testing.T, stream []byte) {
		queries, end, err := Scan(bytes.NewReader(stream))
		if err != nil || end > int64(len(stream)) || queries > len(stream) {
			t.Errorf("%d queries to %d of %d, %v", queries, end, len(stream), err)
		}
	})
}

func BenchmarkFrame(b *testing.B) {
	e, m, buf := NewEncoder("host", "udpshard 1"), query(), make([]byte, 0, 1000)
	b.ReportAllocs()
	for b.Loop() {
		buf = e.AppendFrame(buf[:0], &m)
	}
}
