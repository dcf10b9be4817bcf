package dnsservice

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	miekg "github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/udpshard/udpshard/metrics"
	"github.com/udpshard/udpshard/packet/dns"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memorySink collects records, and counts flushed records as delivered.
type memorySink struct {
	mu       sync.Mutex
	buffer   []byte
	waiting  uint64
	flushed  int // bytes
	counters *metrics.Shard
}

func (m *memorySink) Buffer() []byte { return m.buffer }

func (m *memorySink) Commit(buffer []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.buffer, m.waiting = buffer, m.waiting+1
}

func (m *memorySink) Flush() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counters.Delivered.Add(m.waiting)
	m.waiting, m.flushed = 0, len(m.buffer)
}

// startService starts a Service for the zone example. at a socket; nil means a free port.
func startService(t *testing.T, socket *net.TCPListener) (*Service, *memorySink) {
	t.Helper()
	file := filepath.FromSlash("../../cmd/udpshard/testdata/dns/example.zone")
	zones := dns.Load([]dns.Source{{File: file}}, nil)
	if failed := zones.Failed(); len(failed) > 0 {
		t.Fatal(failed[0])
	}
	s := New(zones, dns.Options{Listener: "a", Records: true})
	sink := &memorySink{counters: metrics.NewShard(0, 0)}
	s.SetSink(sink, sink.counters)
	if socket == nil {
		var err error
		if socket, err = Listen("127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Start(socket, func(netip.Addr) bool { return true }); err != nil {
		t.Fatal(err)
	}
	return s, sink
}

// query sends a query over TCP to the socket of a Service.
func query(s *Service, name string) error {
	client := miekg.Client{Net: "tcp", Timeout: 10 * time.Second}
	m := new(miekg.Msg).SetQuestion(name, miekg.TypeA)
	reply, _, err := client.Exchange(m, s.socket.Addr().String())
	if err == nil && reply.Rcode != miekg.RcodeSuccess {
		err = fmt.Errorf("rcode %d", reply.Rcode)
	}
	return err
}

// Queries over TCP are answered, counted and recorded. A query during a pause waits for Resume.
func TestQueriesOverTCP(t *testing.T) {
	s, sink := startService(t, nil)
	defer s.Close()
	if err := query(s, "a.example."); err != nil {
		t.Fatal(err)
	}
	s.Pause()
	if n := s.InFlight(); n != 0 {
		t.Errorf("%d records in flight after Pause", n)
	}
	sink.mu.Lock()
	if records := string(sink.buffer[:sink.flushed]); strings.Count(records, `"a.example`) != 1 {
		t.Errorf("records: %s", records)
	}
	sink.mu.Unlock()
	answered := make(chan error, 1)
	go func() { answered <- query(s, "a.example.") }()
	select {
	case err := <-answered:
		t.Errorf("answered during a pause: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	for range 2 { // the second call changes nothing
		if err := s.Resume(); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-answered; err != nil {
		t.Error(err)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(Collector(func() []*Service { return []*Service{s} }))
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != "udpshard_dns_queries_total" {
			continue
		}
		for _, m := range family.Metric {
			if text := m.String(); strings.Contains(text, `value:"A"`) && m.Counter.GetValue() != 2 {
				t.Errorf("%s", text)
			}
		}
	}
}

// The next process continues with a duplicate of the socket: queries wait between Close and Start.
func TestInheritedSocket(t *testing.T) {
	s, _ := startService(t, nil)
	file, err := s.Stream()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	s.Close()
	inherited, err := Inherit(file)
	if err != nil {
		t.Fatal(err)
	}
	answered := make(chan error, 1)
	go func() { answered <- query(s, "a.example.") }()
	next, _ := startService(t, inherited)
	defer next.Close()
	if err := <-answered; err != nil {
		t.Error(err)
	}
}

// Inherit refuses a file that is no TCP socket. Without a file, and before Start, the result is
// nil.
func TestWithoutSocket(t *testing.T) {
	if socket, err := Inherit(nil); socket != nil || err != nil {
		t.Errorf("%v, %v", socket, err)
	}
	unix, err := net.Listen("unix", filepath.Join(t.TempDir(), "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close()
	file, err := unix.(*net.UnixListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if socket, err := Inherit(file); socket != nil || err == nil {
		t.Errorf("a unix socket: %v, %v", socket, err)
	}
	s := New(new(dns.Zones), dns.Options{})
	defer s.Close()
	if stream, err := s.Stream(); stream != nil || err != nil {
		t.Errorf("before Start: %v, %v", stream, err)
	}
	if err := s.Resume(); err != nil || s.InFlight() != 0 {
		t.Errorf("before Start: %v, %d records in flight", err, s.InFlight())
	}
	if stream, err := (*Service)(nil).Stream(); stream != nil || err != nil {
		t.Errorf("nil: %v, %v", stream, err)
	}
}

// Up to maxLoggedZones zones have log lines of their own.
func TestLogZones(t *testing.T) {
	s, _ := startService(t, nil)
	defer s.Close()
	var logs bytes.Buffer
	s.LogZones(zerolog.New(&logs))
	text := logs.String()
	if strings.Count(text, "zone in force") != 1 || !strings.Contains(text, `"zone":"example."`) {
		t.Error(text)
	}
}

// A zone that fails to load is in the log, in the metrics and in the status until it is loaded.
func TestFailedZones(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "a.zone")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const good = "a. 60 SOA a. a. 7 2 3 4 5\na. 60 NS a.\n"
	write(good)
	sources := []dns.Source{{File: file}, {Origin: "none.", File: filepath.Join(folder, "none.zone")}}
	s := New(dns.Load(sources[:1], nil), dns.Options{Listener: "b"})
	defer s.Close()
	metric := func() string {
		registry := prometheus.NewRegistry()
		registry.MustRegister(Collector(func() []*Service { return []*Service{s} }))
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, family := range families {
			if family.GetName() == "udpshard_dns_zone_failed" {
				return fmt.Sprint(family.Metric)
			}
		}
		return ""
	}
	if got := metric(); got != "" || s.FailedZones() != nil {
		t.Errorf("without a failure: %s, %v", got, s.FailedZones())
	}
	write("a. 60 SOA\n")
	s.SetZones(dns.Load(sources, s.Zones()))
	var logs bytes.Buffer
	s.LogZones(zerolog.New(&logs))
	for _, want := range []string{`"zone":"a.","serial":7,"effect":"the previous version of the zone stays in force"`, `"effect":"the zone is not served"`} {
		if !strings.Contains(logs.String(), want) {
			t.Errorf("%s is not in the log:\n%s", want, logs.String())
		}
	}
	failed := s.FailedZones()
	if len(failed) != 2 || failed[0].Zone != "a." || failed[0].Serial != 7 || failed[1].Zone != "" || !strings.HasPrefix(failed[0].Error, file+":1: ") {
		t.Errorf("%+v", failed)
	}
	if got := metric(); strings.Count(got, "value:1") != 2 || !strings.Contains(got, file) {
		t.Errorf("metrics: %s", got)
	}
	write(good)
	s.SetZones(dns.Load(sources[:1], s.Zones()))
	if got := metric(); got != "" {
		t.Errorf("after the repair: %s", got)
	}
}
