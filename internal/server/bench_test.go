package server

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"runtime"
	"testing"

	miekg "github.com/miekg/dns"
	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/config"
	"github.com/udpshard/udpshard/internal/output"
	"github.com/udpshard/udpshard/internal/preflight"
	"github.com/udpshard/udpshard/metrics"
	"github.com/udpshard/udpshard/packet"
	"github.com/udpshard/udpshard/packet/dns"
	"github.com/udpshard/udpshard/packet/dns/cookie"
	"github.com/udpshard/udpshard/shard"
)

// rig is a listener in this process, with handler and output as in serve, and a socket that sends
// to the listener without allocating.
type rig struct {
	group    *shard.Group
	outputs  outputs
	socket   int
	messages [][]byte
	sent     uint64
	stop     func()
}

func newRig(tb testing.TB, change func(*config.Listener)) *rig {
	tb.Helper()
	l := config.NewListener()
	l.Name, l.Address, l.Shards = "bench", "127.0.0.1:0", 1
	change(l)
	r := &rig{outputs: outputs{Set: output.NewSet(func(e output.Event) {
		if e.Err != nil {
			tb.Error(e)
		}
	})}}
	engine := l.Engine()
	engine.Sink = func(shard int, counters *metrics.Shard) (packet.Sink, error) {
		return r.outputs.openSink(l, shard, counters)
	}
	if l.Protocol == "dns" {
		zones, err := preflight.LoadListenerZones(l, nil)
		if err != nil {
			tb.Fatal(err)
		}
		o := dns.Options{Listener: l.Name, Records: true, Cookies: cookie.NewKeys(cookie.NewSecret())}
		engine.Handler = dns.NewServer(zones, o).Handler
	}
	var err error
	if r.group, err = shard.Listen(engine); err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.group.Run(ctx) }()
	r.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			tb.Error(err)
		}
		if err := r.outputs.Close(context.Background()); err != nil {
			tb.Error(err)
		}
		unix.Close(r.socket)
	}
	if r.socket, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
		tb.Fatal(err)
	}
	at := r.group.Addr()
	to := &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}
	if err := unix.Connect(r.socket, to); err != nil {
		tb.Fatal(err)
	}
	if l.Protocol == "dns" {
		r.messages = dnsQueries(tb)
		return r
	}
	for i := range 64 {
		r.messages = append(r.messages, fmt.Appendf(nil,
			"<%d>1 2026-11-20T10:00:%02d.%06dZ host%d.example.net app%d %d ID%d "+
				"[origin@32473 ip=\"192.0.2.%d\"] request %d took %d ms",
			8*(i%24)+i%8, i%60, i*15_625, i, i%7, 1000+i, i%10, i, i*77, i*i))
	}
	return r
}

// dnsQueries returns queries of many kinds for the zone of testdata/dns, with and without EDNS and
// cookies.
func dnsQueries(tb testing.TB) (queries [][]byte) {
	names := []string{"a", "alias1", "alias3", "child", "www.child", "missing", "any.wild",
		"host.dname", "txt1232", "sixty", "ent", "outside.test"}
	for i, name := range names {
		for _, rtype := range []uint16{miekg.TypeA, miekg.TypeMX, miekg.TypeTXT, miekg.TypeANY} {
			m := new(miekg.Msg).SetQuestion(name+".example.", rtype)
			if i%2 == 0 {
				m.SetEdns0(1232, i%4 == 0)
				opt := m.IsEdns0()
				cookie := &miekg.EDNS0_COOKIE{Code: miekg.EDNS0COOKIE, Cookie: "0102030405060708"}
				opt.Option = append(opt.Option, cookie)
			}
			text, err := m.Pack()
			if err != nil {
				tb.Fatal(err)
			}
			queries = append(queries, text)
		}
	}
	return queries
}

// send sends count messages. At most 64 are in the queue, which a small receive buffer holds, so
// the kernel drops no message.
func (r *rig) send(tb testing.TB, count int) {
	counters := r.group.Listener().Shards[0]
	for range count {
		for r.sent-counters.Received.Load() > 64 {
			runtime.Gosched()
		}
		if _, err := unix.Write(r.socket, r.messages[r.sent%uint64(len(r.messages))]); err != nil {
			tb.Fatal(err)
		}
		r.sent++
	}
	for counters.Delivered.Load()+counters.Handled.Load()+counters.OutputLost.Load() < r.sent {
		runtime.Gosched()
	}
}

var rigs = map[string]func(tb testing.TB) func(*config.Listener){
	"discard": func(testing.TB) func(*config.Listener) {
		return func(l *config.Listener) { l.Protocol = "discard" }
	},
	"syslog-to-file": func(tb testing.TB) func(*config.Listener) {
		file := filepath.Join(tb.TempDir(), "records.json")
		return func(l *config.Listener) { l.Output = "file:" + file }
	},
	"dns-to-file": func(tb testing.TB) func(*config.Listener) {
		file := filepath.Join(tb.TempDir(), "queries.json")
		return func(l *config.Listener) {
			l.Protocol, l.Output = "dns", "file:"+file
			l.Zones = []dns.Source{{File: filepath.FromSlash("../../cmd/udpshard/testdata/dns/example.zone")}}
		}
	},
}

// BenchmarkServe measures the path of a datagram from the socket of the sender to the output, as in
// serve: ns/op includes sending the datagram.
func BenchmarkServe(b *testing.B) {
	for name, change := range rigs {
		b.Run(name, func(b *testing.B) {
			r := newRig(b, change(b))
			defer r.stop()
			r.send(b, 10_000)
			b.ReportAllocs()
			b.ResetTimer()
			r.send(b, b.N)
		})
	}
}

// The number of allocations does not grow with the number of datagrams.
func TestNoAllocationPerDatagram(t *testing.T) {
	for name, change := range rigs {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, change(t))
			defer r.stop()
			r.send(t, 10_000)
			const count, most = 20_000, 20_000 / 100
			n := uint64(math.MaxUint64)
			for range 5 { // background goroutines allocate in proportion to the time: less in a quick run
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				r.send(t, count)
				runtime.ReadMemStats(&after)
				if n = min(n, after.Mallocs-before.Mallocs); n <= most {
					return
				}
			}
			t.Errorf("%d allocations for %d datagrams", n, count)
		})
	}
}
