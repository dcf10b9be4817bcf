package dns

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/udpshard/udpshard/internal/dnsrecord"
	dnscookie "github.com/udpshard/udpshard/packet/dns/cookie"
)

// queryContext is a query and its reply on one thread. The memory is reused for the next query.
type queryContext struct {
	server   *Server
	counters *counters
	records  dnsrecord.Writer // nil: none
	query    query
	cookie   [dnscookie.Size]byte
	exchange dnsrecord.Exchange // of the query, for its record
}

// replyOutcome says what happened to a message.
type replyOutcome int

const (
	answered replyOutcome = iota
	withheld              // by the rate limit
	ignored               // not a query, or a query with a forged source
)

// appendReply appends the reply to a message to dst, or returns nil if no reply is due.
func (x *queryContext) appendReply(zones *Zones, dst, message []byte, source netip.Addr, now time.Time, maxSize int) ([]byte, replyOutcome) {
	q := &x.query
	x.resetExchange()
	rcode, ok := q.decode(message)
	if !ok {
		x.counters.increment(ignoredIndex)
		return nil, ignored
	}
	x.counters.countQuery(q)
	rcode, cookie, trusted := x.checkCookie(rcode, source, now)
	if rcode == rcodeFormErr && q.malformed == "" { // readable, without a question
		q.malformed = "question"
	}
	var reply []byte
	if q.name == nil {
		reply = appendError(dst, q, rcode, cookie)
	} else {
		reply, rcode = zones.appendReply(dst, q, rcode, maxSize, cookie)
	}
	// A TCP handshake proves that the source is not forged.
	if x.server.options.Limits != nil && !trusted && maxSize <= MaxUDPSize {
		if rcode == rcodeNXDomain {
			q.matchedName = q.zone
		}
		reply, rcode = x.limitReply(reply, len(dst), rcode, cookie, source, now)
	}
	q.matchedName = nil // is in the memory of a zone, which a reload frees
	if reply == nil {
		return nil, withheld
	}
	x.exchange.Rcode = uint16(rcode)
	x.counters.countResponse(rcode)
	return reply, answered
}

// limitReply applies the rate limit to the reply that begins at start. The result is the reply, a reply
// without records, or nil.
func (x *queryContext) limitReply(reply []byte, start int, rcode responseCode, cookie []byte, source netip.Addr, now time.Time) ([]byte, responseCode) {
	q, server := &x.query, x.server
	class := x.responseClass(reply[start:], rcode)
	switch server.options.Limits.decide(source, class, q.matchedName, now.Sub(server.startedAt)) {
	case verdictDrop:
		x.counters.increment(droppedIndex)
		x.exchange.Limited = "dropped"
		return nil, rcode
	case verdictSlip:
		x.counters.increment(slippedIndex)
		x.exchange.Limited = "truncated"
		switch {
		case class == rateError: // has no records already
		case cookie != nil:
			return appendError(reply[:start], q, rcodeBadCookie, cookie), rcodeBadCookie
		default:
			return appendTruncated(reply[:start], q, cookie), rcodeNoError
		}
	}
	return reply, rcode
}

// checkCookie returns the rcode and the cookie to answer with, and whether the query's own cookie
// is good. BADVERS comes first (RFC 6891 6.1.3): options of an unknown version of EDNS have no
// known meaning. NOTIMP stays NOTIMP.
func (x *queryContext) checkCookie(rcode responseCode, source netip.Addr, now time.Time) (_ responseCode, cookie []byte, good bool) {
	q, cookies := &x.query, x.server.options.Cookies
	if rcode == rcodeBadVers {
		return rcode, nil, false
	}
	cookie, status := cookies.Answer(x.cookie[:0], q.cookie, source, now)
	x.exchange.Cookie = cookieNames[status]
	switch {
	case status == dnscookie.None:
		return rcode, nil, false
	case status == dnscookie.Malformed:
		if rcode != rcodeNotImp {
			rcode, q.malformed = rcodeFormErr, cmp.Or(q.malformed, "cookie")
		}
		return rcode, nil, false
	case q.wantsCookie():
		if rcode = rcodeNoError; status == dnscookie.Bad {
			rcode = rcodeBadCookie
		}
	}
	return rcode, cookie, status == dnscookie.Good
}

// responseClass returns the class of a reply for the rate limit, judged by the header.
func (x *queryContext) responseClass(reply []byte, rcode responseCode) rateClass {
	switch an, ns := binary.BigEndian.Uint16(reply[6:]), binary.BigEndian.Uint16(reply[8:]); {
	case rcode == rcodeNXDomain:
		return rateNXDomain
	case rcode != rcodeNoError, x.query.name == nil:
		return rateError
	case an > 0:
		return rateAnswer
	case ns > 0 && binary.BigEndian.Uint16(reply[2:])&flagAA == 0:
		return rateReferral
	}
	return rateNoData
}
