package logging

import (
	"github.com/rs/zerolog"

	"github.com/udpshard/udpshard/metrics"
)

// FinalLedger logs the counters of each shard, and the ledger of each target, at each log level.
func FinalLedger(log zerolog.Logger, ledger *metrics.Ledger) {
	line := func(listener *metrics.Listener) *zerolog.Event {
		return log.Log().Str(zerolog.LevelFieldName, zerolog.LevelInfoValue).Str("listener", listener.Name)
	}
	for _, listener := range ledger.Listeners() {
		for _, r := range listener.Read() {
			event := line(listener).Int("shard", r.Shard)
			for _, c := range metrics.Table {
				if !c.Unlogged {
					event.Uint64(c.LogName(), c.Value(r))
				}
			}
			event.Msg("final ledger")
		}
		for _, o := range listener.TargetLedgers() {
			line(listener).Str("to", o.To).Uint64("spooled", o.Spooled).
				Uint64("acknowledged", o.Acknowledged).Uint64("waiting", o.Waiting).
				Uint64("rejected", o.Rejected).Uint64("expired", o.Expired).
				Uint64("resent", o.Resent).Msg("final ledger of a target")
		}
	}
}
