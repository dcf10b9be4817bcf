package logging

import (
	"time"

	"github.com/rs/zerolog"

	"github.com/udpshard/udpshard/metrics"
)

// Stats logs the rates and losses of each listener. The caller calls Log at each tick. Stats is for
// one goroutine.
type Stats struct {
	Ticker   *time.Ticker // stopped while the interval is 0
	ledger   *metrics.Ledger
	log      zerolog.Logger
	interval time.Duration
	last     map[*metrics.Listener]metrics.Reading
	idle     map[*metrics.Listener]bool // the last line has the field idle
	targets  map[target]metrics.Output  // at the last call of Log
	since    time.Time
}

// NewStats begins with the present counters: counts of predecessors are in no line. NewStats comes
// before the process reads.
func NewStats(ledger *metrics.Ledger, log zerolog.Logger, interval time.Duration) *Stats {
	s := &Stats{Ticker: time.NewTicker(time.Hour), ledger: ledger, log: log, since: time.Now(),
		last: make(map[*metrics.Listener]metrics.Reading), idle: make(map[*metrics.Listener]bool),
		targets: make(map[target]metrics.Output)}
	s.Ticker.Stop()
	for _, listener := range ledger.Listeners() {
		s.last[listener] = metrics.Sum(listener.Read())
		for _, o := range listener.TargetLedgers() {
			s.targets[target{listener, o.To}] = o
		}
	}
	s.SetInterval(interval)
	return s
}

func (s *Stats) SetInterval(interval time.Duration) {
	if interval == s.interval {
		return
	}
	s.interval = interval
	s.Ticker.Stop()
	if interval > 0 {
		s.Ticker.Reset(interval)
	}
}

// Log logs the traffic of each listener since the last call: rates per second, and counts of the
// interval. The line is a warning if datagrams were lost. A listener without traffic has one line.
func (s *Stats) Log(now time.Time) {
	since := s.since
	s.since = now
	seconds := now.Sub(since).Seconds()
	for _, listener := range s.ledger.Listeners() {
		s.logTargets(listener, seconds)
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
		event := s.log.Info()
		if lost > 0 {
			event = s.log.Warn()
		}
		rate := func(n uint64) float64 { return Round(float64(n) / seconds) }
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

// Round rounds to a multiple of 0.1.
func Round(x float64) float64 { return float64(int64(x*10+0.5)) / 10 }
