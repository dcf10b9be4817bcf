package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/udpshard/udpshard/internal/cli"
)

// query sends a question over udp or tcp, and returns the answer or nil.
func query(network, address string, m *dns.Msg) *dns.Msg {
	c := dns.Client{Net: network, Timeout: 5 * time.Second, UDPSize: dns.MaxMsgSize}
	answer, _, err := c.Exchange(m, address)
	if err != nil {
		return nil
	}
	return answer
}

func newQuery(name string, rtype uint16) *dns.Msg { return new(dns.Msg).SetQuestion(name, rtype) }

// A DNS listener answers over UDP and TCP, writes a record of each query, counts queries by type
// and response code, and loads a changed zone at SIGHUP.
func TestDNSServer(t *testing.T) {
	dir, address := publicDir(t), freePort(t)
	zone, file := filepath.Join(dir, "example.zone"), filepath.Join(dir, "queries.json")
	write := func(text string) {
		t.Helper()
		writeFile(t, zone, "$ORIGIN example.\n$TTL 60\n@ SOA ns1 host 1 7200 3600 86400 300\n@ NS ns1\nns1 A 192.0.2.1\n"+text)
	}
	write("www A 192.0.2.80\nlong TXT " + strings.Repeat(`"`+strings.Repeat("x", 200)+`" `, 10) + "\n")
	p := startServe(t, asNobody, "--listen", address, "--protocol", "dns", "--zone", zone, "--sinkhole", "192.0.2.66,2001:db8::66", "--output", "file:"+file)

	if m := query("udp", address, newQuery("WWW.example.", dns.TypeA)); m == nil || len(m.Answer) != 1 || !m.Authoritative || m.Question[0].Name != "WWW.example." {
		t.Errorf("got answer %v", m)
	}
	if m := query("udp", address, newQuery("long.example.", dns.TypeTXT)); m == nil || !m.Truncated || len(m.Answer) != 0 {
		t.Errorf("got answer %v", m)
	}
	if m := query("tcp", address, newQuery("long.example.", dns.TypeTXT)); m == nil || m.Truncated || len(m.Answer) != 1 {
		t.Errorf("got answer %v", m)
	}
	if m := query("udp", address, newQuery("anything.test.", dns.TypeAAAA)); m == nil || len(m.Answer) != 1 || m.Answer[0].(*dns.AAAA).AAAA.String() != "2001:db8::66" {
		t.Errorf("got answer %v", m)
	}
	wanted := []string{"WWW.example. A NOERROR", "long.example. TXT NOERROR", "long.example. TXT NOERROR", "anything.test. AAAA NOERROR"}
	eventually(t, "every query is a record", func() bool {
		text, _ := os.ReadFile(file)
		left := strings.Join(wanted, "\n") + "\n"
		for line := range strings.Lines(string(text)) {
			var r struct{ Name, Type, Rcode string }
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				return false
			}
			left = strings.Replace(left, r.Name+" "+r.Type+" "+r.Rcode+"\n", "", 1)
		}
		return left == ""
	})
	total := p.total()
	if total.Received != 3 || total.Delivered != 3 || total.Replied != 3 {
		t.Errorf("got %+v, want 3 datagrams: queries over TCP do not count", total)
	}
	metrics := p.metrics()
	for _, line := range []string{
		`udpshard_dns_queries_total{listener="dns",type="TXT"} 2`,
		`udpshard_dns_queries_total{listener="dns",type="other"} 0`,
		`udpshard_dns_responses_total{listener="dns",rcode="NOERROR"} 4`,
		`udpshard_dns_tcp_connections_total{listener="dns",outcome="accepted"} 1`,
		`udpshard_dns_tcp_connections_total{listener="dns",outcome="evicted"} 0`,
	} {
		if !strings.Contains(metrics, line+"\n") {
			t.Errorf("%s is missing in the metrics", line)
		}
	}

	write("www A 192.0.2.81\n")
	p.signal(syscall.SIGHUP)
	eventually(t, "the new zone is in force", func() bool {
		m := query("tcp", address, newQuery("www.example.", dns.TypeA))
		return m != nil && len(m.Answer) == 1 && m.Answer[0].(*dns.A).A.String() == "192.0.2.81"
	})
	p.waitForLog(`"zone":"example.","serial":1,"records":4,"file":"` + zone + `","time"`)
	p.wantStop()
}

// A DNS listener without zones refuses each query, and closes TCP connections from addresses
// outside --allow.
func TestDNSWithoutZones(t *testing.T) {
	address := freePort(t)
	p := startServe(t, asNobody, "--listen", address, "--protocol", "dns", "--output", "discard", "--allow", "127.0.0.1")
	for _, network := range []string{"udp", "tcp"} {
		if m := query(network, address, newQuery("www.example.", dns.TypeA)); m == nil || m.Rcode != dns.RcodeRefused {
			t.Errorf("%s: got answer %v, want REFUSED", network, m)
		}
	}
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	conn, err := d.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	if n, err := conn.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
		t.Errorf("an address outside --allow got %d bytes, %v, want a closed connection", n, err)
	}
	open, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	eventually(t, "connections are counted", func() bool {
		metrics := p.metrics()
		return strings.Contains(metrics, `udpshard_dns_tcp_connections_total{listener="dns",outcome="accepted"} 2`+"\n") &&
			strings.Contains(metrics, `udpshard_dns_tcp_connections_total{listener="dns",outcome="not_admitted"} 1`+"\n") &&
			strings.Contains(metrics, `udpshard_dns_tcp_connections_open{listener="dns"} 1`+"\n")
	})
	p.terminate()
}

// During three upgrades, each UDP query is answered, each TCP query is answered at the second
// attempt at the latest, DNS cookies stay valid, and counters continue.
func TestDNSUpgrade(t *testing.T) {
	dir, address := publicDir(t), freePort(t)
	args := takeoverArgs(dir, address, "--protocol", "dns", "--sinkhole", "192.0.2.1", "--output", "discard")
	p := startServe(t, asNobody, args...)
	withCookie := func(cookie string) *dns.Msg {
		m := newQuery("www.example.", dns.TypeA)
		m.SetEdns0(1232, false)
		m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: cookie}}
		return m
	}
	first := query("udp", address, withCookie("0102030405060708"))
	if first == nil {
		t.Fatal("no answer")
	}
	cookie := first.IsEdns0().Option[0].(*dns.EDNS0_COOKIE).Cookie
	asked, tried, answered, stop, done := 0, 0, 0, make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			asked++
			if m := query("udp", address, withCookie(cookie)); m == nil || len(m.Answer) != 1 {
				t.Errorf("question %d: %v", asked, m)
			}
			// The predecessor may end with a connection that it has accepted.
			for retry := 0; ; retry++ {
				tried++
				if query("tcp", address, newQuery("www.example.", dns.TypeA)) != nil {
					answered++
					break
				}
				if retry == 1 {
					t.Errorf("question %d over TCP: got no answer in two attempts", asked)
					break
				}
			}
		}
	}()
	for range 3 {
		next := p.upgrade(args...)
		p.wantExit(cli.ExitDone)
		p = next
	}
	close(stop)
	<-done
	if m := query("tcp", address, newQuery("www.example.", dns.TypeA)); m == nil || len(m.Answer) != 1 {
		t.Errorf("got answer %v", m)
	}
	if n := metricValue(t, p.metrics(), `udpshard_dns_queries_total{listener="dns",type="A"}`); n < 1+asked+answered+1 || n > 1+asked+tried+1 {
		t.Errorf("got %d counted queries of four processes, sent %d over UDP and %d over TCP, with %d answers over TCP", n, asked+1, tried+1, answered+1)
	}
	if n := metricValue(t, p.metrics(), `udpshard_dns_tcp_connections_total{listener="dns",outcome="accepted"}`); n < asked/2 {
		t.Errorf("got %d counted connections of four processes, want at least half of %d", n, asked)
	}
	p.wantStop()
}

// askCookie returns the cookie of the server for a client's cookie, and whether that is good: the
// query has no question (RFC 7873 5.4).
func askCookie(t *testing.T, address, cookie string) (given string, good bool) {
	t.Helper()
	m := new(dns.Msg)
	m.Id = dns.Id()
	m.SetEdns0(1232, false)
	m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: cookie}}
	m = query("udp", address, m)
	if m == nil || m.IsEdns0() == nil || len(m.IsEdns0().Option) != 1 {
		t.Fatalf("cookie %s: answer %v", cookie, m)
	}
	return m.IsEdns0().Option[0].(*dns.EDNS0_COOKIE).Cookie, m.Rcode == dns.RcodeSuccess
}

// The secrets of cookies outlive a restart in the state folder. They are not on the command line, in
// the log, the status or the metrics.
func TestDNSCookiesOutliveRestart(t *testing.T) {
	state, address := t.TempDir(), freePort(t)
	t.Setenv("STATE_DIRECTORY", state)
	args := []string{"--listen", address, "--protocol", "dns", "--output", "discard", "--log-level", "debug"}
	p := startServe(t, nil, args...)
	given, _ := askCookie(t, address, "0102030405060708")
	file := filepath.Join(state, "cookie-secrets")
	var saved struct{ Secret string }
	eventually(t, "the secrets are in the file", func() bool {
		data, err := os.ReadFile(file)
		return err == nil && json.Unmarshal(data, &saved) == nil && len(saved.Secret) == 32
	})
	body, _ := p.get("/api/v1/status")
	if strings.Contains(p.logs.String()+p.metrics()+body, saved.Secret) {
		t.Error("the secret is in the log, the metrics or the status")
	}
	p.wantStop()
	p = startServe(t, nil, args...)
	if _, good := askCookie(t, address, given); !good {
		t.Error("the cookie is not accepted after a restart")
	}
	p.wantStop()
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	p = startServe(t, nil, args...)
	if _, good := askCookie(t, address, given); good {
		t.Error("the cookie is accepted without its secret")
	}
	p.wantStop()
}

// Two servers with one file of secrets accept each other's cookies. SIGHUP reads the file again.
func TestDNSCookieSecretFile(t *testing.T) {
	dir := publicDir(t)
	file, first, second := filepath.Join(dir, "secrets"), freePort(t), freePort(t)
	const old, next = "e5e973e5a6b2a43f48e7dc849e37bfcf\n", "445536bcd2513298075a5d379663c962\n"
	writeFile(t, file, old)
	start := func(address string) *process {
		return startServe(t, asNobody, "--listen", address, "--protocol", "dns", "--output", "discard", "--cookie-secret-file", file)
	}
	a, b := start(first), start(second)
	given, _ := askCookie(t, first, "0102030405060708")
	if _, good := askCookie(t, second, given); !good {
		t.Error("the other server does not accept the cookie")
	}
	writeFile(t, file, next+old)
	a.signal(syscall.SIGHUP)
	var renewed string
	eventually(t, "the new secret makes cookies", func() bool {
		got, good := askCookie(t, first, given)
		if !good {
			t.Fatal("the second secret is not accepted")
		}
		renewed = got
		return got != given
	})
	if _, good := askCookie(t, second, renewed); good {
		t.Error("the other server accepts the secret before its own reload")
	}
	writeFile(t, file, "no secret\n")
	a.signal(syscall.SIGHUP)
	a.waitForLog(`"message":"reload refused`)
	if _, good := askCookie(t, first, renewed); !good {
		t.Error("a bad file has changed the secrets")
	}
	a.wantStop()
	b.wantStop()
}

// The active process has reloaded a zone and is stopped: its standby takes over, answers over UDP
// and TCP, and has the reloaded zone.
func TestDNSStandbyTakesOver(t *testing.T) {
	dir, address := publicDir(t), freePort(t)
	zone := filepath.Join(dir, "example.zone")
	write := func(last string) {
		t.Helper()
		text := "$ORIGIN example.\n$TTL 60\n@ SOA ns1 host 1 7200 3600 86400 300\n@ NS ns1\nns1 A 192.0.2.1\nwww A 192.0.2." + last + "\n"
		writeFile(t, zone, text)
	}
	write("80")
	args := takeoverArgs(dir, address, "--protocol", "dns", "--zone", zone, "--rrl", "off", "--output", "discard")
	p := startServe(t, asNobody, args...)
	standby := p.startStandby(args...)
	answer := func(network string) string {
		m := query(network, address, newQuery("www.example.", dns.TypeA))
		if m == nil || len(m.Answer) != 1 {
			return ""
		}
		return m.Answer[0].(*dns.A).A.String()
	}
	write("81")
	p.signal(syscall.SIGHUP)
	eventually(t, "the new zone is in force", func() bool { return answer("udp") == "192.0.2.81" })
	p.sigstop()
	eventually(t, "the standby takes over", func() bool { answer("udp"); return standby.hasTakenOver() })
	eventually(t, "the new zone is in force again", func() bool { return answer("udp") == "192.0.2.81" })
	for i := range 20 {
		if got := answer("tcp"); got != "192.0.2.81" {
			t.Errorf("question %d over TCP: got %q, want 192.0.2.81", i, got)
		}
	}
	p.signal(syscall.SIGCONT)
	p.wantExit(cli.ExitReplaced)
	standby.wantStop()
}

// SIGTERM comes while a large zone is read, at a reload and at a start: the process ends without
// waiting for the zone.
func TestDNSStopsWhileZoneLoads(t *testing.T) {
	dir, address := publicDir(t), freePort(t)
	zone := filepath.Join(dir, "example.zone")
	small := "$ORIGIN example.\n$TTL 60\n@ SOA ns1 host 1 7200 3600 86400 300\n@ NS ns1\nns1 A 192.0.2.1\n"
	large := new(strings.Builder)
	large.WriteString(small)
	for i := range 300_000 {
		fmt.Fprintf(large, "h%d A 192.0.2.1\n", i)
	}
	write := func(text string) {
		t.Helper()
		writeFile(t, zone, text)
	}
	write(small)
	p := startServe(t, asNobody, "--listen", address, "--protocol", "dns", "--zone", zone, "--output", "discard")
	write(large.String())
	p.signal(syscall.SIGHUP)
	p.waitForLog("reload started")
	if code := p.terminate(); code != 0 || p.hasLogged("reload finished") {
		t.Errorf("got exit code %d, want 0 before the reload finishes", code)
	}

	p = launch(t, asNobody, "serve", "--http", freePort(t), "--log-format", "json", "--listen", address, "--protocol", "dns", "--zone", zone, "--output", "discard", "--takeover", filepath.Join(dir, "takeover.sock"))
	eventually(t, "the process reads the zone", func() bool { return p.bytesRead() > large.Len()/10 })
	eventually(t, "the second signal arrives", func() bool {
		p.signal(syscall.SIGTERM)
		return p.hasLogged("signal while stopping")
	})
	if code := p.wait(); code != cli.ExitFailed || p.hasLogged("listening") {
		t.Errorf("got exit code %d, want %d before the process listens", code, cli.ExitFailed)
	}
}

// A reload frees the zones before: three reloads need no more memory than the first load.
func TestReloadFreesZones(t *testing.T) {
	zone := filepath.Join(publicDir(t), "large.zone")
	writeFile(t, zone, "$ORIGIN example.\n$TTL 60\n@ SOA ns1 host 1 7200 3600 86400 300\n@ NS ns1\n$GENERATE 1-400000 host-$ A 192.0.2.1\n")
	p := startServe(t, asNobody, "--listen", freePort(t), "--protocol", "dns", "--zone", zone, "--output", "discard")
	memory := func() (kilobytes int) {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid()))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(status)) {
			fmt.Sscanf(line, "RssAnon: %d", &kilobytes)
		}
		return kilobytes
	}
	const zoneSize = 40_000 // kB, of the answers of 400,000 names
	least := memory()
	eventually(t, "the memory of the load is free", func() bool {
		now := memory()
		settled := now >= least-1000
		least = min(least, now)
		return settled
	})
	for i := range 3 {
		p.signal(syscall.SIGHUP)
		eventually(t, "the reload is finished", func() bool { return strings.Count(p.logs.String(), "reload finished") == i+1 })
		eventually(t, "the memory of the zones before is free", func() bool { return memory() < least+zoneSize/2 })
	}
	p.wantStop()
}
