package nats

import (
	"slices"
	"strings"
	"testing"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/ship"
	"github.com/udpshard/udpshard/internal/ship/shiptest"
)

func TestOptionErrors(t *testing.T) {
	for _, c := range []struct {
		url, option, value, want string
	}{
		{"nats://h:4222", "", "", "the URL has no subject"},
		{"nats://h:4222/", "", "", "the URL has no subject"},
		{"nats:///logs", "", "", `"" is no HOST:PORT`},
		{"nats://:4222/logs", "", "", `":4222" is no HOST:PORT`},
		{"nats://h:4222/logs?a=b", "", "", "the URL has a query"},
		{"nats://h/a..b", "", "", "a subject is words with dots between"},
		{"nats://h/a.", "", "", "a subject is words with dots between"},
		{"nats://h/a/b", "", "", "a subject is words with dots between"},
		{"nats://h/a.*", "", "", "a subject is words with dots between"},
		{"nats://h/a.%3E", "", "", "a subject is words with dots between"},
		{"nats://h/$JS.API", "", "", "a subject is words with dots between"},
		{"nats://h/a%20b", "", "", "a subject is words with dots between"},
		{"nats://h/a.b%7D", "", "", "a subject is words with dots between"},
		{"nats://h/logs.%7Bhost%7D", "", "", "unknown placeholder {host"},
		{"nats://h/logs.%7Bshard", "", "", "unknown placeholder {shard"},
		{"nats://h/logs.%7Bseverity%7D", "per", "batch", "use per=record"},
		{"nats://h/logs.%7Bfacility%7D", "format", "rfc5424", "use the format json"},
		{"nats://h/logs", "per", "line", `"line" is not one of record, batch`},
		{"nats://h/logs", "in_flight", "0", "option in_flight"},
		{"nats://h/logs", "in_flight", "99999999999", "option in_flight: at most 8192"},
		{"nats://h/logs", "create_stream", "maybe", "option create_stream"},
		{"nats://h/logs", "stream", "LOGS", "option stream: names the stream that create_stream=true makes"},
		{"nats://h/logs", "stream", "A.B", `option stream: "A.B" is no name`},
		{"nats://h/logs", "password", "SECRET", "needs the option user"},
		{"nats://h/logs", "user+token", "SECRET", "user and token: use one of them"},
		{"nats://h/logs", "ca", "/ca.pem", "option ca: the target has no TLS"},
		{"nats://h/logs", "cert", "/a.pem", "a client certificate needs both"},
		{"nats://h/logs", "tokn", "SECRET", "unknown option tokn"},
	} {
		s := shiptest.Settings(t, c.url)
		for option := range strings.SplitSeq(c.option, "+") {
			switch option {
			case "":
			case "format":
				s.Format = ship.Format(c.value)
			default:
				s.Options[option] = c.value
			}
		}
		_, err := New(s)
		switch {
		case err == nil || !strings.Contains(err.Error(), c.want):
			t.Errorf("%s %s=%s: %v, want %s", c.url, c.option, c.value, err, c.want)
		case strings.Contains(err.Error()+cli.Hint(err), "SECRET"):
			t.Errorf("%s: %v has a secret", c.url, err)
		}
	}
}

func TestServers(t *testing.T) {
	s := shiptest.Settings(t, "nats://h/logs")
	s.URL.Host = "127.0.0.1:4222,example.org,[::1]:4223"
	o, err := parseOptions(s)
	want := []string{"nats://127.0.0.1:4222", "nats://example.org", "nats://[::1]:4223"}
	if err != nil || !slices.Equal(o.servers, want) {
		t.Errorf("%v, %v, want %v", o.servers, err, want)
	}
	for _, hosts := range []string{"a:1,", "a:1,,b:2", "a:1,:2", "a:1,b:x", "a:1, b:2"} {
		s.URL.Host = hosts
		if _, err := parseOptions(s); err == nil || !strings.Contains(err.Error(), "is no HOST:PORT") {
			t.Errorf("%s: %v", hosts, err)
		}
	}
}

func TestSubjects(t *testing.T) {
	for _, c := range []struct{ path, listener, record, pattern, stream, subject string }{
		{"logs", "a", "", "logs", "LOGS", "logs"},
		{"logs.{listener}.{shard}", "syslog", "", "logs.*.*", "LOGS", "logs.syslog.3"},
		{"logs.x{shard}y", "a", "", "logs.*", "LOGS", "logs.x3y"},
		{"{listener}", "a.b >*", "", "*", "UDPSHARD", "a_b___"},
		{"{listener}", "$JS", "", "*", "UDPSHARD", "_JS"},
		{"a.b.{facility}.{severity}", "", `{"severity":"crit","facility":"local 0"}`, "a.b.*.*", "A_B", "a.b.local_0.crit"},
		{"a.{facility}", "", `{"message":"facility"}`, "a.*", "A", "a.none"},
		{"a.{listener}", "", "", "a.*", "A", "a.none"},
	} {
		n := open(t, "nats://h/"+strings.NewReplacer("{", "%7B", "}", "%7D").Replace(c.path))
		b := &ship.Batch{Listener: c.listener, Shard: 3}
		subject := n.subjectOf(b, []byte(c.record))
		if n.subject.pattern != c.pattern || n.stream != c.stream || subject != c.subject {
			t.Errorf("%s: pattern %s, stream %s, subject %s, want %s, %s, %s", c.path,
				n.subject.pattern, n.stream, subject, c.pattern, c.stream, c.subject)
		}
	}
}

func TestNotes(t *testing.T) {
	p := &publication{connection: &connection{streams: []string{"A=1", "B", "C"}},
		batch: &ship.Batch{Note: "B=7 C=9 OLD=3 x =y"}, messages: []message{
			{done: true, stream: "A=1", sequence: 3}, {done: true, stream: "B", sequence: 8},
			{done: true}, {}, {done: true, stream: "B", sequence: 10}}}
	if got, want := p.note(), "A=1=3 B=8 C=9"; got != want {
		t.Errorf("note %q, want %q", got, want)
	}
}

func TestIdentities(t *testing.T) {
	b := &ship.Batch{Spool: "0123456789abcdef", Listener: "a-1", Series: "12-0", First: 7, Records: make([][]byte, 3)}
	id := newIdentity(b)
	if id.record(2) != b.RecordID(2) || id.records(0, 3) != b.ID() {
		t.Errorf("%s and %s, want %s and %s", id.record(2), id.records(0, 3), b.RecordID(2), b.ID())
	}
	for text, want := range map[string][2]uint64{b.RecordID(2): {9, 10}, b.ID(): {7, 10}} {
		if first, end, ok := id.parse(text); !ok || first != want[0] || end != want[1] {
			t.Errorf("%s: %d to %d, %v, want %v", text, first, end, ok, want)
		}
	}
	other := &ship.Batch{Spool: b.Spool, Listener: "a-1", Series: "1-2", First: 7}
	for _, text := range []string{"", other.RecordID(0), b.RecordID(0) + "-3", b.RecordID(0) + ".", b.RecordID(0) + ".-1"} {
		if first, end, ok := id.parse(text); ok {
			t.Errorf("%s: %d to %d", text, first, end)
		}
	}
}
