package prom

import (
	"slices"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/udpshard/udpshard/metrics"
)

var (
	listenerLabels = []string{"listener"}
	shardLabels    = []string{"listener", "shard"}

	droppedDesc = prometheus.NewDesc("udpshard_datagrams_dropped_total",
		"Datagrams lost, by reason (reply: only the reply was lost).",
		append(shardLabels, "reason"), nil)
	cpuDesc = prometheus.NewDesc("udpshard_shard_cpu_seconds_total",
		"CPU time of the shard's threads, user and system.", shardLabels, nil)
	stalledDesc = prometheus.NewDesc("udpshard_shard_stalled",
		"1 while the shard leaves datagrams in its queue unread, else 0.", shardLabels, nil)
	movedDesc = prometheus.NewDesc("udpshard_steer_moved_buckets",
		"Buckets (sets of senders) that steering keeps away from their home shard.", listenerLabels, nil)
	sprayedDesc = prometheus.NewDesc("udpshard_steer_sprayed_sources",
		"Senders whose datagrams steering gives to any shard.", listenerLabels, nil)
	changesDesc = prometheus.NewDesc("udpshard_steer_changes_total",
		"Changes that steering made, by kind.", []string{"listener", "kind"}, nil)
	takeoversDesc = prometheus.NewDesc("udpshard_takeovers_total",
		"Takeovers from one process to the next, by reason "+
			"(restart: with sockets that the service manager kept).", []string{"reason"}, nil)
)

// descs has the description of each row of metrics.Table.
var descs = func() (descs []*prometheus.Desc) {
	for _, c := range metrics.Table {
		desc := droppedDesc
		if c.Drop == metrics.NoDrop {
			desc = prometheus.NewDesc("udpshard_"+c.Metric, c.Help, shardLabels, nil)
		}
		descs = append(descs, desc)
	}
	return descs
}()

type collector struct{ ledger *metrics.Ledger }

// NewCollector returns the collector of the metrics of a ledger.
func NewCollector(l *metrics.Ledger) prometheus.Collector { return collector{l} }

// Describe implements prometheus.Collector.
func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, desc := range append(slices.Clone(descs), cpuDesc, stalledDesc, movedDesc, sprayedDesc,
		changesDesc, takeoversDesc) {
		ch <- desc
	}
	for _, m := range outputMetrics {
		ch <- m.desc
	}
}

// Collect implements prometheus.Collector. All values of a shard come from one reading, so that the
// equations of the ledger hold within a scrape.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	send := func(desc *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, kind, value, labels...)
	}
	const counter, gauge = prometheus.CounterValue, prometheus.GaugeValue
	takeovers := c.ledger.Takeovers()
	for reason := range metrics.TakeoverReasons {
		send(takeoversDesc, counter, float64(takeovers.Count(reason)), reason.String())
	}
	for _, listener := range c.ledger.Listeners() {
		steering := listener.Steering()
		send(movedDesc, gauge, float64(steering.MovedBuckets), listener.Name)
		send(sprayedDesc, gauge, float64(len(steering.SprayedSources)), listener.Name)
		for kind, n := range steering.Changes {
			send(changesDesc, counter, float64(n), listener.Name, kind)
		}
		for _, o := range listener.TargetLedgers() {
			for _, m := range outputMetrics {
				send(m.desc, m.kind, m.value(o), listener.Name, o.To)
			}
		}
		for _, r := range listener.Read() {
			labels := []string{listener.Name, strconv.Itoa(r.Shard)}
			stalled := 0.0
			if slices.Contains(steering.StalledShards, r.Shard) {
				stalled = 1
			}
			send(stalledDesc, gauge, stalled, labels...)
			send(cpuDesc, counter, r.CPUTime.Seconds(), labels...)
			for i, c := range metrics.Table {
				value := float64(c.Value(r))
				switch {
				case c.Drop != metrics.NoDrop:
					send(descs[i], counter, value, labels[0], labels[1], c.Name)
				case c.Gauge:
					send(descs[i], gauge, value, labels...)
				default:
					send(descs[i], counter, value, labels...)
				}
			}
		}
	}
}
