package prom

import (
	"runtime"
	"time"

	"github.com/udpshard/udpshard/metrics"
)

// ledgerMetrics are the metrics of the process.
var ledgerMetrics = newTable(nil, table[*metrics.Ledger]{
	{name: "build_info", kind: gauge,
		help: "The version that runs; the value is always 1. " +
			"Labels commit and go: deprecated since 0.1.0, use revision and goversion.",
		labels: []string{"version", "revision", "goversion", "commit", "go"},
		samples: func(l *metrics.Ledger, send sender) {
			send(1, l.Version, l.Revision, runtime.Version(), l.Revision, runtime.Version())
		}},
	{name: "role", kind: gauge, labels: []string{"role"},
		help: "1 for the role of the process, 0 for the other roles.",
		samples: func(l *metrics.Ledger, send sender) {
			for _, role := range []string{metrics.Active, metrics.Standby, metrics.Draining} {
				send(oneIf(l.Role() == role), role)
			}
		}},
	{name: "standbys", kind: gauge,
		help:    "Processes that can take over from this process now.",
		samples: one(func(l *metrics.Ledger) float64 { return float64(len(l.Standbys())) })},
	{name: "takeovers_total", kind: counter, labels: []string{"reason"},
		help: "Takeovers from one process to the next, by reason " +
			"(restart: with the sockets that systemd kept).",
		samples: func(l *metrics.Ledger, send sender) {
			for reason := range metrics.TakeoverReasons {
				send(float64(l.Takeovers().Count(reason)), reason.String())
			}
		}},
	{name: "config_last_reload_successful", kind: gauge,
		help: "1 if the settings of the last reload are in force, 0 if they were refused, or a zone failed to load. A start " +
			"counts as a successful reload.",
		samples: one(func(l *metrics.Ledger) float64 {
			return oneIf(l.Config().LastReloadSuccessful)
		})},
	{name: "config_last_reload_success_timestamp_seconds", kind: gauge,
		help: "Time of the last successful reload or start, in seconds since 1970.",
		samples: one(func(l *metrics.Ledger) float64 {
			return seconds(l.Config().LastReloadSuccessAt)
		})},
})

// listenerMetrics are the metrics of the steering of a listener.
var listenerMetrics = newTable([]string{"listener"}, table[metrics.Steering]{
	{name: "steer_moved_buckets", kind: gauge,
		help:    "Buckets (sets of flows) that steering has moved to another shard.",
		samples: one(func(s metrics.Steering) float64 { return float64(s.MovedBuckets) })},
	{name: "steer_sprayed_sources", kind: gauge,
		help:    "Senders whose datagrams steering spreads over all shards.",
		samples: one(func(s metrics.Steering) float64 { return float64(len(s.SprayedSources)) })},
	{name: "steer_changes_total", kind: counter, labels: []string{"kind"},
		help: "Changes that steering has made, by kind.",
		samples: func(s metrics.Steering, send sender) {
			for kind, n := range s.Changes {
				send(float64(n), kind)
			}
		}},
})

// shardState is a shard at one moment.
type shardState struct {
	metrics.Reading
	stalled bool
}

// shardMetrics are the metrics of a shard: those of metrics.Table, with drop reasons as labels, and
// the metrics of its thread.
var shardMetrics = newTable([]string{"listener", "shard"}, append(countMetrics(),
	dropMetric("datagrams_lost_total", true, "Datagrams that are lost, by reason.",
		(*metrics.Counter).IsLoss),
	dropMetric("datagrams_refused_total", false, "Datagrams dropped on purpose, by reason.",
		func(c *metrics.Counter) bool { return c.Drop == metrics.OnPurpose }),
	dropMetric("datagrams_dropped_total", false, "Deprecated since 0.1.0: use "+
		"udpshard_datagrams_lost_total, udpshard_datagrams_refused_total and "+
		"udpshard_replies_lost_total. Drops by reason, whose sum has no meaning.",
		func(*metrics.Counter) bool { return true }),
	metric[shardState]{name: "last_drop_timestamp_seconds", kind: gauge,
		help:   "Time of the last drop by reason, in seconds since 1970; 0: no drop, or time not known.",
		labels: []string{"reason"},
		samples: func(s shardState, send sender) {
			for _, c := range metrics.DropReasons() {
				send(seconds(c.LastDrop(s.LastDropped)), c.Name)
			}
		}},
	metric[shardState]{name: "shard_cpu_seconds_total", kind: counter,
		help: "CPU time of the shard's threads, user and system, of this process and its " +
			"predecessors.",
		samples: one(func(s shardState) float64 { return s.CPUTime.Seconds() })},
	metric[shardState]{name: "shard_stalled", kind: gauge,
		help:    "1 while the shard leaves datagrams in its queue unread, else 0.",
		samples: one(func(s shardState) float64 { return oneIf(s.stalled) })},
))

// countMetrics returns the metrics that metrics.Table names.
func countMetrics() (all table[shardState]) {
	for i := range metrics.Table {
		c := &metrics.Table[i]
		if c.Metric == "" {
			continue
		}
		kind := counter
		if c.Gauge {
			kind = gauge
		}
		all = append(all, metric[shardState]{name: c.Metric, kind: kind, help: c.Help,
			loss:    c.Drop != metrics.NoDrop,
			samples: one(func(s shardState) float64 { return float64(c.Value(s.Reading)) })})
	}
	return all
}

// dropMetric returns a metric with a sample for each drop reason for which has returns true.
func dropMetric(
	name string, loss bool, help string, has func(*metrics.Counter) bool,
) metric[shardState] {
	m := metric[shardState]{name: name, kind: counter, loss: loss, help: help,
		labels: []string{"reason"}}
	for _, c := range metrics.DropReasons() {
		if has(c) {
			m.reasons = append(m.reasons, c)
		}
	}
	m.samples = func(s shardState, send sender) {
		for _, c := range m.reasons {
			send(float64(c.Value(s.Reading)), c.Name)
		}
	}
	return m
}

// outputMetrics are the metrics of a target.
var outputMetrics = newTable([]string{"listener", "output"}, table[metrics.Output]{
	{name: "output_spooled_total", kind: counter,
		help: "Records that the spool has kept for the target: acknowledged + waiting + rejected + " +
			"expired.",
		samples: one(func(o metrics.Output) float64 { return float64(o.Spooled) })},
	{name: "output_acknowledged_total", kind: counter,
		help:    "Records that the target has acknowledged.",
		samples: one(func(o metrics.Output) float64 { return float64(o.Acknowledged) })},
	{name: "output_rejected_total", kind: counter, loss: true,
		help: "Records that the target has refused, and that are not sent again: rejected.json in " +
			"the spool has them.",
		samples: one(func(o metrics.Output) float64 { return float64(o.Rejected) })},
	{name: "output_expired_total", kind: counter, loss: true,
		help: "Records that were removed because the spool was full (when_full: drop_oldest), or " +
			"that were damaged on the disk.",
		samples: one(func(o metrics.Output) float64 { return float64(o.Expired) })},
	{name: "output_waiting", kind: gauge,
		help:    "Records that wait for the target.",
		samples: one(func(o metrics.Output) float64 { return float64(o.Waiting) })},
	{name: "output_waiting_bytes", kind: gauge,
		help:    "Bytes of records that wait for the target.",
		samples: one(func(o metrics.Output) float64 { return float64(o.WaitingBytes) })},
	{name: "output_oldest_waiting_seconds", kind: gauge,
		help:    "Age of the oldest record that waits for the target.",
		samples: one(func(o metrics.Output) float64 { return o.OldestWaiting })},
	{name: "output_failing", kind: gauge,
		help:    "1 while the target fails, else 0.",
		samples: one(func(o metrics.Output) float64 { return oneIf(o.LastError != "") })},
	{name: "output_resent_total", kind: counter,
		help:    "Acknowledged records that were sent again after a reconnect (resend).",
		samples: one(func(o metrics.Output) float64 { return float64(o.Resent) })},
	{name: "output_retries_total", kind: counter,
		help: "Repeated attempts to send a batch after a failure, since the start of this " +
			"process.",
		samples: one(func(o metrics.Output) float64 { return float64(o.Retries) })},
})

// oneIf returns 1 for true, and 0 for false.
func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// seconds returns a time in seconds since 1970, 0 for the zero time.
func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}
