package kafka

import (
	"context"
	"fmt"
	"time"

	"github.com/udpshard/udpshard/internal/ship"
)

// flightTimeout is how long the messages of a flight may be without a result before the client is
// given up: longer than the client needs to see that a connection hangs, and to send twice again.
const flightTimeout = time.Minute

// Send sends the records of the batch that are not stored yet. Send returns at the end of ctx, or
// after sendTimeout, with a temporary error. Messages without a result stay with the client, which
// sends nothing until the next Send.
func (t *target) Send(ctx context.Context, b *ship.Batch) error {
	ctx, cancel := context.WithTimeoutCause(ctx, sendTimeout,
		fmt.Errorf("no acknowledgement within %v", sendTimeout))
	defer cancel()
	f, isNew := t.follow(b)
	if isNew {
		if err := t.listEnds(ctx); err != nil {
			return err
		}
	}
	if err := t.resolve(ctx, b, f); err != nil {
		return err
	}
	for {
		if t.client == nil {
			if err := t.connect(ctx); err != nil {
				return err
			}
		}
		l := t.memory
		if t.memory = nil; l == nil {
			l = &flight{}
		}
		l.fill(b, f, t.perBatch, t.limit.bytes)
		if len(l.messages) == 0 {
			t.memory = l
			return t.finish(b, f)
		}
		t.flight = l
		l.produce(t.client)
		if err := t.await(ctx, f); err != nil {
			return err
		}
	}
}

// resolve finds out what was stored by earlier calls of Send.
func (t *target) resolve(ctx context.Context, b *ship.Batch, f *fates) error {
	if t.flight != nil {
		if err := t.await(ctx, f); err != nil {
			return err
		}
	}
	if !f.unsure {
		return nil
	}
	return t.lookup(ctx, b, f)
}

// await waits for the results of the flight.
func (t *target) await(ctx context.Context, f *fates) error {
	l := t.flight
	t.beginDials()
	t.guard.begin()
	l.resume(t.client)
	touch := time.NewTicker(touchInterval)
	defer touch.Stop()
	for {
		select {
		case <-l.ended:
			t.guard.end(idle)
			return t.land(f)
		case <-touch.C:
			if !t.guard.touch() {
				t.disconnect()
				return t.sendError(errStopped)
			}
			if err := t.isAway(); err != nil {
				return t.interrupt(err)
			}
		case <-ctx.Done():
			return t.interrupt(context.Cause(ctx))
		}
	}
}

// interrupt ends the wait for the flight, whose messages stay with the client until the next Send.
func (t *target) interrupt(reason error) error {
	err := t.sendError(reason)
	t.flight.pause()
	if t.guard.end(paused); time.Since(t.flight.started) > flightTimeout {
		t.disconnect()
	}
	return err
}

// land notes the results of the flight, which has ended.
func (t *target) land(f *fates) error {
	l := t.flight
	l.flush()
	t.flight, t.memory = nil, l
	var refusal, failure error
	for i := range l.messages {
		m, s := &l.messages[i], l.spans[i]
		switch err := l.errs[m]; {
		case err == nil:
			f.set(s.from, s.to, stored)
			f.next.advance(m.Partition, m.Offset+1)
		case isRefusal(err):
			refusal = err
			if l.records == 1 {
				f.reject(s.from, err.Error())
			}
		case failure == nil:
			failure = err
		}
	}
	switch {
	case failure != nil:
		f.unsure = true
		t.disconnect()
		return t.sendError(failure)
	case refusal == nil:
		t.limit.stored()
	case l.records > 1:
		t.limit.refused(l.size)
	}
	return nil
}

// finish returns the result of a batch without unsent records.
func (t *target) finish(b *ship.Batch, f *fates) error {
	if t.offsets == nil {
		t.offsets = parseOffsets(b.Note)
	}
	for partition, next := range f.next {
		t.offsets.advance(int32(partition), next)
	}
	b.Note = t.offsets.String()
	t.acked[b.Series] = true
	if rejections := f.rejections(b); len(rejections) > 0 {
		return &ship.Error{Rejected: rejections}
	}
	return nil
}
