// Package dnsservice answers the DNS queries of a listener: over UDP as the handler of a group of
// shards, and over TCP at the same address.
package dnsservice

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/udpshard/udpshard/internal/dnstcp"
	"github.com/udpshard/udpshard/internal/sys"
	"github.com/udpshard/udpshard/metrics"
	"github.com/udpshard/udpshard/packet"
	"github.com/udpshard/udpshard/packet/dns"
)

// Service answers the DNS queries of a listener. Start, Pause, Resume and Close are for one
// goroutine.
type Service struct {
	*dns.Server
	listener string
	socket   *net.TCPListener // nil until Start
	admit    func(netip.Addr) bool
	streams  atomic.Pointer[dnstcp.Server]
	stop     chan struct{} // ends flushLoop

	mu       sync.Mutex
	sink     packet.Sink    // for records of queries over TCP; nil: no records
	counters *metrics.Shard // of sink
	records  uint64         // committed to sink
}

// New returns a Service that answers over UDP, by Handler, and not yet over TCP.
func New(zones *dns.Zones, o dns.Options) *Service {
	return &Service{Server: dns.NewServer(zones, o), listener: o.Listener, stop: make(chan struct{})}
}

// SetSink sets the sink for records of queries over TCP, with the counters of the sink. The records
// are not in the ledger, which counts datagrams.
func (s *Service) SetSink(sink packet.Sink, counters *metrics.Shard) {
	s.sink, s.counters = sink, counters
}

// Start starts to answer over TCP at a socket, which belongs to the Service from then on. admit is
// the admission policy for clients.
func (s *Service) Start(socket *net.TCPListener, admit func(netip.Addr) bool) error {
	s.socket, s.admit = socket, admit
	if err := s.serve(); err != nil {
		return err
	}
	if s.sink != nil {
		go s.flushLoop()
	}
	return nil
}

// Stream returns a duplicate of the listening TCP socket; nil before Start, and of a nil Service.
func (s *Service) Stream() (*os.File, error) {
	if s == nil || s.socket == nil {
		return nil, nil
	}
	return sys.DuplicateFile(s.socket, "")
}

// serve answers over TCP until Pause or Close.
func (s *Service) serve() error {
	file, err := sys.DuplicateFile(s.socket, "") // Pause closes the duplicate, and s.socket stays open
	if err != nil {
		return fmt.Errorf("listener %s: %w", s.listener, err)
	}
	defer file.Close()
	socket, err := net.FileListener(file)
	if err != nil {
		return fmt.Errorf("listener %s: %w", s.listener, err)
	}
	streams := &dnstcp.Server{Admit: s.admit, NewHandler: s.handler,
		MinMessage: dns.HeaderSize, CountOutcome: s.countConnection}
	s.streams.Store(streams)
	go streams.Serve(socket)
	return nil
}

// handler returns the handler of a connection.
func (s *Service) handler(client, local netip.AddrPort) dnstcp.Handler {
	stream := s.Server.Stream()
	stream.Destination = local
	return func(dst, question []byte) []byte {
		reply := stream.Answer(dst, question, client)
		if s.sink != nil {
			s.mu.Lock()
			s.sink.Commit(stream.Record(s.sink.Buffer()))
			s.records++
			s.mu.Unlock()
		}
		return reply
	}
}

// Pause closes the connections, and accepts no more: clients wait in the queue of the socket.
func (s *Service) Pause() {
	if streams := s.streams.Swap(nil); streams != nil {
		streams.Close()
	}
	s.flush()
}

// Resume ends a pause.
func (s *Service) Resume() error {
	if s.socket == nil || s.streams.Load() != nil {
		return nil
	}
	return s.serve()
}

// InFlight returns the number of records in flight, of queries over TCP.
func (s *Service) InFlight() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sink == nil {
		return 0
	}
	return s.records - s.counters.Delivered.Load() - s.counters.OutputLost.Load()
}

// flush passes committed records to the output.
func (s *Service) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sink != nil {
		s.sink.Flush()
	}
}

// flushInterval is the time between two flushes of records of queries over TCP, as in a shard.
const flushInterval = 50 * time.Millisecond

func (s *Service) flushLoop() {
	tick := time.NewTicker(flushInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.flush()
		case <-s.stop:
			return
		}
	}
}

// Close ends answering over TCP, and flushes the records. Close is called once.
func (s *Service) Close() {
	close(s.stop)
	s.Pause()
	if s.socket != nil {
		s.socket.Close()
	}
}

// maxLoggedZones is how many zones of a listener have log lines of their own.
const maxLoggedZones = 20

// LogZones logs the zones in force, the zones that failed to load, and the warnings.
func (s *Service) LogZones(log zerolog.Logger) {
	log = log.With().Str("listener", s.listener).Logger()
	zones, records := s.Zones().List(), 0
	for _, z := range zones {
		records += z.Records
		if len(zones) <= maxLoggedZones {
			log.Info().Str("zone", z.Origin).Uint32("serial", z.Serial).Int("records", z.Records).
				Str("file", z.File).Msg("zone in force")
		}
	}
	if len(zones) > maxLoggedZones {
		log.Info().Int("zones", len(zones)).Int("records", records).Msg("zones in force")
	}
	s.LogFailedZones(log)
	for _, warning := range s.Zones().Warnings() {
		log.Warn().Str("warning", warning.Error()).Msg("zone loaded with a warning")
	}
}

// LogFailedZones logs the zones that failed to load.
func (s *Service) LogFailedZones(log zerolog.Logger) {
	for _, failed := range s.Zones().Failed() {
		event := log.Error().Err(failed).Str("file", failed.File)
		effect := "the zone is not served"
		if failed.Kept != nil {
			event = event.Str("zone", failed.Kept.Origin).Uint32("serial", failed.Kept.Serial)
			effect = "the previous version of the zone stays in force"
		}
		event.Str("effect", effect).Msg("zone failed to load")
	}
}

// FailedZones returns the zones that failed to load.
func (s *Service) FailedZones() []metrics.FailedZone {
	var all []metrics.FailedZone
	for _, failed := range s.Zones().Failed() {
		zone := metrics.FailedZone{File: failed.File, Error: failed.Error()}
		if failed.Kept != nil {
			zone.Zone, zone.Serial = failed.Kept.Origin, failed.Kept.Serial
		}
		all = append(all, zone)
	}
	return all
}
