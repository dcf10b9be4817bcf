package dns

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/udpshard/udpshard/packet"
	"github.com/udpshard/udpshard/packet/record"
)

// Options of a Server. The zero Options answer everybody, and record nothing.
type Options struct {
	Listener string       // what records call it
	Records  bool         // make a record of each query
	Limits   *RateLimiter // of responses; nil: none
	Cookies  *Cookies     // nil: cookies are ignored
	// NumCounters returns where a shard is to count, or with a number below 0 where all
	// streams are to: as many numbers as the constant says. Others may read them,
	// and add to those of the streams. Nil, or where it returns nil: in memory of
	// the server's own.
	Counters func(shard int) []atomic.Uint64
}

// Server is what the threads share that answer from the same zones. Its
// methods may be called by any goroutine.
type Server struct {
	options   Options
	zones     atomic.Pointer[Zones]
	startedAt time.Time

	mu      sync.Mutex
	shards  []*counters
	streams *counters
}

// NewServer returns a server that answers from zones.
func NewServer(zones *Zones, o Options) *Server {
	s := &Server{options: o, startedAt: time.Now()}
	s.streams = s.newCounters(record.NoShard)
	s.zones.Store(zones)
	return s
}

// SetZones replaces the zones: from the next query on.
func (s *Server) SetZones(zones *Zones) { s.zones.Store(zones) }

// Zones returns those in force.
func (s *Server) Zones() *Zones { return s.zones.Load() }

// Counts adds up what shards and streams have counted.
func (s *Server) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	sum := Counts{Types: make(map[string]uint64), Rcodes: make(map[string]uint64), Connections: make(map[string]uint64)}
	s.streams.addTo(&sum)
	for _, c := range s.shards {
		c.addTo(&sum)
	}
	return sum
}

// CountConnection counts what became of a connection, of those that streams answer.
func (s *Server) CountConnection(outcome Connection) {
	s.streams.increment(firstConnection + int(outcome))
}

func (s *Server) newCounters(shard int) *counters {
	c := &counters{shared: shard == record.NoShard}
	if s.options.Counters != nil {
		c.n = s.options.Counters(shard)
	}
	if c.n == nil {
		const apart = 16 // words between what two threads write: two cache lines
		c.n = make([]atomic.Uint64, apart+NumCounters+apart)[apart : apart+NumCounters]
	}
	return c
}

// Handler returns the handler of a shard. The group needs a ReplySize of
// MaxUDPSize, and answers its OwnPort.
func (s *Server) Handler(shard int) packet.Handler {
	c := s.newCounters(shard)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shards = append(s.shards, c)
	return &handler{s.newQueryContext(shard, c)}
}

// Stream returns what answers over TCP. It is for one goroutine at a time; its
// records name no shard.
func (s *Server) Stream() *Stream { return &Stream{s.newQueryContext(record.NoShard, s.streams)} }

func (s *Server) newQueryContext(shard int, c *counters) queryContext {
	return queryContext{server: s, counters: c, tail: record.NewTail(s.options.Listener, shard)}
}

// handler answers the batches of one shard.
type handler struct{ queryContext }

// Handle implements packet.Handler.
func (h *handler) Handle(b *packet.Batch) {
	zones, now := h.server.zones.Load(), b.ReceivedAt
	for i := range b.Datagrams {
		d := &b.Datagrams[i]
		if isReflectorPort(d.Source.Port()) {
			h.counters.increment(ignoredIndex)
			b.Malformed()
			continue
		}
		reply, result := h.appendReply(zones, b.ReplyBuffer(i), d.Payload, d.Source.Addr(), now, MaxUDPSize)
		if result == ignored {
			b.Malformed()
			continue
		}
		if result == answered {
			b.Reply(i, reply)
		}
		if h.server.options.Records {
			b.Commit(h.tail.Append(h.appendRecord(b.Record()), now, d.Source, "", "", d.Truncated))
		}
	}
}

// reflects says whether a port is that of a service that answers whatever it
// is sent, or attacks others with its answers. Nobody asks from there; whoever
// seems to has a forged source.
func isReflectorPort(port uint16) bool {
	switch port {
	case 0, // nobody can be answered there
		7, 13, 17, 19, 37, // echo, daytime, qotd, chargen, time
		69, 111, 123, 137, 161, 389, 520: // tftp, portmap, ntp, netbios, snmp, cldap, rip
		return true
	}
	return false
}

// Stream answers the questions of connections.
type Stream struct{ queryContext }

// Answer appends the answer to a question to dst; nothing where there is to be
// none.
func (s *Stream) Answer(dst, question []byte, source netip.AddrPort) []byte {
	s.source, s.receivedAt = source, time.Now()
	reply, result := s.appendReply(s.server.zones.Load(), dst, question, source.Addr(), s.receivedAt, maxTCPSize)
	if result != answered {
		return nil
	}
	return reply
}

// Record appends the record of the question that was answered last.
func (s *Stream) Record(dst []byte) []byte {
	return s.tail.Append(s.appendRecord(dst), s.receivedAt, s.source, "", "", false)
}
