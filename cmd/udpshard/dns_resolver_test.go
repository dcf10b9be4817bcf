package main

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// Unbound resolves names through udpshard. The same checks with NSD and Knot verify the test.
func TestResolverUsesNameServer(t *testing.T) {
	for _, server := range []struct {
		name  string
		start func(*testing.T) string
	}{{"udpshard", startUdpshardDNS}, {"NSD", startNSD}, {"Knot", startKnot}} {
		t.Run(server.name, func(t *testing.T) {
			requireProgram(t, "unbound", "unbound")
			checkResolver(t, startUnbound(t, server.start(t)))
		})
	}
}

// startUnbound returns the address of an Unbound that asks a single name server, and reaches no
// address beyond loopback. Unbound mixes the case of names against forgeries, asks for minimal
// names, and accepts 1232 bytes over UDP.
func startUnbound(t *testing.T, server string) string {
	t.Helper()
	unbound := requireProgram(t, "unbound", "unbound")
	address := freePort(t)
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	conf := writeFile(t, filepath.Join(dir, "unbound.conf"), fmt.Sprintf(`server:
    interface: %s
    port: %s
    username: ""
    chroot: ""
    directory: %q
    pidfile: ""
    use-syslog: no
    do-daemonize: no
    do-ip6: no
    num-threads: 1
    module-config: "iterator"
    qname-minimisation: yes
    use-caps-for-id: yes
    edns-buffer-size: 1232
    local-zone: test. transparent
    do-not-query-localhost: no
    do-not-query-address: 192.0.2.0/24
    do-not-query-address: 198.51.100.0/24
    do-not-query-address: 203.0.113.0/24
    do-not-query-address: 2001:db8::/32
remote-control:
    control-enable: no
stub-zone:
    name: "example."
    stub-addr: %s
stub-zone:
    name: "."
    stub-addr: %[4]s
`, host, port, dir, strings.Replace(server, ":", "@", 1)))
	startDaemon(t, unbound, "-d", "-p", "-c", conf)
	waitForAnswers(t, address)
	return address
}

func checkResolver(t *testing.T, address string) {
	big := func(name string, least int) func(*dns.Msg) error {
		return func(m *dns.Msg) error {
			if len(m.Answer) != 1 || m.Answer[0].Header().Name != name || dns.Len(m.Answer[0]) < least {
				return fmt.Errorf("want one record of at least %d bytes", least)
			}
			return nil
		}
	}
	records := func(want string) func(*dns.Msg) error {
		return func(m *dns.Msg) error {
			var got []string
			for _, rr := range m.Answer {
				switch rr := rr.(type) {
				case *dns.A:
					got = append(got, rr.A.String())
				case *dns.CNAME:
					got = append(got, strings.ToLower(rr.Target))
				case *dns.DNAME:
					got = append(got, "DNAME "+strings.ToLower(rr.Target))
				default:
					got = append(got, rr.String())
				}
			}
			if text := strings.Join(got, " "); text != want {
				return fmt.Errorf("got %q, want %q", text, want)
			}
			return nil
		}
	}
	negative := func(most uint32) func(*dns.Msg) error {
		return func(m *dns.Msg) error {
			if len(m.Answer) > 0 || len(m.Ns) != 1 || m.Ns[0].Header().Rrtype != dns.TypeSOA || m.Ns[0].Header().Ttl > most {
				return fmt.Errorf("want a SOA alone with a TTL of at most %d", most)
			}
			return nil
		}
	}
	for _, tt := range []struct {
		name  string
		kind  uint16
		rcode int
		check func(*dns.Msg) error
	}{
		{"a.example.", dns.TypeA, dns.RcodeSuccess, records("192.0.2.10")},
		{"upper.example.", dns.TypeA, dns.RcodeSuccess, records("192.0.2.61")},
		{"missing.example.", dns.TypeA, dns.RcodeNameError, negative(300)},
		{"x.ent.wild.example.", dns.TypeA, dns.RcodeNameError, negative(300)},
		{"a.example.", dns.TypeMX, dns.RcodeSuccess, negative(300)},
		{"ent.example.", dns.TypeA, dns.RcodeSuccess, negative(300)},
		{"sub.example.", dns.TypeTXT, dns.RcodeSuccess, negative(60)},
		{"any.wild.example.", dns.TypeA, dns.RcodeSuccess, records("192.0.2.40")},
		{"y.x.deep.wild.example.", dns.TypeA, dns.RcodeSuccess, records("192.0.2.41")},
		{"alias3.example.", dns.TypeA, dns.RcodeSuccess, records("alias2.example. alias1.example. a.example. 192.0.2.10")},
		{"x.cwild.example.", dns.TypeA, dns.RcodeSuccess, records("a.example. 192.0.2.10")},
		{"tomissing.example.", dns.TypeA, dns.RcodeNameError, records("missing.example.")},
		{"host.dname.example.", dns.TypeA, dns.RcodeSuccess, records("DNAME target.example. host.target.example. 192.0.2.70")},
		// From a zone of the server to a second zone of the server.
		{"host.sub.example.", dns.TypeA, dns.RcodeSuccess, records("198.51.100.10")},
		{"tosub.example.", dns.TypeA, dns.RcodeSuccess, records("host.sub.example. 198.51.100.10")},
		{"up.sub.example.", dns.TypeA, dns.RcodeSuccess, records("a.example. 192.0.2.10")},
		{"back.sub.example.", dns.TypeA, dns.RcodeSuccess, records("tosub.example. host.sub.example. 198.51.100.10")},
		{"upmissing.sub.example.", dns.TypeA, dns.RcodeNameError, records("missing.example.")},
		// Too long for UDP.
		{"txt1232.example.", dns.TypeTXT, dns.RcodeSuccess, big("txt1232.example.", 1500)},
		{"txt4096.example.", dns.TypeTXT, dns.RcodeSuccess, big("txt4096.example.", 4400)},
		// To name servers that Unbound does not reach.
		{"www.child.example.", dns.TypeA, dns.RcodeServerFailure, nil},
		{"noglue.example.", dns.TypeA, dns.RcodeServerFailure, nil},
		{"outside.example.", dns.TypeA, dns.RcodeServerFailure, nil},
	} {
		t.Run(tt.name+dns.TypeToString[tt.kind], func(t *testing.T) {
			client := dns.Client{Net: "tcp", Timeout: 20 * time.Second}
			m, _, err := client.Exchange(new(dns.Msg).SetQuestion(tt.name, tt.kind), address)
			if err != nil {
				t.Fatal(err)
			}
			if m.Rcode != tt.rcode {
				t.Errorf("got %s, want %s", dns.RcodeToString[m.Rcode], dns.RcodeToString[tt.rcode])
			}
			if tt.check == nil {
				return
			}
			if err := tt.check(m); err != nil {
				t.Errorf("%v:\n%v", err, m)
			}
		})
	}
}
