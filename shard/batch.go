package shard

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/udpshard/udpshard/packet"
)

// errShutdown: somebody who shares the socket called shutdown(2) on it. It
// then returns at once, with nothing, for ever.
var errShutdown = errors.New("the socket was shut down by another holder of it")

// arrivals are counts of what was received and not counted yet.
type arrivals struct {
	received, bytes, truncated, notAllowed, rateLimited uint64
}

// take does all that is to be done with the n messages just received from the socket fd: the
// shard's own, or a surplus one that is being emptied. Replies leave by that socket.
func (s *shard) take(fd, n int, now time.Time) error {
	var a arrivals
	s.batch.Reset(now)
	s.places = s.places[:0]
	gate := s.group.gate.Load()
	clock := now.Sub(s.group.began)
	trains := s.group.config.GRO
	if trains { // they may be handled in parts, but are counted whole: see Counters.BeginReceive
		a.received = s.receiver.Arrived(n)
	}
	// The first message alone was waited for, and one without a name comes only to who waits.
	if !s.receiver.Named(0) {
		return errShutdown
	}
	for i := range n {
		if s.copies && s.receiver.Copied(i) {
			continue // shard 0 has counted it
		}
		rest := s.receiver.Payload(i)
		segment := len(rest)
		if trains {
			segment = cmp.Or(s.receiver.Segment(i), segment)
		}
		for more := true; more; {
			payload := rest
			if more = len(rest) > segment; more {
				payload = rest[:segment:segment]
			}
			rest = rest[len(payload):]
			if !trains {
				a.received++
			}
			a.bytes += uint64(min(len(payload), s.group.config.MaxDatagram))
			s.admit(i, payload, gate, clock, &a)
			if len(s.places) == cap(s.places) && (more || i < n-1) {
				s.handle(fd, &a)
				s.batch.Reset(now)
				s.places = s.places[:0]
			}
		}
	}
	s.page.Batches.Add(1)
	s.observe(n)
	s.handle(fd, &a)
	return nil
}

// admit puts one datagram of message i into the batch, unless the policy is
// against it.
func (s *shard) admit(i int, payload []byte, gate *gate, clock time.Duration, a *arrivals) {
	source, zone := s.receiver.Source(i)
	if !gate.open() {
		switch gate.judge(source.Addr(), clock) {
		case notAllowed:
			a.notAllowed++
			return
		case rateLimited:
			a.rateLimited++
			return
		}
	}
	d := packet.Datagram{Payload: payload, Source: source, Destination: s.group.bound}
	if zone != 0 {
		d.Source = s.zoned(source, zone)
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
	s.places = append(s.places, i)
}

// handle counts what has arrived, and has the handler do its work.
func (s *shard) handle(fd int, a *arrivals) {
	c := s.page.Counters
	c.Received.Add(a.received)
	c.Bytes.Add(a.bytes)
	add(&c.NotAllowed, a.notAllowed)
	add(&c.RateLimited, a.rateLimited)
	add(&c.Truncated, a.truncated)
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
	add(&c.Handled, uint64(handled))
	add(&c.Malformed, uint64(t.Malformed))
	add(&c.Unparsed, uint64(t.Unparsed))
	add(&c.MalformedHeader, uint64(t.MalformedHeader))
	if t.Recorded > 0 && s.oldest.IsZero() {
		s.oldest = b.ReceivedAt
	}
	if len(b.Replies) > 0 {
		s.reply(fd)
	}
}
