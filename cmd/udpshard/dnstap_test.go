package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	dnstap "github.com/dnstap/golang-dnstap"
	"github.com/miekg/dns"
	"google.golang.org/protobuf/proto"

	"github.com/udpshard/udpshard/internal/cli"
)

// tapped are the dnstap messages by kind, as the reference decoder of dnstap has them.
type tapped map[string]int

// add counts a frame, after a check of what every message has.
func (c tapped) add(t *testing.T, frame []byte, address string) {
	t.Helper()
	var d dnstap.Dnstap
	if err := proto.Unmarshal(frame, &d); err != nil {
		t.Error(err)
		return
	}
	m, host := d.Message, net.JoinHostPort(net.IP(d.Message.ResponseAddress).String(), fmt.Sprint(d.Message.GetResponsePort()))
	name, _ := os.Hostname()
	if host != address || string(d.Identity) != name || len(d.Version) == 0 || m.GetQueryPort() == 0 || len(m.QueryAddress) != 4 {
		t.Errorf("%v", &d)
	}
	if asked := time.Unix(int64(m.GetQueryTimeSec()), int64(m.GetQueryTimeNsec())); time.Since(asked) > time.Hour || time.Until(asked) > time.Minute {
		t.Errorf("asked at %s", asked)
	}
	wire := m.QueryMessage
	if m.GetType() == dnstap.Message_AUTH_RESPONSE {
		wire = m.ResponseMessage
	}
	kind := "malformed"
	if parsed := new(dns.Msg); parsed.Unpack(wire) == nil && len(parsed.Question) > 0 {
		kind = parsed.Question[0].Name
	}
	c[fmt.Sprint(m.GetType(), " ", m.GetSocketProtocol(), " ", kind)]++
}

// readTap counts the messages of a file, as the reference reader reads it.
func (c tapped) readTap(t *testing.T, path, address string) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	r, err := dnstap.NewReader(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	for frame := make([]byte, 1<<17); ; {
		n, err := r.ReadFrame(frame)
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		c.add(t, frame[:n], address)
	}
}

// askTap asks over UDP and TCP, sends a message that must not be answered, and returns when the
// process has counted all of that.
func (c tapped) askTap(t *testing.T, p *process, address, name string) {
	t.Helper()
	before := p.total()
	for _, network := range []string{"udp", "tcp"} {
		if query(network, address, newQuery(name, dns.TypeA)) == nil {
			t.Errorf("%s: no answer over %s", name, network)
		}
	}
	conn, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("malformed")); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"AUTH_QUERY UDP ", "AUTH_RESPONSE UDP ", "AUTH_QUERY TCP ", "AUTH_RESPONSE TCP "} {
		c[kind+name]++
	}
	c["AUTH_QUERY UDP malformed"]++
	eventually(t, "both datagrams are delivered", func() bool {
		now := p.total()
		return now.Delivered == before.Delivered+2 && now.Unparsed == before.Unparsed+1
	})
	if now := p.total(); !ledgerBalances(now) || now.Dropped.Malformed > 0 {
		t.Errorf("the ledger does not balance: %+v", now)
	}
}

func wantTapped(t *testing.T, got, want tapped) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// A file of dnstap messages is read by the reference reader after an upgrade, after the file was
// renamed, and after a restart.
func TestDnstapFile(t *testing.T) {
	address, dir := freePort(t), publicDir(t)
	path, zone := filepath.Join(dir, "queries.dnstap"), filepath.Join(dir, "example.zone")
	writeFile(t, zone, "$ORIGIN example.\n$TTL 60\n@ SOA ns1 host 1 7200 3600 86400 300\n@ NS ns1\nns1 A 192.0.2.1\n")
	args := takeoverArgs(dir, address, "--protocol", "dns", "--zone", zone, "--format", "dnstap", "--output", "file:"+path)
	p := startServe(t, asNobody, args...)
	first, second := make(tapped), make(tapped)
	first.askTap(t, p, address, "a.example.")
	next := p.upgrade(args...)
	p.wantExit(cli.ExitDone)
	first.askTap(t, next, address, "b.example.")
	renamed := path + ".1"
	if err := os.Rename(path, renamed); err != nil {
		t.Fatal(err)
	}
	next.signal(syscall.SIGHUP)
	eventually(t, "a new file has the path", func() bool { _, err := os.Stat(path); return err == nil })
	second.askTap(t, next, address, "c.example.")
	next.wantStop()
	last := startServe(t, asNobody, args...)
	second.askTap(t, last, address, "d.example.")
	last.wantStop()
	for path, want := range map[string]tapped{path: second, renamed: first} {
		got := make(tapped)
		got.readTap(t, path, address)
		wantTapped(t, got, want)
	}
}

// Collectors at a unix socket and at a TCP socket get the messages by way of the spool, also those of
// a time in which the collector was away.
func TestDnstapTargets(t *testing.T) {
	for _, network := range []string{"unix", "tcp"} {
		t.Run(network, func(t *testing.T) {
			address, dir := freePort(t), publicDir(t)
			at := filepath.Join(dir, "dnstap.sock")
			if network == "tcp" {
				at = freePort(t)
			}
			p := startServe(t, nil, "--listen", address, "--protocol", "dns", "--spool", filepath.Join(dir, "spool"),
				"--format", "dnstap", "--to", "dnstap+"+network+"://"+at)
			got, want := make(tapped), make(tapped)
			want.askTap(t, p, address, "away.example.")
			l, err := net.Listen(network, at)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				got.collect(t, l, address)
			}()
			want.askTap(t, p, address, "here.example.")
			eventually(t, "everything is acknowledged", func() bool {
				o := p.status().Listeners[0].Outputs[0]
				return o.Waiting == 0 && o.Acknowledged == 6
			})
			p.wantStop()
			<-ended
			wantTapped(t, got, want)
		})
	}
}

// collect counts the messages of one connection up to the end of its stream.
func (c tapped) collect(t *testing.T, l net.Listener, address string) {
	conn, err := l.Accept()
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	r, err := dnstap.NewReader(conn, &dnstap.ReaderOptions{Bidirectional: true})
	if err != nil {
		t.Error(err)
		return
	}
	for frame := make([]byte, 1<<17); ; {
		n, err := r.ReadFrame(frame)
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Error(err)
			return
		}
		c.add(t, frame[:n], address)
	}
}
