package shard

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/udpshard/udpshard/internal/sys"
	"github.com/udpshard/udpshard/packet"
)

// errShutdown: another holder of the socket has called shutdown(2). Each receive returns at once
// then, without a datagram.
var errShutdown = errors.New("the socket was shut down by another holder of it")

// arrivals are counts of received datagrams that are not in the shard's counters yet.
type arrivals struct {
	received, bytes, truncated, notAllowed, rateLimited uint64

	// The sample of the refused datagrams: see refuse.
	sample int // message
	reason verdict
}

// processBatch handles n messages that were received from fd: the shard's socket, or a surplus
// socket. Replies leave by fd.
func (s *shard) processBatch(fd, n int, now time.Time) error {
	var a arrivals
	s.resetBatch(now)
	policy := s.group.admission.Load()
	clock := now.Sub(s.group.began)
	gro := s.group.config.GRO
	if gro { // counted at once, but perhaps handled in parts: see Counters.BeginReceive
		a.received = s.receiver.Arrived(n)
	}
	// Only the first message is waited for, and only a receive that waits reports a shutdown as a
	// message without a source.
	if !s.receiver.HasSource(0) {
		return errShutdown
	}
	for i := range n {
		if s.dropDuplicates && s.receiver.IsDuplicate(i) {
			continue // shard 0 counts the datagram
		}
		rest := s.receiver.Payload(i)
		segment := len(rest)
		if gro {
			segment = cmp.Or(s.receiver.Segment(i), segment)
		}
		for more := true; more; {
			payload := rest
			if more = len(rest) > segment; more {
				payload = rest[:segment:segment]
			}
			rest = rest[len(payload):]
			if !gro {
				a.received++
			}
			a.bytes += uint64(min(len(payload), s.group.config.MaxDatagram))
			s.accept(i, payload, policy, clock, &a)
			if len(s.messages) == cap(s.messages) && (more || i < n-1) {
				s.handle(fd, policy, &a)
				s.resetBatch(now)
			}
		}
	}
	s.counters.Batches.Add(1)
	s.sampleSenders(n)
	s.handle(fd, policy, &a)
	return nil
}

func (s *shard) resetBatch(now time.Time) {
	s.batch.Reset(now)
	s.messages = s.messages[:0]
}

// accept adds a datagram of message i to the batch, if the policy accepts the datagram.
func (s *shard) accept(i int, payload []byte, policy *admission, clock time.Duration, a *arrivals) {
	source, zone := s.receiver.Source(i)
	if !policy.acceptsAll() {
		if v := policy.check(source.Addr(), clock); v != accepted {
			s.refuse(i, v, a)
			return
		}
	}
	d := packet.Datagram{Payload: payload, Source: source, Destination: s.group.bound}
	if zone != 0 {
		d.Source = s.withZone(source, zone)
	}
	if !d.Destination.IsValid() && s.sender != nil {
		d.Destination = s.receiver.Destination(i)
	}
	if most := s.group.config.MaxDatagram; s.receiver.Truncated(i) || len(payload) > most {
		d.Payload = payload[:min(len(payload), most)]
		d.Truncated = true
		a.truncated++
	}
	s.batch.Datagrams = append(s.batch.Datagrams, d)
	s.messages = append(s.messages, i)
}

// withZone adds the zone to a link-local source. Each zone's name is looked up once.
func (s *shard) withZone(source netip.AddrPort, index uint32) netip.AddrPort {
	name, known := s.zones[index]
	if !known {
		name = sys.ZoneName(index)
		s.zones[index] = name
	}
	return netip.AddrPortFrom(source.Addr().WithZone(name), source.Port())
}

// handle adds the arrivals, which policy has checked, to the counters, and passes the batch to the
// handler.
func (s *shard) handle(fd int, policy *admission, a *arrivals) {
	c := s.counters.Counters
	c.Received.Add(a.received)
	c.Bytes.Add(a.bytes)
	addTo(&c.NotAllowed, a.notAllowed)
	addTo(&c.RateLimited, a.rateLimited)
	addTo(&c.Truncated, a.truncated)
	if refused := a.notAllowed + a.rateLimited; refused > 0 {
		s.sampleRefused(policy, a.sample, a.reason, refused)
	}
	*a = arrivals{}

	b := s.batch
	if len(b.Datagrams) == 0 {
		return
	}
	s.handler.Handle(b)

	t := b.Tally()
	handled := len(b.Datagrams) - t.Recorded - t.Malformed
	if handled < 0 {
		panic(fmt.Sprintf("shard: the handler recorded %d and dropped %d of %d datagrams", t.Recorded, t.Malformed, len(b.Datagrams)))
	}
	addTo(&c.Handled, uint64(handled))
	addTo(&c.Malformed, uint64(t.Malformed))
	addTo(&c.Unparsed, uint64(t.Unparsed))
	addTo(&c.MalformedHeader, uint64(t.MalformedHeader))
	if t.Recorded > 0 && s.oldestRecord.IsZero() {
		s.oldestRecord = b.ReceivedAt
	}
	if len(b.Replies) > 0 {
		s.reply(fd)
	}
}

// addTo adds without the locked instruction if n is 0.
func addTo(counter *atomic.Uint64, n uint64) {
	if n > 0 {
		counter.Add(n)
	}
}
