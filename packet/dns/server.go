package dns

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/udpshard/udpshard/internal/dnsrecord"
	"github.com/udpshard/udpshard/packet"
	"github.com/udpshard/udpshard/packet/dns/cookie"
	"github.com/udpshard/udpshard/packet/record"
)

// Options configure a Server. A Server with the zero Options answers every client, and makes no
// records.
type Options struct {
	Listener string // the listener's name in records
	Records  bool   // make a record of each message
	Format   RecordFormat
	// RecordAnswers adds the records of answers to records, up to 4 KiB.
	RecordAnswers bool
	// Identity and Version describe the server in dnstap messages.
	Identity, Version string
	Limits            *RateLimiter // of responses; nil is no limit
	// Cookies make and check the cookies of clients; nil: cookies are ignored.
	//
	// A query with a good cookie is not rate limited. A query with only a client cookie, or a bad
	// cookie, is rate limited, and the reply has a new cookie, so that the client's next query is
	// exempt. Where Limits let a response slip, such a client gets BADCOOKIE with the cookie instead
	// of a truncated reply: the client asks again over UDP and is exempt, where TC would send the
	// client to TCP. RFC 7873 5.2.3 leaves the choice between silence, BADCOOKIE and an answer to
	// the server, as long as the server answers now and then. Below the limit the right choice is
	// the answer: BADCOOKIE would cost each client's first query a round trip, and protect nothing.
	Cookies *cookie.Keys
	// NSID names this server in replies to queries that ask for it (RFC 5001). A length of 0, or of
	// more than MaxNSID octets, is no name.
	NSID []byte
	// Counters returns the NumCounters numbers in which a shard counts, or all streams if the shard
	// is below 0. Readers may load the numbers at any time, and other writers may add to the
	// numbers of the streams. If Counters is nil, or returns nil, the Server counts in its own
	// memory.
	Counters func(shard int) []atomic.Uint64
}

// RecordFormat is the format of records.
type RecordFormat int

// The formats of records.
const (
	RecordJSON   RecordFormat = iota // an object a line
	RecordDnstap                     // frames with dnstap messages
	RecordBase64                     // frames with dnstap messages, in base64, a line for each message
)

// Server holds what threads share that answer from the same zones. Any goroutine may call its
// methods.
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

// SetZones replaces the zones, from the next query on.
func (s *Server) SetZones(zones *Zones) { s.zones.Store(zones) }

// Zones returns the zones in force.
func (s *Server) Zones() *Zones { return s.zones.Load() }

// Counts returns the sums over all shards and streams.
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

// CountConnection counts the outcome of a connection to the streams.
func (s *Server) CountConnection(outcome Connection) {
	s.streams.increment(firstConnection + int(outcome))
}

func (s *Server) newCounters(shard int) *counters {
	c := &counters{shared: shard == record.NoShard}
	if s.options.Counters != nil {
		c.n = s.options.Counters(shard)
	}
	if c.n == nil {
		const apart = 16 // words between the counters of two threads: two cache lines
		c.n = make([]atomic.Uint64, apart+NumCounters+apart)[apart : apart+NumCounters]
	}
	return c
}

// Handler returns the handler of a shard. The group needs a ReplySize of MaxUDPSize, and has to
// answer queries from its own port (OwnPort).
func (s *Server) Handler(shard int) packet.Handler {
	c := s.newCounters(shard)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shards = append(s.shards, c)
	return &handler{s.newQueryContext(shard, c)}
}

// Stream returns a Stream for one connection. Records of streams name no shard.
func (s *Server) Stream() *Stream {
	x := s.newQueryContext(record.NoShard, s.streams)
	x.exchange.Transport = dnsrecord.TCP
	return &Stream{queryContext: x}
}

func (s *Server) newQueryContext(shard int, c *counters) queryContext {
	x := queryContext{server: s, counters: c}
	if nsid := s.options.NSID; len(nsid) <= MaxNSID {
		x.query.serverNSID = nsid
	}
	o := &s.options
	switch {
	case !o.Records:
	case o.Format == RecordJSON:
		x.records = dnsrecord.NewJSON(o.Listener, shard, o.RecordAnswers)
	default:
		x.records = dnsrecord.NewDnstap(o.Identity, o.Version, o.Format == RecordBase64)
	}
	return x
}

// handler answers the batches of one shard.
type handler struct{ queryContext }

// Handle implements packet.Handler. With records, a message that must not be answered counts as
// unparsed, since it has a record, and else as malformed.
func (h *handler) Handle(b *packet.Batch) {
	zones, now := h.server.zones.Load(), b.ReceivedAt
	for i := range b.Datagrams {
		d := &b.Datagrams[i]
		var reply []byte
		result := ignored
		if isReflectorPort(d.Source.Port()) {
			h.ignoreForged()
		} else {
			reply, result = h.appendReply(zones, b.ReplyBuffer(i), d.Payload, d.Source.Addr(), now, MaxUDPSize)
		}
		if result == answered {
			b.Reply(i, reply)
		}
		switch {
		case h.records != nil:
			to := netip.AddrPortFrom(d.Destination, b.Port)
			h.describe(d.Payload, reply, d.Source, to, now)
			h.exchange.Truncated = d.Truncated
			b.Commit(h.records.Append(b.Record(), &h.exchange))
			if result == ignored {
				b.Unparsed()
			}
		case result == ignored:
			b.Malformed()
		}
	}
}

// isReflectorPort reports whether a port belongs to a service that answers every datagram, or that
// attackers use as a reflector. No client asks from such a port: the source is forged.
func isReflectorPort(port uint16) bool {
	switch port {
	case 0, // no reply can be sent to port 0
		7, 13, 17, 19, 37, // echo, daytime, qotd, chargen, time
		69, 111, 123, 137, 161, 389, 520: // tftp, portmap, ntp, netbios, snmp, cldap, rip
		return true
	}
	return false
}

// Stream answers the queries of one connection. A Stream belongs to one goroutine at a time.
type Stream struct {
	queryContext
	Destination netip.AddrPort // of the connection, for records; the zero AddrPort is unknown
}

// Answer appends the reply to a query to dst. For a message without a reply the result is nil.
func (s *Stream) Answer(dst, question []byte, source netip.AddrPort) []byte {
	now, zones := time.Now(), s.server.zones.Load()
	reply, result := s.appendReply(zones, dst, question, source.Addr(), now, maxTCPSize)
	if result != answered {
		reply = nil
	}
	if s.records != nil {
		s.describe(question, reply[min(len(dst), len(reply)):], source, s.Destination, now)
	}
	return reply
}

// Record appends the record of the message that Answer had last, while the message and the reply
// are as they were. The Server has Options.Records.
func (s *Stream) Record(dst []byte) []byte { return s.records.Append(dst, &s.exchange) }
