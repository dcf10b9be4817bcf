package server

import (
	"time"

	"github.com/rs/zerolog"

	"github.com/udpshard/udpshard/metrics"
)

// stats logs each listener's rates and losses at an interval.
type stats struct {
	ledger   *metrics.Ledger
	logger   zerolog.Logger
	ticker   *time.Ticker // stopped while interval is 0
	interval time.Duration
	last     map[*metrics.Listener]metrics.Reading
	idle     map[*metrics.Listener]bool // the last line has the field idle
	since    time.Time
}

// newStats begins with the present counters: counts of predecessors are in no line. newStats comes
// before the process reads.
func newStats(ledger *metrics.Ledger, logger zerolog.Logger, interval time.Duration) *stats {
	s := &stats{ledger: ledger, logger: logger, since: time.Now(), ticker: time.NewTicker(time.Hour),
		last: make(map[*metrics.Listener]metrics.Reading), idle: make(map[*metrics.Listener]bool)}
	s.ticker.Stop()
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
	s.ticker.Stop()
	if interval > 0 {
		s.ticker.Reset(interval)
	}
}

// log logs the traffic of each listener since the last call: rates per second, and counts of the
// interval. The line is a warning if datagrams were lost. A listener without traffic has one line.
func (s *stats) log(now time.Time) {
	since := s.since
	s.since = now
	seconds := now.Sub(since).Seconds()
	for _, listener := range s.ledger.Listeners() {
		total := metrics.Sum(listener.Read())
		news := total.Since(s.last[listener])
		s.last[listener] = total
		skew := listener.Steering().Skew
		wasIdle := s.idle[listener]
		idle := news.Received == 0 && news.Delivered == 0 && news.Dropped == (metrics.Drops{}) &&
			total.InFlight == 0 && total.QueueBytes == 0 && skew == ""
		s.idle[listener] = idle
		if idle && wasIdle {
			continue
		}
		lost := news.Dropped.Lost()
		event := s.logger.Info()
		if lost > 0 {
			event = s.logger.Warn()
		}
		rate := func(n uint64) float64 { return round(float64(n) / seconds) }
		event = event.Str("listener", listener.Name).
			Float64("interval_s", float64(now.Sub(since).Milliseconds())/1000).
			Float64("received_per_s", rate(news.Received)).
			Float64("delivered_per_s", rate(news.Delivered)).
			Float64("bytes_per_s", rate(news.Bytes)).
			Uint64("in_flight", total.InFlight).
			Uint64("queue_bytes", total.QueueBytes).
			Uint64("lost_in_interval", lost)
		for _, c := range metrics.Table {
			if n := c.Value(news); c.Drop != metrics.NoDrop && n > 0 {
				event = event.Uint64(c.LogName()+"_in_interval", n)
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

// round rounds to a multiple of 0.1.
func round(x float64) float64 { return float64(int64(x*10+0.5)) / 10 }

// logReading adds the counters of a shard to a log line.
func logReading(event *zerolog.Event, r metrics.Reading) *zerolog.Event {
	for _, c := range metrics.Table {
		if !c.Unlogged {
			event = event.Uint64(c.LogName(), c.Value(r))
		}
	}
	return event
}
