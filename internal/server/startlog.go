package server

import (
	"context"
	"time"

	"github.com/rs/zerolog"
)

// takeoverLog is the log line on a takeover. It waits until every shard reads.
type takeoverLog struct {
	event   *zerolog.Event
	message string
	stopped time.Time // when the process before stopped reading; zero: that is not known
}

// logWhenReading logs a takeover when this process reads.
func (s *server) logWhenReading(event *zerolog.Event, message string, stopped time.Time) {
	s.takeoverLog = &takeoverLog{event, message, stopped}
}

// stoppedReading returns when a process that did not stop in order was last seen to read, or
// else when this process saw that it does not: at began.
func (l *predecessor) stoppedReading(began time.Time) time.Time {
	if l.counters == nil {
		return time.Time{}
	}
	if last := l.counters.LastReading(); !last.IsZero() && last.Before(began) {
		return last
	}
	return began
}

// logStart logs, once every shard reads or ctx ends, the takeover by which this process became
// active, if it was one, and the listeners.
func (s *server) logStart(ctx context.Context) {
	last, err := s.readingSince(ctx)
	s.leftover.close()
	if r := s.takeoverLog; r != nil {
		if err == nil && !r.stopped.IsZero() {
			r.event.Float64("gap_ms", round(last.Sub(r.stopped).Seconds()*1000))
		}
		r.event.Msg(r.message)
	}
	for i, l := range s.opened {
		s.logListening(l, s.groups[i])
	}
}

// readingSince returns when the last shard of all began to read. It waits for that, or for the
// end of ctx, which is an error.
func (s *server) readingSince(ctx context.Context) (last time.Time, err error) {
	for _, g := range s.groups {
		at, err := g.ReadingSince(ctx)
		if err != nil {
			return last, err
		}
		if at.After(last) {
			last = at
		}
	}
	return last, nil
}
