package dns

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/udpshard/udpshard/packet/record"
)

// exchange is a question and its answer, on one thread; the memory is used
// again for the next.
type queryContext struct {
	server   *Server
	counters *counters
	tail     record.Tail
	query    query
	rcode    responseCode // of the response that is sent
	flags    uint16       // its header's second word; 0, without even QR: none is sent
	cookie   [goodCookieLen]byte
	nameText []byte

	source     netip.AddrPort // of a stream's
	receivedAt time.Time
}

// outcome is what becomes of a question.
type replyOutcome int

const (
	answered replyOutcome = iota
	withheld              // by the rate limit
	ignored               // not a question, or none that anybody should answer
)

// answer appends the reply to a message to dst; nil is none.
func (x *queryContext) appendReply(zones *Zones, dst, message []byte, source netip.Addr, now time.Time, maxSize int) ([]byte, replyOutcome) {
	q := &x.query
	x.rcode, x.flags = 0, 0
	rcode, ok := q.decode(message)
	if !ok {
		x.counters.increment(ignoredIndex)
		return nil, ignored
	}
	x.counters.countQuery(q)
	rcode, cookie, trusted := x.checkCookie(rcode, source, now)
	var reply []byte
	if q.name == nil {
		reply = appendError(dst, q, rcode, cookie)
	} else {
		reply, rcode = zones.appendReply(dst, q, rcode, maxSize, cookie)
	}
	// The TCP handshake has proved that the source is not forged.
	if x.server.options.Limits != nil && !trusted && maxSize <= MaxUDPSize {
		if reply, rcode = x.limit(reply, len(dst), rcode, cookie, source, now); reply == nil {
			return nil, withheld
		}
	}
	x.rcode, x.flags = rcode, binary.BigEndian.Uint16(reply[len(dst)+2:])
	x.counters.countResponse(rcode)
	return reply, answered
}

// limit returns what the rate limit leaves of a reply that begins at start: the reply, a shorter
// reply, or nil.
func (x *queryContext) limit(reply []byte, start int, rcode responseCode, cookie []byte, source netip.Addr, now time.Time) ([]byte, responseCode) {
	q, server := &x.query, x.server
	class := x.responseClass(reply[start:], rcode)
	switch server.options.Limits.decide(source, class, q.matchedName, now.Sub(server.startedAt)) {
	case verdictDrop:
		x.counters.increment(droppedIndex)
		return nil, rcode
	case verdictSlip:
		x.counters.increment(slippedIndex)
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

// checkCookie returns the rcode and the cookie to answer with, and whether the
// query's own is good. Nobody knows what the options of another version of EDNS
// are, so that BADVERS goes first (RFC 6891 6.1.3); NOTIMP stays NOTIMP.
func (x *queryContext) checkCookie(rcode responseCode, source netip.Addr, now time.Time) (_ responseCode, cookie []byte, good bool) {
	q, cookies := &x.query, x.server.options.Cookies
	if rcode == rcodeBadVers {
		return rcode, nil, false
	}
	status := cookies.check(q.cookie, source, now)
	switch status {
	case cookieNone:
		return rcode, nil, false
	case cookieMalformed:
		if rcode != rcodeNotImp {
			rcode = rcodeFormErr
		}
		return rcode, nil, false
	}
	if q.wantsCookie() {
		if rcode = rcodeNoError; status == cookieBad {
			rcode = rcodeBadCookie
		}
	}
	return rcode, cookies.appendCookie(x.cookie[:0], q.cookie, source, now), status == cookieGood
}

// classOf tells responses apart by their headers.
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
