package dns

import (
	"net/netip"
	"time"

	"github.com/udpshard/udpshard/packet/dns/cookie"
)

// cookieNames are the values of the member edns.cookie in records.
var cookieNames = [...]string{
	cookie.None: "", cookie.Client: "client", cookie.Good: "valid", cookie.Bad: "bad", cookie.Malformed: "bad",
}

// ignoreForged ignores a message from the port of a reflector.
func (x *queryContext) ignoreForged() {
	x.counters.increment(ignoredIndex)
	x.resetExchange()
	x.query.reset()
	x.query.malformed = "source_port"
}

// resetExchange clears what describe does not set.
func (x *queryContext) resetExchange() {
	x.exchange.Rcode, x.exchange.Cookie, x.exchange.Limited = 0, "", ""
}

// describe completes the exchange of a message, after appendReply. The reply is ready now.
func (x *queryContext) describe(
	message, reply []byte, source, destination netip.AddrPort, receivedAt time.Time,
) {
	q, e := &x.query, &x.exchange
	e.Duration = max(0, time.Since(receivedAt))
	e.Message, e.Reply, e.ReceivedAt = message, reply, receivedAt
	e.Source, e.Destination = source, destination
	e.Name, e.Type, e.Class, e.Zone = q.name, q.rtype, q.class, q.zone
	e.EDNS, e.Version, e.Size, e.DO, e.ClientSubnet = q.edns, q.version, q.size, q.do, q.subnet
	e.Malformed = q.malformed
}
