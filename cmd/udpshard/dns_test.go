package main

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// asking asks a name server once, over udp or tcp; nil is no answer.
func asking(network, address string, m *dns.Msg) *dns.Msg {
	c := dns.Client{Net: network, Timeout: 5 * time.Second, UDPSize: dns.MaxMsgSize}
	answer, _, err := c.Exchange(m, address)
	if err != nil {
		return nil
	}
	return answer
}

func askFor(name string, rtype uint16) *dns.Msg { return new(dns.Msg).SetQuestion(name, rtype) }

// One address answers over UDP and TCP, with a record of each query, counts by
// type and response code, and zones that can be replaced.
func TestADNSEndpoint(t *testing.T) {
	dir, address := publicDir(t), freePort(t)
	zone, file := filepath.Join(dir, "example.zone"), filepath.Join(dir, "queries.json")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(zone, []byte("$ORIGIN example.\n$TTL 60\n@ SOA ns1 host 1 7200 3600 86400 300\n@ NS ns1\nns1 A 192.0.2.1\n"+text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("www A 192.0.2.80\nlong TXT " + strings.Repeat(`"`+strings.Repeat("x", 200)+`" `, 10) + "\n")
	p := serving(t, ordinary, "--listen", address, "--protocol", "dns", "--zone", zone, "--sinkhole", "192.0.2.66,2001:db8::66", "--output", "file:"+file)

	if m := asking("udp", address, askFor("WWW.example.", dns.TypeA)); m == nil || len(m.Answer) != 1 || !m.Authoritative || m.Question[0].Name != "WWW.example." {
		t.Errorf("%v", m)
	}
	if m := asking("udp", address, askFor("long.example.", dns.TypeTXT)); m == nil || !m.Truncated || len(m.Answer) != 0 {
		t.Errorf("%v", m)
	}
	if m := asking("tcp", address, askFor("long.example.", dns.TypeTXT)); m == nil || m.Truncated || len(m.Answer) != 1 {
		t.Errorf("%v", m)
	}
	if m := asking("udp", address, askFor("anything.test.", dns.TypeAAAA)); m == nil || len(m.Answer) != 1 || m.Answer[0].(*dns.AAAA).AAAA.String() != "2001:db8::66" {
		t.Errorf("%v", m)
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
		t.Errorf("what came over TCP is no datagram: %+v", total)
	}
	metrics := getText(t, "http://"+p.http+"/metrics")
	for _, line := range []string{
		`udpshard_dns_queries_total{listener="dns",type="TXT"} 2`,
		`udpshard_dns_queries_total{listener="dns",type="other"} 0`,
		`udpshard_dns_responses_total{listener="dns",rcode="NOERROR"} 4`,
	} {
		if !strings.Contains(metrics, line+"\n") {
			t.Errorf("no %s in the metrics", line)
		}
	}

	write("www A 192.0.2.81\n")
	p.cmd.Process.Signal(syscall.SIGHUP)
	eventually(t, "the new zone is in force", func() bool {
		m := asking("tcp", address, askFor("www.example.", dns.TypeA))
		return m != nil && len(m.Answer) == 1 && m.Answer[0].(*dns.A).A.String() == "192.0.2.81"
	})
	if code := p.terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// Without a zone everything is refused, and only those who may ask are
// answered, over TCP too.
func TestADNSEndpointWithoutZones(t *testing.T) {
	address := freePort(t)
	p := serving(t, ordinary, "--listen", address, "--protocol", "dns", "--output", "discard", "--allow", "127.0.0.1")
	for _, network := range []string{"udp", "tcp"} {
		if m := asking(network, address, askFor("www.example.", dns.TypeA)); m == nil || m.Rcode != dns.RcodeRefused {
			t.Errorf("%s: %v", network, m)
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
		t.Errorf("who is not allowed reads %d bytes, %v", n, err)
	}
	p.terminate()
}

// counted is the value of a series of whole numbers.
func counted(t *testing.T, metrics, series string) int {
	t.Helper()
	for line := range strings.Lines(metrics) {
		if text, ok := strings.CutPrefix(line, series+" "); ok {
			n, err := strconv.Atoi(strings.TrimSpace(text))
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("no %s", series)
	return 0
}

// Across an upgrade nobody waits, TCP is answered on, a client's cookie stays
// good, and counters go on.
func TestADNSEndpointIsUpgraded(t *testing.T) {
	dir, address := publicDir(t), freePort(t)
	args := []string{"--listen", address, "--protocol", "dns", "--sinkhole", "192.0.2.1", "--output", "discard", "--takeover", filepath.Join(dir, "takeover.sock")}
	p := serving(t, ordinary, args...)
	cookied := func(cookie string) *dns.Msg {
		m := askFor("www.example.", dns.TypeA)
		m.SetEdns0(1232, false)
		m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: cookie}}
		return m
	}
	first := asking("udp", address, cookied("0102030405060708"))
	if first == nil {
		t.Fatal("no answer")
	}
	given := first.IsEdns0().Option[0].(*dns.EDNS0_COOKIE).Cookie
	asked, stop, done := 0, make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			asked++
			if m := asking("udp", address, cookied(given)); m == nil || len(m.Answer) != 1 {
				t.Errorf("question %d: %v", asked, m)
			}
			// A connection that the one before has not accepted yet ends with it.
			m := asking("tcp", address, askFor("www.example.", dns.TypeA))
			if m == nil {
				m = asking("tcp", address, askFor("www.example.", dns.TypeA))
			}
			if m == nil {
				t.Errorf("question %d over TCP is not answered, also when it is asked again", asked)
			}
		}
	}()
	for range 3 {
		next := p.succeeding(args...)
		if code := p.wait(); code != 0 {
			t.Errorf("the one before ended with %d", code)
		}
		p = next
	}
	close(stop)
	<-done
	if m := asking("tcp", address, askFor("www.example.", dns.TypeA)); m == nil || len(m.Answer) != 1 {
		t.Errorf("%v", m)
	}
	// What is asked over TCP just when another process takes over is not counted.
	if n := counted(t, getText(t, "http://"+p.http+"/metrics"), `udpshard_dns_queries_total{listener="dns",type="A"}`); n < 1+asked+1 || n > 1+2*asked+1 {
		t.Errorf("%d questions are counted, of %d over UDP and as many over TCP, in four processes", n, asked)
	}
	if code := p.terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func getText(t *testing.T, url string) string {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
