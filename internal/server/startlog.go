package server

import (
	"context"
	"time"
)

// logStart logs, once every shard reads or ctx ends, the takeover by which this process became
// active, if it was one, and the listeners.
func (s *server) logStart(ctx context.Context) {
	last, err := s.readingSince(ctx)
	s.loop.predecessor.Close()
	if f := s.succession.Finished(); f != nil {
		if err == nil && !f.Stopped.IsZero() {
			f.Event.Float64("gap_ms", round(last.Sub(f.Stopped).Seconds()*1000))
		}
		f.Event.Msg("takeover finished")
	}
	for _, l := range s.listeners {
		s.logListening(l)
	}
}

// readingSince returns when the last shard of all began to read. It waits for that, or for the
// end of ctx, which is an error.
func (s *server) readingSince(ctx context.Context) (last time.Time, err error) {
	for _, g := range s.listeners {
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
