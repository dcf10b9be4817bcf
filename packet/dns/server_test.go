package dns

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/udpshard/udpshard/packet"
	"github.com/udpshard/udpshard/packet/dns/cookie"
)

const serverZone = `$ORIGIN example.
$TTL 3600
@      SOA ns1 hostmaster 1 7200 3600 1209600 300
       NS  ns1
ns1    A   192.0.2.1
www    A   192.0.2.80
*.wild A   192.0.2.81
child  NS  ns.child
ns.child A 192.0.2.82
`

// records is a sink that keeps every record.
type records struct{ buf []byte }

func (r *records) Buffer() []byte    { return r.buf }
func (r *records) Commit(buf []byte) { r.buf = buf }
func (r *records) Flush()            {}

// testServer is a server with one shard and its records.
type testServer struct {
	t          *testing.T
	server     *Server
	handler    packet.Handler
	sink       records
	receivedAt time.Time
}

func newTestServer(t *testing.T, o Options) *testServer {
	t.Helper()
	zones, err := newZones(serverZone)
	if err != nil {
		t.Fatal(err)
	}
	o.Listener = "dns"
	s := NewServer(zones, o)
	return &testServer{t: t, server: s, handler: s.Handler(3), receivedAt: time.Now()}
}

// ask sends all questions in one batch, and returns the replies: nil is no reply.
func (d *testServer) ask(from string, questions ...[]byte) (replies []*dns.Msg, tally packet.Tally) {
	d.t.Helper()
	b := packet.NewBatch(len(questions), MaxUDPSize, &d.sink)
	b.Reset(d.receivedAt)
	b.Port = 53
	for _, q := range questions {
		b.Datagrams = append(b.Datagrams, packet.Datagram{
			Payload: q, Source: netip.MustParseAddrPort(from), Destination: netip.MustParseAddr("192.0.2.53")})
	}
	d.handler.Handle(b)
	replies = make([]*dns.Msg, len(questions))
	for _, r := range b.Replies {
		m := new(dns.Msg)
		if err := m.Unpack(r.Payload); err != nil {
			d.t.Fatalf("%x: %v", r.Payload, err)
		}
		replies[r.Index] = m
	}
	return replies, b.Tally()
}

func packQuery(t testing.TB, name string, rtype uint16, change ...func(*dns.Msg)) []byte {
	t.Helper()
	m := new(dns.Msg).SetQuestion(name, rtype)
	m.Id = 4711
	for _, f := range change {
		f(m)
	}
	text, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func withCookie(cookie string) func(*dns.Msg) {
	return func(m *dns.Msg) {
		m.SetEdns0(1232, false)
		m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: cookie}}
	}
}

func cookieOf(m *dns.Msg) string {
	if opt := m.IsEdns0(); opt != nil {
		for _, o := range opt.Option {
			if c, ok := o.(*dns.EDNS0_COOKIE); ok {
				return c.Cookie
			}
		}
	}
	return ""
}

const client = "198.51.100.7:5000"

// durations are members that differ from run to run.
var durations = regexp.MustCompile(`"duration_us":\d+,`)

// Every message has a record, with the documented members in order. Messages that must not be
// answered count as unparsed.
func TestRecordsOfQueries(t *testing.T) {
	d := newTestServer(t, Options{Records: true, Cookies: cookie.NewKeys(cookie.NewSecret())})
	d.receivedAt = time.Date(2026, 11, 20, 10, 0, 0, 5_000_000, time.UTC)
	response := packQuery(t, "www.example.", dns.TypeA, func(m *dns.Msg) { m.Response = true })
	questions := [][]byte{
		packQuery(t, "WwW.example.", dns.TypeA),
		response,
		packQuery(t, "missing.example.", dns.TypeHTTPS, func(m *dns.Msg) { m.RecursionDesired, m.CheckingDisabled = false, true }),
		packQuery(t, `a\.b\"c.example.`, dns.TypeANY, func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }),
		[]byte("\x12\x34\x28\x00\x00\x00\x00\x00\x00\x00\x00\x00"), // UPDATE, without a question
		[]byte("too short"),
		packQuery(t, "x.child.example.", dns.TypeA, func(m *dns.Msg) { m.SetEdns0(4096, true) }),
		packQuery(t, "x.wild.example.", dns.TypeMX, withCookie("0102030405060708")),
		packQuery(t, "example.", dns.TypeNS, withCookie("0102030405060708"+strings.Repeat("00", 16))),
		packQuery(t, "example.", dns.TypeNS, withCookie("010203")),
		packQuery(t, "other.test.", dns.TypeA, func(m *dns.Msg) {
			m.SetEdns0(1232, false)
			subnet := &dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: 24, Address: []byte{192, 0, 2, 0}}
			m.IsEdns0().Option = []dns.EDNS0{subnet}
		}),
		[]byte("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\xc0\x0c\x00\x01\x00\x01"), // a pointer in the question
		append(packQuery(t, "www.example.", dns.TypeA), 0),                                 // a byte too many
		[]byte("\x12\x34\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"),                         // no question
	}
	replies, tally := d.ask(client, questions...)
	if tally != (packet.Tally{Recorded: len(questions), Unparsed: 2}) {
		t.Errorf("%+v", tally)
	}
	for i, m := range replies {
		if want := i != 1 && i != 5; (m != nil) != want {
			t.Errorf("question %d: answered is %t", i, !want)
		}
	}
	const (
		to    = `"transport":"udp","destination":"192.0.2.53:53",`
		where = `"received_at":"2026-11-20T10:00:00.005000Z","source":"198.51.100.7:5000","listener":"dns","shard":3`
		ns    = `{"id":4711,"name":"example.","type":"NS","class":"IN","opcode":"QUERY",`
	)
	whole := func(i int) string { return base64.StdEncoding.EncodeToString(questions[i]) }
	want := `{"id":4711,"name":"WwW.example.","type":"A","class":"IN","opcode":"QUERY","rcode":"NOERROR","flags":["qr","aa","rd"],"answers":1,"zone":"example.","rd":true,` + to + `"query_size":29,"reply_size":45,` + where + "}\n" +
		`{"id":4711,"opcode":"QUERY","rd":true,"message_base64":"` + whole(1) + `",` + to + `"query_size":29,` + where + `,"malformed":"qr"}` + "\n" +
		`{"id":4711,"name":"missing.example.","type":"HTTPS","class":"IN","opcode":"QUERY","rcode":"NXDOMAIN","flags":["qr","aa"],"answers":0,"zone":"example.","cd":true,` + to + `"query_size":33,"reply_size":84,` + where + "}\n" +
		`{"id":4711,"name":"a\\.b\\\"c.example.","type":"ANY","class":"CH","opcode":"QUERY","rcode":"REFUSED","flags":["qr","rd"],"answers":0,"rd":true,` + to + `"query_size":31,"reply_size":31,` + where + "}\n" +
		`{"id":4660,"opcode":"UPDATE","rcode":"NOTIMP","flags":["qr"],"answers":0,` + to + `"query_size":12,"reply_size":12,` + where + "}\n" +
		`{"message_base64":"` + whole(5) + `",` + to + `"query_size":9,` + where + `,"malformed":"header"}` + "\n" +
		`{"id":4711,"name":"x.child.example.","type":"A","class":"IN","opcode":"QUERY","rcode":"NOERROR","flags":["qr","rd"],"answers":0,"zone":"example.","rd":true,"edns":{"version":0,"size":4096,"do":true},` + to + `"query_size":44,"reply_size":77,` + where + "}\n" +
		`{"id":4711,"name":"x.wild.example.","type":"MX","class":"IN","opcode":"QUERY","rcode":"NOERROR","flags":["qr","aa","rd"],"answers":0,"zone":"example.","rd":true,"edns":{"version":0,"size":1232,"cookie":"client"},` + to + `"query_size":55,"reply_size":122,` + where + "}\n" +
		ns + `"rcode":"NOERROR","flags":["qr","aa","rd"],"answers":1,"zone":"example.","rd":true,"edns":{"version":0,"size":1232,"cookie":"bad"},` + to + `"query_size":64,"reply_size":98,` + where + "}\n" +
		ns + `"rcode":"FORMERR","flags":["qr","rd"],"answers":0,"rd":true,"edns":{"version":0,"size":1232,"cookie":"bad"},"message_base64":"` + whole(9) + `",` + to + `"query_size":43,"reply_size":36,` + where + `,"malformed":"cookie"}` + "\n" +
		`{"id":4711,"name":"other.test.","type":"A","class":"IN","opcode":"QUERY","rcode":"REFUSED","flags":["qr","rd"],"answers":0,"rd":true,"edns":{"version":0,"size":1232,"client_subnet":"192.0.2.0/24"},` + to + `"query_size":50,"reply_size":45,` + where + "}\n" +
		`{"id":4660,"opcode":"QUERY","rcode":"FORMERR","flags":["qr","rd"],"answers":0,"rd":true,"message_base64":"` + whole(11) + `",` + to + `"query_size":18,"reply_size":12,` + where + `,"malformed":"question"}` + "\n" +
		`{"id":4711,"name":"www.example.","type":"A","class":"IN","opcode":"QUERY","rcode":"FORMERR","flags":["qr","rd"],"answers":0,"rd":true,"message_base64":"` + whole(12) + `",` + to + `"query_size":30,"reply_size":29,` + where + `,"malformed":"records"}` + "\n" +
		`{"id":4660,"opcode":"QUERY","rcode":"FORMERR","flags":["qr"],"answers":0,"message_base64":"` + whole(13) + `",` + to + `"query_size":12,"reply_size":12,` + where + `,"malformed":"question"}` + "\n"
	if got := durations.ReplaceAllString(string(d.sink.buf), ""); got != want {
		t.Errorf("records\n%swant\n%s", got, want)
	}
	if n := len(durations.FindAll(d.sink.buf, -1)); n != len(questions) {
		t.Errorf("%d records with a duration", n)
	}
	counts := d.server.Counts()
	if counts.Types["A"] != 4 || counts.Types["HTTPS"] != 1 || counts.Types["ANY"] != 1 || counts.Rcodes["NXDOMAIN"] != 1 || counts.Ignored != 2 {
		t.Errorf("%+v", counts)
	}
}

// With RecordAnswers, records have the answer as it was sent.
func TestRecordsOfAnswers(t *testing.T) {
	d := newTestServer(t, Options{Records: true, RecordAnswers: true})
	d.ask(client, packQuery(t, "WWW.example.", dns.TypeA), packQuery(t, "www.example.", dns.TypeMX))
	first, second, _ := bytes.Cut(d.sink.buf, []byte{'\n'})
	if want := `"answers":1,"answer_data":["WWW.example. 3600 IN A 192.0.2.80"],"zone":`; !bytes.Contains(first, []byte(want)) {
		t.Errorf("%s\nwithout %s", first, want)
	}
	if want := `"answers":0,"zone":`; !bytes.Contains(second, []byte(want)) {
		t.Errorf("%swithout %s", second, want)
	}
}

// duration_us is the time since the batch was received.
func TestDurations(t *testing.T) {
	d := newTestServer(t, Options{Records: true})
	d.receivedAt = time.Now().Add(-time.Hour)
	d.ask(client, packQuery(t, "www.example.", dns.TypeA))
	var r struct {
		Duration int64 `json:"duration_us"`
	}
	if err := json.Unmarshal(d.sink.buf, &r); err != nil {
		t.Fatal(err)
	}
	if d := time.Duration(r.Duration) * time.Microsecond; d < time.Hour || d > time.Hour+time.Minute {
		t.Error(d)
	}
}

// Queries from the ports of reflectors are forged, and ignored. Without records they count as
// malformed, and with records as unparsed.
func TestPortsOfReflectors(t *testing.T) {
	recorded := newTestServer(t, Options{Records: true})
	recorded.ask(client, packQuery(t, "www.example.", dns.TypeA)) // leaves nothing for the next record
	recorded.sink.buf = nil
	forged := packQuery(t, "www.example.", dns.TypeA)
	if replies, tally := recorded.ask("198.51.100.7:53", forged, forged); replies[0] == nil || tally.Recorded != 2 || tally.Unparsed != 0 {
		t.Errorf("%v, %+v", replies, tally)
	}
	recorded.sink.buf = nil
	if replies, tally := recorded.ask("198.51.100.7:19", forged); replies[0] != nil || tally != (packet.Tally{Recorded: 1, Unparsed: 1}) {
		t.Errorf("%v, %+v", replies, tally)
	}
	want := `{"id":4711,"opcode":"QUERY","rd":true,"message_base64":"` + base64.StdEncoding.EncodeToString(forged) +
		`","transport":"udp","destination":"192.0.2.53:53","query_size":29,"duration_us":`
	if got := string(recorded.sink.buf); !strings.HasPrefix(got, want) || !strings.HasSuffix(got, `"malformed":"source_port"}`+"\n") {
		t.Error(got)
	}

	d := newTestServer(t, Options{})
	ignored := 0
	for port, answered := range map[int]bool{0: false, 7: false, 19: false, 53: true, 123: false, 389: false, 1024: true, 53000: true} {
		replies, tally := d.ask(fmt.Sprint("198.51.100.7:", port), packQuery(t, "www.example.", dns.TypeA))
		if (replies[0] != nil) != answered {
			t.Errorf("port %d: answered is %t", port, !answered)
		}
		if !answered {
			ignored++
		}
		if malformed := tally.Malformed == 1; malformed == answered {
			t.Errorf("port %d: malformed is %t", port, malformed)
		}
	}
	if got := d.server.Counts().Ignored; got != uint64(ignored) {
		t.Errorf("%d are counted, %d were ignored", got, ignored)
	}
}

// Above the limit every second response is truncated, and the rest are dropped. The limit is for
// the name that responses have in common, not for the query's name.
func TestResponsesAreLimited(t *testing.T) {
	for _, test := range []struct {
		name string
		ask  func(i int) []byte
	}{
		{"one name", func(int) []byte { return packQuery(t, "www.example.", dns.TypeA) }},
		{"names that a wildcard makes", func(i int) []byte { return packQuery(t, fmt.Sprint("x", i, ".wild.example."), dns.TypeA) }},
		{"names that are not there", func(i int) []byte { return packQuery(t, fmt.Sprint("x", i, ".example."), dns.TypeA) }},
		{"names below a delegation", func(i int) []byte { return packQuery(t, fmt.Sprint("x", i, ".child.example."), dns.TypeA) }},
		{"names of nobody", func(i int) []byte { return packQuery(t, fmt.Sprint("x", i, ".test."), dns.TypeA) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			limiter, err := NewRateLimiter(RateLimits{PerSecond: 10, Slip: 2})
			if err != nil {
				t.Fatal(err)
			}
			d := newTestServer(t, Options{Limits: limiter, Records: true})
			whole, cut, none := 0, 0, 0
			var sent []*dns.Msg
			for i := range 30 {
				replies, _ := d.ask(fmt.Sprintf("198.51.100.%d:5000", i), test.ask(i))
				sent = append(sent, replies[0])
				switch m := replies[0]; {
				case m == nil:
					none++
				case m.Truncated && len(m.Answer)+len(m.Ns)+len(m.Extra) == 0:
					cut++
				default:
					whole++
				}
			}
			wantWhole, wantCut := 10, 10
			if test.name == "names of nobody" { // an error is as short as can be
				wantWhole, wantCut = 20, 0
			}
			if whole != wantWhole || cut != wantCut || none != 10 {
				t.Errorf("%d whole, %d cut, %d not sent", whole, cut, none)
			}
			checkRecords(t, d.sink.buf, sent)
			checkCounts(t, d.server.Counts(), sent)
			if counts := d.server.Counts(); counts.Dropped != 10 || counts.Slipped != 10 {
				t.Errorf("%+v", counts)
			}
			if n := bytes.Count(d.sink.buf, []byte(`"limited":"truncated"`)); n != 10 {
				t.Errorf("%d records of truncated responses", n)
			}
			// Clients in another network are not limited.
			if replies, _ := d.ask("203.0.113.1:5000", test.ask(99)); replies[0] == nil || replies[0].Truncated {
				t.Errorf("another network: %v", replies[0])
			}
		})
	}
}

// Responses of different classes are counted apart, though they have their name in common.
func TestClassesAreLimitedApart(t *testing.T) {
	type asked struct {
		name  string
		rtype uint16
	}
	for _, pair := range [][2]asked{
		{{"www.example.", dns.TypeA}, {"www.example.", dns.TypeAAAA}},   // an answer, no data
		{{"child.example.", dns.TypeA}, {"child.example.", dns.TypeDS}}, // a referral, no data
		{{"none.example.", dns.TypeA}, {"example.", dns.TypeA}},         // no such name, no data at the zone's
		{{"none.example.", dns.TypeA}, {"none.test.", dns.TypeA}},       // no such name, an error
		{{"www.example.", dns.TypeA}, {"ns1.example.", dns.TypeA}},      // different names
		{{"www.example.", dns.TypeA}, {"x.wild.example.", dns.TypeA}},   // a wildcard's
	} {
		for _, order := range [][2]asked{pair, {pair[1], pair[0]}} {
			limiter, err := NewRateLimiter(RateLimits{PerSecond: 2})
			if err != nil {
				t.Fatal(err)
			}
			d := newTestServer(t, Options{Limits: limiter})
			for i, q := range []asked{order[0], order[0], order[0], order[1], order[1], order[1]} {
				replies, _ := d.ask(client, packQuery(t, q.name, q.rtype))
				if sent := replies[0] != nil; sent != (i%3 < 2) {
					t.Errorf("%v: response %d was sent: %t", order, i, sent)
				}
			}
		}
	}
}

// NXDOMAIN is counted by zone: an attacker who knows 50 names of a zone, and asks below each of them
// and by way of aliases, gets one limit. Another zone has a limit of its own.
func TestMissingNamesAreLimitedByZone(t *testing.T) {
	limiter, err := NewRateLimiter(DefaultRateLimits())
	if err != nil {
		t.Fatal(err)
	}
	d := newTestServer(t, Options{Limits: limiter})
	const names, perSecond, seconds = 50, 5000, 3
	text, child := serverZone+"d DNAME name0\n*.a CNAME x.name0\n", "$ORIGIN zone.example.\n@ 60 SOA . . 1 2 3 4 5\n@ 60 NS .\n"
	for i := range names {
		text += fmt.Sprintf("name%d A 192.0.2.1\n", i)
	}
	d.server.SetZones(mustZones(t, text, child))
	sent := 0
	for i := range perSecond * seconds {
		d.receivedAt = d.receivedAt.Add(time.Second / perSecond)
		name := fmt.Sprintf("x%d.name%d.example.", i, i%names)
		switch i % 10 {
		case 0:
			name = fmt.Sprintf("x%d.d.example.", i)
		case 1:
			name = fmt.Sprintf("x%d.a.example.", i)
		}
		replies, _ := d.ask(client, packQuery(t, name, dns.TypeA))
		if m := replies[0]; m != nil && !m.Truncated {
			sent++
			if m.Rcode != dns.RcodeNameError {
				t.Fatalf("%s: %v", name, m)
			}
		}
	}
	if want := 200 + 200*seconds; sent < want-1 || sent > want {
		t.Errorf("%d sent of %d, want the burst and 200 a second: %d", sent, perSecond*seconds, want)
	}
	if replies, _ := d.ask(client, packQuery(t, "x.zone.example.", dns.TypeA)); replies[0] == nil || replies[0].Truncated {
		t.Errorf("another zone: %v", replies[0])
	}
}

// The answers of the sinkhole share a limit, apart from the limits of names in zones.
func TestSinkholeHasItsOwnLimit(t *testing.T) {
	limiter, err := NewRateLimiter(RateLimits{PerSecond: 2})
	if err != nil {
		t.Fatal(err)
	}
	d := newTestServer(t, Options{Limits: limiter})
	d.server.SetZones(d.server.Zones().WithSinkhole([]netip.Addr{netip.MustParseAddr("192.0.2.99")}))
	for _, q := range []struct {
		name string
		sent bool
	}{
		{"www.example.", true}, {"a.test.", true}, {"b.test.", true}, {"www.example.", true}, {"c.test.", false}, {"ns1.example.", true},
		{"d.test.", false}, {"www.example.", false},
	} {
		replies, _ := d.ask(client, packQuery(t, q.name, dns.TypeA))
		if sent := replies[0] != nil; sent != q.sent {
			t.Errorf("%s: sent is %t", q.name, sent)
		}
	}
}

// checkRecords compares records with the replies that were sent; nil is no reply.
func checkRecords(t *testing.T, text []byte, sent []*dns.Msg) {
	t.Helper()
	for line := range bytes.Lines(text) {
		if len(sent) == 0 {
			t.Fatalf("one record more: %s", line)
		}
		want := `"opcode":"QUERY",` // neither rcode nor flags
		if m := sent[0]; m != nil {
			flags := `"qr",`
			for _, f := range []struct {
				set  bool
				text string
			}{{m.Authoritative, `"aa",`}, {m.Truncated, `"tc",`}, {m.RecursionDesired, `"rd",`}} {
				if f.set {
					flags += f.text
				}
			}
			want = fmt.Sprintf(`"opcode":"QUERY","rcode":%q,"flags":[%s],`, dns.RcodeToString[m.Rcode], strings.TrimSuffix(flags, ","))
		}
		if !bytes.Contains(line, []byte(want)) || !json.Valid(line) {
			t.Errorf("record %swithout %s", line, want)
		}
		dropped := bytes.Contains(line, []byte(`"limited":"dropped"`)) && !bytes.Contains(line, []byte(`"rcode"`))
		if dropped != (sent[0] == nil) {
			t.Errorf("record %sdropped is %t", line, !dropped)
		}
		sent = sent[1:]
	}
	if len(sent) > 0 {
		t.Errorf("%d have no record", len(sent))
	}
}

// checkCounts compares the counts by rcode with the replies that were sent.
func checkCounts(t *testing.T, counts Counts, sent []*dns.Msg) {
	t.Helper()
	want := make(map[string]uint64)
	for name := range counts.Rcodes {
		want[name] = 0
	}
	var queries, none uint64
	for _, n := range counts.Types {
		queries += n
	}
	for _, m := range sent {
		if m == nil {
			none++
			continue
		}
		want[dns.RcodeToString[m.Rcode]]++
	}
	if !maps.Equal(counts.Rcodes, want) || queries != uint64(len(sent)) || counts.Dropped != none {
		t.Errorf("counted %+v, sent %v", counts, want)
	}
}

// A client with a cookie gets BADCOOKIE above the limit, and the record says so.
func TestRecordsOfLimitedClientsWithCookies(t *testing.T) {
	limiter, err := NewRateLimiter(RateLimits{PerSecond: 1, Slip: 2})
	if err != nil {
		t.Fatal(err)
	}
	d := newTestServer(t, Options{Limits: limiter, Cookies: cookie.NewKeys(cookie.NewSecret()), Records: true})
	var sent []*dns.Msg
	for range 5 {
		replies, _ := d.ask(client, packQuery(t, "missing.example.", dns.TypeA, withCookie("0102030405060708")))
		sent = append(sent, replies[0])
	}
	for i, want := range []int{dns.RcodeNameError, -1, dns.RcodeBadCookie, -1, dns.RcodeBadCookie} {
		if got := sent[i]; (got == nil) != (want < 0) || got != nil && got.Rcode != want {
			t.Errorf("%d: %v", i, got)
		}
	}
	checkRecords(t, d.sink.buf, sent)
	checkCounts(t, d.server.Counts(), sent)
}

// The rcode of the response, and whether the response has a cookie, for each status of the query's
// cookie, with cookies on and off.
func TestCookiesOfAllQueries(t *testing.T) {
	keys := cookie.NewKeys(cookie.NewSecret())
	own := "01020304050607"
	made, _ := keys.Answer(nil, []byte("\x01\x02\x03\x04\x05\x06\x07\x08"), netip.MustParseAddrPort(client).Addr(), time.Now())
	good := fmt.Sprintf("%x", made)
	bad := own + "08" + strings.Repeat("ff", 16)
	empty := func(m *dns.Msg) { m.Question = nil }
	version1 := func(m *dns.Msg) { m.IsEdns0().SetVersion(1) }
	notify := func(m *dns.Msg) { m.Opcode = dns.OpcodeNotify }
	chaos := func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }
	for _, test := range []struct {
		name   string
		cookie string
		change []func(*dns.Msg)
		want   string
		off    string
	}{
		{"a question", own + "08", nil, "NOERROR cookie", "NOERROR"},
		{"a question, good", good, nil, "NOERROR cookie", "NOERROR"},
		{"a question, bad", bad, nil, "NOERROR cookie", "NOERROR"},
		{"a question, malformed", own, nil, "FORMERR", "NOERROR"},
		{"a class that is refused, malformed", own, []func(*dns.Msg){chaos}, "FORMERR", "REFUSED"},
		// RFC 7873 5.4
		{"no question", own + "08", []func(*dns.Msg){empty}, "NOERROR cookie", "FORMERR"},
		{"no question, good", good, []func(*dns.Msg){empty}, "NOERROR cookie", "FORMERR"},
		{"no question, bad", bad, []func(*dns.Msg){empty}, "BADCOOKIE cookie", "FORMERR"},
		{"no question, of another length", own + "08" + strings.Repeat("ff", 9), []func(*dns.Msg){empty}, "BADCOOKIE cookie", "FORMERR"},
		{"no question, malformed", own, []func(*dns.Msg){empty}, "FORMERR", "FORMERR"},
		{"no question, none", "", []func(*dns.Msg){empty}, "FORMERR", "FORMERR"},
		// RFC 6891 6.1.3
		{"EDNS 1", own + "08", []func(*dns.Msg){version1}, "BADVERS", "BADVERS"},
		{"EDNS 1, malformed", "01", []func(*dns.Msg){version1}, "BADVERS", "BADVERS"},
		{"EDNS 1, no question", own + "08", []func(*dns.Msg){version1, empty}, "BADVERS", "BADVERS"},
		{"NOTIFY", own + "08", []func(*dns.Msg){notify}, "NOTIMP cookie", "NOTIMP"},
		{"NOTIFY, malformed", "01", []func(*dns.Msg){notify}, "NOTIMP", "NOTIMP"},
		{"NOTIFY, no question", own + "08", []func(*dns.Msg){notify, empty}, "NOTIMP cookie", "NOTIMP"},
	} {
		for _, on := range []bool{true, false} {
			o, want := Options{Records: true}, test.off
			if on {
				o.Cookies, want = keys, test.want
			}
			d := newTestServer(t, o)
			m := packQuery(t, "www.example.", dns.TypeA, append([]func(*dns.Msg){withCookie(test.cookie)}, test.change...)...)
			if test.cookie == "" {
				m = packQuery(t, "www.example.", dns.TypeA, append([]func(*dns.Msg){func(m *dns.Msg) { m.SetEdns0(1232, false) }}, test.change...)...)
			}
			replies, _ := d.ask(client, m)
			got := responseCode(replies[0].Rcode).String()
			if c := cookieOf(replies[0]); len(c) == 48 && strings.HasPrefix(c, own+"08") {
				got += " cookie"
			} else if c != "" {
				t.Errorf("%s: cookie %s", test.name, c)
			}
			if got != want {
				t.Errorf("%s, cookies %t: got %s, want %s", test.name, on, got, want)
			}
			if got, _, _ := strings.Cut(got, " "); !bytes.Contains(d.sink.buf, []byte(fmt.Sprintf(`"rcode":%q`, got))) || d.server.Counts().Rcodes[got] != 1 {
				t.Errorf("%s, cookies %t: %s is not what is recorded or counted: %s", test.name, on, got, d.sink.buf)
			}
			if bytes.Contains(m[:HeaderSize], []byte{0, 0, 0, 0, 0, 0, 0, 1}) && len(replies[0].Question)+len(replies[0].Answer)+len(replies[0].Ns) > 0 {
				t.Errorf("%s: %v", test.name, replies[0])
			}
		}
	}
}

// The NSID is in replies to queries that ask for it, over UDP and TCP, and counts in the size.
func TestNSID(t *testing.T) {
	nsid := bytes.Repeat([]byte("x"), MaxNSID)
	limiter, err := NewRateLimiter(RateLimits{PerSecond: 100})
	if err != nil {
		t.Fatal(err)
	}
	d := newTestServer(t, Options{NSID: nsid, Cookies: cookie.NewKeys(cookie.NewSecret()), Limits: limiter})
	text := serverZone
	for i := range 40 {
		text += fmt.Sprintf("size%d TXT %s\n", i, strings.Repeat("y", 200)+" "+strings.Repeat("z", 110+i))
	}
	d.server.SetZones(mustZones(t, text))
	asks := func(m *dns.Msg) {
		m.SetEdns0(512, false)
		m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_NSID{Code: dns.EDNS0NSID}}
	}
	check := func(what string, m *dns.Msg, want bool) {
		t.Helper()
		got := ""
		if m != nil && m.IsEdns0() != nil {
			for _, option := range m.IsEdns0().Option {
				if o, ok := option.(*dns.EDNS0_NSID); ok {
					got += o.Nsid
				}
			}
		}
		if got != "" != want || want && got != fmt.Sprintf("%x", nsid) {
			t.Errorf("%s: NSID %q, want one: %t", what, got, want)
		}
		if m == nil {
			t.Fatalf("%s: no reply", what)
		}
		if m.Compress = true; m.Len() > 512 {
			t.Errorf("%s: %d bytes", what, m.Len())
		}
	}
	long := strings.Repeat(strings.Repeat("l", 61)+".", 4) + "x.zz."
	for what, q := range map[string][]byte{
		"an answer": packQuery(t, "www.example.", dns.TypeA, asks),
		"the longest name": packQuery(t, long, dns.TypeA, withCookie("0102030405060708"), func(m *dns.Msg) {
			m.IsEdns0().Option = append(m.IsEdns0().Option, &dns.EDNS0_NSID{Code: dns.EDNS0NSID})
		}),
		"another opcode": packQuery(t, "www.example.", dns.TypeA, asks, func(m *dns.Msg) { m.Opcode = dns.OpcodeNotify }),
		"a wildcard":     packQuery(t, "x.wild.example.", dns.TypeA, asks),
	} {
		replies, _ := d.ask(client, q)
		check(what, replies[0], true)
	}
	cut, whole := 0, 0
	for i := range 40 {
		replies, _ := d.ask(client, packQuery(t, fmt.Sprint("size", i, ".example."), dns.TypeTXT, asks))
		if check("a size", replies[0], true); replies[0].Truncated {
			cut++
		} else {
			whole++
		}
	}
	if cut == 0 || whole == 0 {
		t.Errorf("%d truncated, %d not", cut, whole)
	}
	m := new(dns.Msg)
	if err := m.Unpack(d.server.Stream().Answer(nil, packQuery(t, "www.example.", dns.TypeA, asks), netip.MustParseAddrPort(client))); err != nil {
		t.Fatal(err)
	}
	check("TCP", m, true)
	for what, q := range map[string][]byte{
		"not asked":       packQuery(t, "www.example.", dns.TypeA, withCookie("0102030405060708")),
		"without EDNS":    packQuery(t, "www.example.", dns.TypeA),
		"another version": packQuery(t, "www.example.", dns.TypeA, asks, func(m *dns.Msg) { m.IsEdns0().SetVersion(1) }),
	} {
		replies, _ := d.ask(client, q)
		check(what, replies[0], false)
	}
	replies, _ := newTestServer(t, Options{}).ask(client, packQuery(t, "www.example.", dns.TypeA, asks))
	check("a server without", replies[0], false)
}

// Over TCP a cookie can be asked for as well.
func TestCookiesOfStreams(t *testing.T) {
	d := newTestServer(t, Options{Cookies: cookie.NewKeys(cookie.NewSecret())})
	q := packQuery(t, ".", dns.TypeA, withCookie("0102030405060708"), func(m *dns.Msg) { m.Question = nil })
	m := new(dns.Msg)
	if err := m.Unpack(d.server.Stream().Answer(nil, q, netip.MustParseAddrPort(client))); err != nil || m.Rcode != 0 || len(cookieOf(m)) != 48 {
		t.Errorf("%v, %v", m, err)
	}
}

// Queries without a question share the limit of errors, even if the source is forged.
func TestCookieQueriesAreLimited(t *testing.T) {
	limiter, err := NewRateLimiter(RateLimits{PerSecond: 10, Slip: 2})
	if err != nil {
		t.Fatal(err)
	}
	d := newTestServer(t, Options{Cookies: cookie.NewKeys(cookie.NewSecret()), Limits: limiter, Records: true})
	var sent []*dns.Msg
	for i := range 30 {
		replies, _ := d.ask(client, packQuery(t, ".", dns.TypeA, withCookie(fmt.Sprintf("%016x", i)), func(m *dns.Msg) { m.Question = nil }))
		sent = append(sent, replies[0])
		if m := replies[0]; m != nil && (m.Rcode != 0 || len(cookieOf(m)) != 48) {
			t.Errorf("%v", m)
		}
	}
	checkRecords(t, d.sink.buf, sent)
	checkCounts(t, d.server.Counts(), sent)
	if counts := d.server.Counts(); counts.Dropped != 10 || counts.Slipped != 10 {
		t.Errorf("%+v", counts)
	}
}

// A client with a good cookie is not limited. A client without a server cookie gets a cookie, also
// above the limit.
func TestCookiesExempt(t *testing.T) {
	limiter, err := NewRateLimiter(RateLimits{PerSecond: 1, Slip: 1})
	if err != nil {
		t.Fatal(err)
	}
	d := newTestServer(t, Options{Limits: limiter, Cookies: cookie.NewKeys(cookie.NewSecret())})
	ask := func(cookie string) *dns.Msg {
		t.Helper()
		replies, _ := d.ask(client, packQuery(t, "www.example.", dns.TypeA, withCookie(cookie)))
		return replies[0]
	}
	const own = "0102030405060708"
	first := ask(own)
	given := cookieOf(first)
	if len(first.Answer) != 1 || len(given) != 48 || !strings.HasPrefix(given, own) {
		t.Fatalf("%v", first)
	}
	for range 20 {
		if m := ask(given); len(m.Answer) != 1 || len(cookieOf(m)) != 48 {
			t.Fatalf("%v", m)
		}
	}
	over := ask(own)
	if over.Rcode != dns.RcodeBadCookie || len(over.Answer) != 0 || over.Truncated || len(cookieOf(over)) != 48 {
		t.Errorf("%v", over)
	}
	if m := ask(cookieOf(over)); len(m.Answer) != 1 {
		t.Errorf("%v", m)
	}
	if m := ask("010203"); m.Rcode != dns.RcodeFormatError {
		t.Errorf("%v", m)
	}
	if m := ask(own + "ffffffffffffffffffffffffffffffff"); m.Rcode != dns.RcodeBadCookie {
		t.Errorf("another server's cookie: %v", m)
	}
}

// Over TCP replies are not truncated, and clients are not limited.
func TestStreams(t *testing.T) {
	limiter, err := NewRateLimiter(RateLimits{PerSecond: 1})
	if err != nil {
		t.Fatal(err)
	}
	d := newTestServer(t, Options{Limits: limiter, Records: true})
	s := d.server.Stream()
	for range 3 {
		reply := s.Answer(nil, packQuery(t, "www.example.", dns.TypeA), netip.MustParseAddrPort(client))
		m := new(dns.Msg)
		if err := m.Unpack(reply); err != nil || len(m.Answer) != 1 {
			t.Errorf("%v, %v", m, err)
		}
	}
	const to = `,"transport":"tcp","destination":"192.0.2.53:53","query_size":`
	s.Destination = netip.MustParseAddrPort("192.0.2.53:53")
	for question, want := range map[string][2]string{ // begin and end
		"short": {`{"message_base64":"c2hvcnQ="` + to + `5,`, `"listener":"dns","malformed":"header"}` + "\n"},
		string(packQuery(t, "www.example.", dns.TypeA)): {
			`{"id":4711,"name":"www.example.","type":"A","class":"IN","opcode":"QUERY","rcode":"NOERROR",` +
				`"flags":["qr","aa","rd"],"answers":1,"zone":"example.","rd":true` + to + `29,"reply_size":45,`,
			`"listener":"dns"}` + "\n"},
	} {
		before := []byte("before")
		reply := s.Answer(before, []byte(question), netip.MustParseAddrPort(client))
		if short := question == "short"; short != (reply == nil) || !short && !bytes.HasPrefix(reply, before) {
			t.Errorf("%q: %q", question, reply)
		}
		record := string(s.Record(nil))
		if !strings.HasPrefix(record, want[0]) || !strings.HasSuffix(record, want[1]) {
			t.Error(record)
		}
	}
	if counts := d.server.Counts(); counts.Types["A"] != 4 || counts.Ignored != 1 {
		t.Errorf("%+v", counts)
	}
}

// Connections are counted in the counters of streams, and add to the predecessor's counts.
func TestConnectionsAreCounted(t *testing.T) {
	shared := make([]atomic.Uint64, NumCounters)
	for range 2 { // the second is the first's successor
		d := newTestServer(t, Options{Counters: func(shard int) []atomic.Uint64 {
			if shard < 0 {
				return shared
			}
			return nil
		}})
		for is, n := range map[Connection]int{ConnectionAccepted: 4, ConnectionNotAdmitted: 3, ConnectionRefused: 2, ConnectionEvicted: 1} {
			for range n {
				d.server.CountConnection(is)
			}
		}
		d.server.Stream().Answer(nil, packQuery(t, "www.example.", dns.TypeA), netip.MustParseAddrPort(client))
	}
	d := newTestServer(t, Options{Counters: func(int) []atomic.Uint64 { return shared }})
	want := map[string]uint64{"accepted": 8, "not_admitted": 6, "refused": 4, "evicted": 2}
	if d.server.shards = nil; !maps.Equal(d.server.Counts().Connections, want) || d.server.Counts().Types["A"] != 2 || d.server.Counts().Slipped != 0 {
		t.Errorf("%+v", d.server.Counts())
	}
}

// SetZones takes effect with the next query.
func TestZonesAreReplaced(t *testing.T) {
	d := newTestServer(t, Options{})
	q := packQuery(t, "new.example.", dns.TypeA)
	if replies, _ := d.ask(client, q); replies[0].Rcode != dns.RcodeNameError {
		t.Errorf("%v", replies[0])
	}
	zones, err := newZones(serverZone + "new A 192.0.2.9\n")
	if err != nil {
		t.Fatal(err)
	}
	d.server.SetZones(zones)
	if replies, _ := d.ask(client, q); len(replies[0].Answer) != 1 {
		t.Errorf("%v", replies[0])
	}
}

// recordOptions are options for records in each format.
var recordOptions = map[string]Options{
	"discard": {},
	"json":    {Records: true},
	"answers": {Records: true, RecordAnswers: true},
	"dnstap":  {Records: true, Format: RecordDnstap, Identity: "host", Version: "test"},
	"base64":  {Records: true, Format: RecordBase64, Identity: "host", Version: "test"},
}

func TestHandlersDoNotAllocate(t *testing.T) {
	limiter, err := NewRateLimiter(RateLimits{PerSecond: 100, Slip: 2})
	if err != nil {
		t.Fatal(err)
	}
	questions := [][]byte{[]byte("malformed")}
	for _, name := range []string{"www.example.", "x.wild.example.", "missing.example.", "x.child.example.", "test."} {
		questions = append(questions, packQuery(t, name, dns.TypeA), packQuery(t, name, dns.TypeMX, withCookie("0102030405060708")),
			packQuery(t, name, dns.TypeA, func(m *dns.Msg) {
				m.SetEdns0(1232, false)
				m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_NSID{Code: dns.EDNS0NSID}}
			}))
	}
	for name, o := range recordOptions {
		t.Run(name, func(t *testing.T) {
			o.Limits, o.Cookies, o.NSID = limiter, cookie.NewKeys(cookie.NewSecret()), []byte("one")
			d := newTestServer(t, o)
			b := packet.NewBatch(len(questions), MaxUDPSize, &d.sink)
			if n := testing.AllocsPerRun(1000, func() {
				d.sink.buf = d.sink.buf[:0]
				b.Reset(d.receivedAt)
				for _, q := range questions {
					b.Datagrams = append(b.Datagrams, packet.Datagram{Payload: q, Source: netip.MustParseAddrPort(client)})
				}
				d.handler.Handle(b)
			}); n > 0 {
				t.Errorf("%v allocations", n)
			}
			if (len(d.sink.buf) > 0) != o.Records {
				t.Errorf("%d bytes of records", len(d.sink.buf))
			}
		})
	}
}

// A thread without further queries keeps no zone in memory that a reload has replaced.
func TestAnsweredQueryKeepsNoZone(t *testing.T) {
	limits, err := NewRateLimiter(RateLimits{PerSecond: 1})
	if err != nil {
		t.Fatal(err)
	}
	s := NewServer(mustZones(t, testZone), Options{Limits: limits})
	x := s.newQueryContext(0, s.newCounters(0))
	for i, want := range []replyOutcome{answered, withheld} {
		question := packQuestion(t, "www.test. A", false, 0)
		if _, outcome := x.appendReply(s.Zones(), nil, question, netip.MustParseAddr("192.0.2.1"), time.Now(), MaxUDPSize); outcome != want {
			t.Fatalf("query %d: outcome %d, want %d", i, outcome, want)
		}
		if x.query.matchedName != nil {
			t.Errorf("query %d keeps a name of the zone", i)
		}
	}
}
