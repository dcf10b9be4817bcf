package main

import (
	"time"

	"github.com/rs/zerolog"

	"github.com/udpshard/udpshard/metrics"
)

// stats logs each listener's rates and losses at an interval.
type stats struct {
	ledger   *metrics.Ledger
	logger   zerolog.Logger
	ticker   *time.Ticker // nil: never
	interval time.Duration
	last     map[*metrics.Listener]metrics.Reading
	idle     map[*metrics.Listener]bool // the last line has said that nothing happens
	since    time.Time
}

// newStats begins with the counters as they are: what predecessors have counted is no
// news. It is for a process that is about to read.
func newStats(ledger *metrics.Ledger, logger zerolog.Logger, interval time.Duration) *stats {
	s := &stats{ledger: ledger, logger: logger, last: make(map[*metrics.Listener]metrics.Reading), idle: make(map[*metrics.Listener]bool), since: time.Now()}
	for _, listener := range ledger.Listeners() {
		s.last[listener] = metrics.Sum(listener.Read())
	}
	s.setInterval(interval)
	return s
}

func (s *stats) setInterval(interval time.Duration) {
	if interval == s.interval {
		return
	}
	s.interval = interval
	s.stop()
	if interval > 0 {
		s.ticker = time.NewTicker(interval)
	}
}

func (s *stats) stop() {
	if s.ticker != nil {
		s.ticker.Stop()
		s.ticker = nil
	}
}

// tick returns a channel that never sends while the interval is 0.
func (s *stats) tick() <-chan time.Time {
	if s.ticker == nil {
		return nil
	}
	return s.ticker.C
}

// log writes one line a listener: what has happened since the last. It is a
// warning where datagrams were lost. While nothing happens there is one line. Rates are
// per second, counts are of the interval.
func (s *stats) log(now time.Time) {
	since := s.since
	s.since = now
	seconds := now.Sub(since).Seconds()
	for _, listener := range s.ledger.Listeners() {
		total := metrics.Sum(listener.Read())
		last := s.last[listener]
		s.last[listener] = total
		skew := listener.Steering().Skew
		wasIdle := s.idle[listener]
		idle := total.Received == last.Received && total.Delivered == last.Delivered && total.Dropped == last.Dropped &&
			total.InFlight == 0 && total.QueueBytes == 0 && skew == ""
		s.idle[listener] = idle
		if idle && wasIdle {
			continue
		}
		lost := total.Dropped.Lost() - last.Dropped.Lost()
		event := s.logger.Info()
		if lost > 0 {
			event = s.logger.Warn()
		}
		rate := func(now, before uint64) float64 { return round(float64(now-before) / seconds) }
		event = event.Str("listener", listener.Name).
			Float64("interval_s", float64(now.Sub(since).Milliseconds())/1000).
			Float64("received_per_s", rate(total.Received, last.Received)).
			Float64("delivered_per_s", rate(total.Delivered, last.Delivered)).
			Float64("bytes_per_s", rate(total.Bytes, last.Bytes)).
			Uint64("in_flight", total.InFlight).
			Uint64("queue_bytes", total.QueueBytes).
			Uint64("lost_in_interval", lost)
		for _, d := range []struct {
			reason      string
			now, before uint64
		}{
			{"kernel", total.Dropped.Kernel, last.Dropped.Kernel},
			{"not_allowed", total.Dropped.NotAllowed, last.Dropped.NotAllowed},
			{"rate_limited", total.Dropped.RateLimited, last.Dropped.RateLimited},
			{"malformed", total.Dropped.Malformed, last.Dropped.Malformed},
			{"output", total.Dropped.Output, last.Dropped.Output},
			{"reply", total.Dropped.Reply, last.Dropped.Reply},
			{"lost_in_crash", total.Dropped.LostInCrash, last.Dropped.LostInCrash},
		} {
			if d.now > d.before {
				event = event.Uint64("dropped_"+d.reason+"_in_interval", d.now-d.before)
			}
		}
		if skew != "" {
			event = event.Str("skew", skew)
		}
		if idle {
			event = event.Bool("idle", true)
		}
		event.Msg("stats")
	}
}

// round keeps one decimal.
func round(x float64) float64 { return float64(int64(x*10+0.5)) / 10 }

// logReading adds a shard's whole page to a log line.
func logReading(event *zerolog.Event, r metrics.Reading) *zerolog.Event {
	d := r.Dropped
	return event.Uint64("received", r.Received).Uint64("bytes", r.Bytes).Uint64("delivered", r.Delivered).
		Uint64("replied", r.Replied).Uint64("in_flight", r.InFlight).Uint64("truncated", r.Truncated).Uint64("unparsed", r.Unparsed).
		Uint64("malformed_header", r.MalformedHeader).
		Uint64("dropped_kernel", d.Kernel).Uint64("dropped_not_allowed", d.NotAllowed).Uint64("dropped_rate_limited", d.RateLimited).
		Uint64("dropped_malformed", d.Malformed).Uint64("dropped_output", d.Output).Uint64("dropped_reply", d.Reply).
		Uint64("dropped_lost_in_crash", d.LostInCrash)
}
