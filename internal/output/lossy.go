package output

import "time"

// drop counts the records of the scratch buffer as lost.
func (s *stream) drop(b *buffer) {
	s.counters.OutputLost.Add(uint64(b.records))
	s.dropped.Add(uint64(b.records))
	s.behind.Store(true)
	b.reset()
	s.filled = nil
	select {
	case s.writer.dropping <- struct{}{}:
	default: // reportDrops has a signal already
	}
}

const (
	checkInterval = time.Second     // of an outage
	quietPeriod   = 5 * time.Second // without drops, after which the outage is over
)

// reportDrops reports outages in which lossy streams drop records, until Close: the begin at once,
// an event every minute, and the end. run can't report, since a write may hang.
func (w *writer) reportDrops() {
	ticker := time.NewTicker(checkInterval)
	defer ticker.Stop()
	dropping, check := w.dropping, (<-chan time.Time)(nil)
	var before, seen uint64           // dropped before the outage; dropped until now
	var began, latest, told time.Time // of the outage: the begin, the latest drop, the latest event
	for {
		select {
		case <-dropping:
		case <-check:
		case <-w.set.closed:
			return
		}
		now := time.Now()
		sum, behind := w.drops()
		if sum != seen || behind {
			seen, latest = sum, now
		}
		event := Event{Destination: w.name, Dropping: true, Dropped: seen - before, Failing: now.Sub(began)}
		switch {
		case seen == before: // the signal is of the previous outage
		case check == nil:
			dropping, check = nil, ticker.C
			began, told, event.Failing = now, now, 0
			w.set.report(event)
		case now.Sub(latest) >= quietPeriod:
			dropping, check, before = w.dropping, nil, seen
			event.Dropping, event.Failing = false, latest.Sub(began)
			w.set.report(event)
		case now.Sub(told) >= remindInterval:
			told = now
			w.set.report(event)
		}
	}
}

// drops returns the sum of dropped records, and whether a stream that dropped records still has no
// buffer.
func (w *writer) drops() (sum uint64, behind bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.lossy {
		sum += s.dropped.Load()
		behind = behind || s.behind.Load() && len(s.free) == 0
	}
	return sum, behind
}
