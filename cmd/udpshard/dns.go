package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/dnstcp"
	"github.com/udpshard/udpshard/metrics"
	"github.com/udpshard/udpshard/packet"
	"github.com/udpshard/udpshard/packet/dns"
	"github.com/udpshard/udpshard/shard"
	"github.com/udpshard/udpshard/shard/steer"
)

// dnsService is what answers DNS for a listener, over UDP by its group, and
// over TCP at the same address.
type dnsService struct {
	*dns.Server
	listener *listener
	socket   *net.TCPListener // that listens, from listenStreams on
	streams  atomic.Pointer[dnstcp.Server]
	stop     chan struct{}
	ended    sync.Once

	mu      sync.Mutex
	sink    packet.Sink // of what came over TCP; nil: no records
	page    *metrics.Shard
	records uint64 // that were committed to it
}

// loadZones reads what a listener is to answer from.
func (l *listener) loadZones() (*dns.Zones, error) {
	zones, err := dns.LoadZones(l.zones...)
	debug.FreeOSMemory() // loading takes several times what is kept
	if err != nil {
		return nil, l.misfit("zone", err)
	}
	if len(l.sinkhole) > 0 {
		zones = zones.WithSinkhole(l.sinkhole)
	}
	return zones, nil
}

// mostTold is how many zones are told of one by one.
const mostTold = 20

// tellZones logs what is answered from.
func (s *server) tellZones(d *dnsService) {
	zones, records := d.Zones().List(), 0
	for _, z := range zones {
		records += z.Records
		if len(zones) <= mostTold {
			s.log.Info().Str("listener", d.listener.name).Str("zone", z.Origin).Uint32("serial", z.Serial).Int("records", z.Records).Str("file", z.File).Msg("zone in force")
		}
	}
	if len(zones) > mostTold {
		s.log.Info().Str("listener", d.listener.name).Int("zones", len(zones)).Int("records", records).Msg("zones in force")
	}
}

// newDNS makes the service of a listener, if it is one of DNS.
func (s *server) newDNS(l *listener) (*dnsService, error) {
	if l.protocol != "dns" {
		return nil, nil
	}
	zones, err := l.loadZones()
	switch had := s.zones[l.name]; {
	case err == nil:
		s.zones[l.name] = zones
	case had != nil:
		s.log.Error().Err(err).Str("listener", l.name).Msg("zones can't be read again: those before stay")
		zones = had
	default:
		return nil, err
	}
	o := dns.Options{Listener: l.name, Records: l.output != "discard", Tallies: s.tallies(l)}
	if l.rrl > 0 {
		limits := dns.DefaultRateLimits()
		limits.PerSecond, limits.Slip = l.rrl, l.rrlSlip
		if o.Limits, err = dns.NewRateLimiter(limits); err != nil {
			return nil, l.misfit("rrl", err)
		}
	}
	if l.cookies {
		o.Cookies = dns.NewCookies(s.secret)
	}
	d := &dnsService{Server: dns.NewServer(zones, o), listener: l, stop: make(chan struct{})}
	s.dns = append(s.dns, d)
	return d, nil
}

// tallies returns where a listener of DNS counts: in memory that outlives the
// process, if there is one.
func (s *server) tallies(l *listener) func(shard int) []atomic.Uint64 {
	if s.book == nil {
		return nil
	}
	return func(shard int) []atomic.Uint64 {
		if shard < 0 {
			return s.book.SharedTallies(l.name)[len(steer.Kinds):]
		}
		return s.book.Tallies(l.name, shard)[len(steer.Kinds):]
	}
}

// openStreams opens the output of what comes over TCP, whose records are not
// the ledger's, which counts datagrams. It comes when the shards have opened
// theirs: who opens a file is in whose book its writes are noted.
func (s *server) openStreams(d *dnsService) (err error) {
	l := d.listener
	if l.output == "discard" {
		return nil
	}
	d.page = metrics.NewShard(0, 0)
	d.sink, err = l.openSink(s.outputs, 0, d.page)
	return err
}

// notes is what a process tells the next one beside its sockets: with the
// secret, cookies that clients have stay good.
type notes struct {
	CookieSecret string `json:"dns_cookie_secret,omitempty"`
}

func (s *server) notes() (json.RawMessage, error) {
	if len(s.dns) == 0 {
		return nil, nil
	}
	return json.Marshal(notes{CookieSecret: hex.EncodeToString(s.secret[:])})
}

// heed takes over what the process before has told. Another version may say
// other things, and then this one begins anew.
func (s *server) heed(told json.RawMessage) {
	var n notes
	if json.Unmarshal(told, &n) != nil {
		return
	}
	if secret, err := dns.ParseSecret(n.CookieSecret); err == nil {
		s.secret = secret
	}
}

// listenStreams opens the TCP sides, or goes on with those of the process before:
// clients wait in the queue of one socket for whoever serves. It comes when this
// process is active.
func (s *server) listenStreams(from *legacy) error {
	var errs []error
	for _, d := range s.dns {
		l, g := d.listener, s.groups[slices.Index(s.opened, d.listener)]
		if d.socket = from.stream(l.address); d.socket == nil {
			var err error
			if d.socket, err = listenTCP(g.Listener().Address); err != nil {
				errs = append(errs, hinted{fmt.Errorf("listener %s: answers that do not fit into a datagram need TCP: %w", l.name, err), "stop who has that port, or take another one"})
				continue
			}
		}
		if err := d.serve(g); err != nil {
			errs = append(errs, err)
		} else if d.sink != nil {
			go d.flush()
		}
	}
	if len(errs) == 1 {
		return errs[0] // with its hint
	}
	return errors.Join(errs...)
}

// stream returns a duplicate of the socket that listens for a listener's streams;
// nil if none was handed over for it.
func (s *server) stream(l *listener) (*os.File, error) {
	for _, d := range s.dns {
		if d.listener == l && d.socket != nil {
			return duplicate(d.socket)
		}
	}
	return nil, nil
}

// listenTCP listens at the address of a group. Where the process before has not
// handed its socket over, this one's is beside it.
func listenTCP(address string) (*net.TCPListener, error) {
	network := "tcp"
	if at, err := netip.ParseAddrPort(address); err == nil && at.Addr().Is4() {
		network = "tcp4"
	} else if err == nil {
		network = "tcp6"
	}
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var set error
		if err := c.Control(func(fd uintptr) { set = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) }); err != nil {
			return err
		}
		return set
	}}
	l, err := config.Listen(context.Background(), network, address)
	if err != nil {
		return nil, err
	}
	return l.(*net.TCPListener), nil
}

// serve answers over TCP until pause or close.
func (d *dnsService) serve(g *shard.Group) error {
	file, err := duplicate(d.socket) // the socket stays, whoever stops accepting
	if err != nil {
		return err
	}
	defer file.Close()
	socket, err := net.FileListener(file)
	if err != nil {
		return fmt.Errorf("listener %s: %w", d.listener.name, err)
	}
	streams := &dnstcp.Server{Admit: g.Admits, Begin: d.converse, Least: dns.HeaderSize, Count: d.countStream}
	d.streams.Store(streams)
	go streams.Serve(socket)
	return nil
}

// pause ends the conversations, and accepts no more: clients wait in the socket's
// queue for whoever serves next.
func (d *dnsService) pause() {
	if streams := d.streams.Swap(nil); streams != nil {
		streams.Close()
	}
	d.handOn()
}

// goOn ends a pause, if there is one.
func (d *dnsService) goOn(g *shard.Group) error {
	if d.socket == nil || d.streams.Load() != nil {
		return nil
	}
	return d.serve(g)
}

// open returns how many connections there are.
func (d *dnsService) open() int {
	if streams := d.streams.Load(); streams != nil {
		return streams.Open()
	}
	return 0
}

// inFlight returns how many records of what came over TCP are on their way.
func (d *dnsService) inFlight() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.sink == nil {
		return 0
	}
	return d.records - d.page.Delivered.Load() - d.page.OutputLost.Load()
}

// handOn hands the records that wait on to the output.
func (d *dnsService) handOn() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.sink != nil {
		d.sink.Flush()
	}
}

func (d *dnsService) converse(client netip.AddrPort) dnstcp.Conversation {
	stream := d.Stream()
	return func(dst, question []byte) []byte {
		reply := stream.Answer(dst, question, client)
		if reply != nil && d.sink != nil {
			d.mu.Lock()
			d.sink.Commit(stream.Record(d.sink.Buffer()))
			d.records++
			d.mu.Unlock()
		}
		return reply
	}
}

// flushEvery is when records of what came over TCP are written, as those of
// shards are.
const flushEvery = 50 * time.Millisecond

func (d *dnsService) flush() {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			d.handOn()
		case <-d.stop:
			return
		}
	}
}

// close ends what is served over TCP, and hands the last records on.
func (d *dnsService) close() {
	close(d.stop)
	d.pause()
	if d.socket != nil {
		d.socket.Close()
	}
}

// closeDNS ends what is served over TCP. When late is done, records that are not
// written are given up.
func (s *server) closeDNS(late context.Context) {
	defer context.AfterFunc(late, s.outputs.Abort)()
	for _, d := range s.dns {
		d.ended.Do(d.close)
	}
}

// loadZones reads the zones of all listeners of DNS, by their names.
func loadZones(listeners []*listener) (map[string]*dns.Zones, error) {
	zones := make(map[string]*dns.Zones)
	var errs []error
	for _, l := range listeners {
		if l.protocol != "dns" {
			continue
		}
		z, err := l.loadZones()
		zones[l.name] = z
		errs = append(errs, err)
	}
	return zones, errors.Join(errs...)
}
