package relp

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/udpshard/udpshard/internal/leak"
	"github.com/udpshard/udpshard/internal/ship"
	"github.com/udpshard/udpshard/internal/ship/shiptest"
)

func descriptors(t *testing.T) { leak.Descriptors(t) }

func batchOf(records ...string) *ship.Batch { return shiptest.Batch(0, records...) }

// A server that stops answering is a temporary error, with the records acknowledged until then.
func TestServerStopsAnswering(t *testing.T) {
	f := newFake(t)
	result := send(t, open(t, f.url(), "timeout", "200ms"), "a", "b", "c")
	p := f.acceptOpen()
	p.syslog(2)
	p.respond(2, "200 OK")
	check(t, await(t, result), "no response from the server for 200ms", 1)
	p.syslog(3)
	p.syslog(4)
	if _, err := p.receive(); err == nil {
		t.Error("the session goes on after the error")
	}
}

// A server that reads nothing is a temporary error.
func TestServerStopsReading(t *testing.T) {
	f := newFake(t)
	record := strings.Repeat("x", 100<<10)
	result := send(t, open(t, f.url(), "timeout", "200ms"), slicesRepeat(record, 400)...)
	f.acceptOpen()
	check(t, await(t, result), "server has read nothing for 200ms", 0)
}

func slicesRepeat(record string, n int) (records []string) {
	for range n {
		records = append(records, record)
	}
	return records
}

// Responses keep a server from being called silent, however long a batch takes.
func TestSlowServer(t *testing.T) {
	f := newFake(t)
	const timeout = 500 * time.Millisecond
	start := time.Now()
	result := send(t, open(t, f.url(), "timeout", timeout.String()), slicesRepeat("a", 8)...)
	p := f.acceptOpen()
	for i := range 8 {
		p.syslog(2 + i)
		time.Sleep(timeout / 5) // the pace of the server
		p.respond(2+i, "200 OK")
	}
	if err := await(t, result); err != nil || time.Since(start) < timeout {
		t.Errorf("%v after %s", err, time.Since(start))
	}
}

// Send returns soon after the end of its context, with the records acknowledged until then: while it
// connects, opens, writes, and waits.
func TestContextEnds(t *testing.T) {
	record := strings.Repeat("x", 100<<10)
	for name, c := range map[string]struct {
		records      []string
		acknowledged int
		serve        func(*fake)
	}{
		"open":  {[]string{"a"}, 0, func(f *fake) { f.accept().receive() }},
		"write": {slicesRepeat(record, 400), 0, func(f *fake) { f.acceptOpen() }},
		"wait": {[]string{"a", "b", "c"}, 1, func(f *fake) {
			p := f.acceptOpen()
			p.syslog(2)
			p.syslog(3)
			p.respond(2, "200 OK")
			p.respond(4, "200 OK")
		}},
	} {
		f := newFake(t)
		target := open(t, f.url())
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() { result <- target.Send(ctx, batchOf(c.records...)) }()
		c.serve(f)
		if name == "wait" {
			for target.acknowledged() < 2 {
				time.Sleep(time.Millisecond)
			}
		}
		cancel()
		start := time.Now()
		err := await(t, result)
		check(t, err, "context canceled", c.acknowledged)
		if !errors.Is(err, context.Canceled) || time.Since(start) > 5*time.Second {
			t.Errorf("%s: %v after %s", name, err, time.Since(start))
		}
	}
}

// acknowledged returns how many responses have arrived in the session of another goroutine's Send.
func (t *target) acknowledged() int {
	s := t.session
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.batch.answered()
}

// Servers that refuse the session, or are none of RELP: permanent errors need another configuration.
func TestOpenFails(t *testing.T) {
	for _, c := range []struct {
		answer, want string
		permanent    bool
	}{
		{response(1, "500 required command not supported"), "refused by the server: 500 required command", true},
		{response(1, "200 OK\nrelp_version=0\ncommands=eventlog"), "no syslog in the offers", true},
		{response(1, "200 OK\ncommands=syslog"), "no relp_version in the offers", true},
		{"HTTP/1.1 400 Bad Request\r\n\r\n", `speaks no RELP: no frame of RELP: "HTTP/1.1 400 Bad Request`, true},
		{"2 rsp 6 200 OK\n", "in place of a response to open", true},
		{"1 rsp 30000 200 " + strings.Repeat("x", 29996) + "\n", "more than 16384 bytes", true},
		{"0 serverclose 0\n", "session ended by the server: serverclose", false},
		{"", "(a server with TLS needs relp+tls://)", false},
		{"1 rsp", "no response to the command open: session ended by the server: connection closed", false},
	} {
		f := newFake(t)
		result := send(t, open(t, f.url()), "a", "b")
		p := f.accept()
		p.receive()
		io.WriteString(p.conn, c.answer)
		p.conn.(*net.TCPConn).CloseWrite()
		err := await(t, result)
		check(t, err, c.want, 0)
		if e := err.(*ship.Error); e.Permanent != c.permanent {
			t.Errorf("%v: permanent %t", err, e.Permanent)
		}
	}
}

// A server that says nothing to open, as one of plain syslog, is named, and tried again.
func TestOpenWithoutAnswer(t *testing.T) {
	f := newFake(t)
	target := open(t, f.url(), "timeout", "100ms")
	result := send(t, target, "a")
	f.accept()
	err := await(t, result)
	check(t, err, "no answer from "+f.l.Addr().String()+" for 100ms, as from a server without RELP", 0)
	if err.(*ship.Error).Permanent {
		t.Error("permanent")
	}
	f.l.Close()
	check(t, target.Send(t.Context(), batchOf("a")), "connection refused", 0)
}

func TestSettings(t *testing.T) {
	for _, c := range []struct {
		url, key, value, want string
	}{
		{"relp://h:1/x", "", "", "has no path"},
		{"relp://h", "", "", "needs a host and a port"},
		{"relp://h:1", "windw", "1", "unknown option windw"},
		{"relp://h:1", "window", "0", "option window"},
		{"relp://h:1", "timeout", "0", "option timeout: must be more than 0s"},
		{"relp://h:1", "window", "9999999999", "option window: at most 999999999"},
		{"relp://h:1", "max_size", "3GiB", "option max_size: at most 999999999B"},
		{"relp://h:1", "ca", "/f", "unknown option ca"},
		{"relp+tls://h:1", "cert", "/f", "options cert and key"},
		{"relp+tls://h:1", "verify", "x", "option verify"},
		{"relp+tls://h:1", "ca", "/missing", ""},
		{"relp://h:1", "window", "128", ""},
	} {
		_, err := New(shiptest.Settings(t, c.url, c.key, c.value))
		if c.key == "" {
			_, err = New(shiptest.Settings(t, c.url))
		}
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s=%s: %v, want %q", c.url, c.key, c.value, err, c.want)
		}
	}
}
