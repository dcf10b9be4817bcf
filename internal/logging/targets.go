package logging

import "github.com/udpshard/udpshard/metrics"

// target identifies a target of a listener.
type target struct {
	listener *metrics.Listener
	to       string
}

// logTargets logs the traffic of a listener's targets since the last call. The line is a warning if
// the target fails, or if records were rejected or have expired. A target with nothing to do has no
// line.
func (s *Stats) logTargets(listener *metrics.Listener, seconds float64) {
	for _, now := range listener.TargetLedgers() {
		key := target{listener, now.To}
		last := s.targets[key]
		s.targets[key] = now
		acknowledged := now.Acknowledged - last.Acknowledged
		rejected, expired := now.Rejected-last.Rejected, now.Expired-last.Expired
		if acknowledged+rejected+expired+now.Waiting == 0 && now.LastError == "" {
			continue
		}
		event := s.log.Info()
		if rejected+expired > 0 || now.LastError != "" {
			event = s.log.Warn()
		}
		event.Str("listener", listener.Name).Str("to", now.To).
			Float64("acknowledged_per_s", Round(float64(acknowledged)/seconds)).
			Uint64("waiting", now.Waiting).Int64("waiting_bytes", now.WaitingBytes).
			Float64("oldest_waiting_s", Round(now.OldestWaiting)).
			Uint64("rejected_in_interval", rejected).Uint64("expired_in_interval", expired)
		if now.LastError != "" {
			event.Str("error", now.LastError)
		}
		event.Msg("stats of a target")
	}
}
