package metrics

import (
	"slices"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

var shardLabels = []string{"listener", "shard"}

// descs has the description of each counter of Table.
var descs = func() (descs []*prometheus.Desc) {
	for _, c := range Table {
		desc := droppedDesc
		if c.Drop == NoDrop {
			desc = prometheus.NewDesc("udpshard_"+c.Metric, c.Help, shardLabels, nil)
		}
		descs = append(descs, desc)
	}
	return descs
}()

var droppedDesc = prometheus.NewDesc("udpshard_datagrams_dropped_total",
	"Datagrams lost, by reason (reply: the reply alone was lost).", []string{"listener", "shard", "reason"}, nil)

var cpuDesc = prometheus.NewDesc("udpshard_shard_cpu_seconds_total", "CPU time of the shard's threads, user and system.", shardLabels, nil)

var takeoversDesc = prometheus.NewDesc("udpshard_takeovers_total",
	"Takeovers from one process to the next, by reason (restart: from what the service manager had kept).", []string{"reason"}, nil)

var (
	listenerLabels = []string{"listener"}

	stalledDesc = prometheus.NewDesc("udpshard_shard_stalled", "1 while the shard does not come back to a queue that waits, else 0.", shardLabels, nil)
	movedDesc   = prometheus.NewDesc("udpshard_steer_moved_buckets", "Parts of the flows that steering keeps away from their first shard.", listenerLabels, nil)
	sprayedDesc = prometheus.NewDesc("udpshard_steer_sprayed_sources", "Senders whose datagrams steering gives to any shard.", listenerLabels, nil)
	changesDesc = prometheus.NewDesc("udpshard_steer_changes_total", "Changes that steering made, by kind.", []string{"listener", "kind"}, nil)
)

// Describe implements prometheus.Collector.
func (l *Ledger) Describe(ch chan<- *prometheus.Desc) {
	for _, desc := range append(descs, cpuDesc, takeoversDesc, stalledDesc, movedDesc, sprayedDesc, changesDesc) {
		ch <- desc
	}
}

// Collect implements prometheus.Collector: one reading a shard, so that the
// ledger's equation holds within a scrape too.
func (l *Ledger) Collect(ch chan<- prometheus.Metric) {
	takeovers := l.Takeovers()
	for reason := range takeoverReasons {
		ch <- prometheus.MustNewConstMetric(takeoversDesc, prometheus.CounterValue, float64(takeovers.counts[reason].Load()), reason.String())
	}
	for _, listener := range l.Listeners() {
		steering := listener.Steering()
		gauge := func(desc *prometheus.Desc, value int, labels ...string) {
			ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(value), append([]string{listener.Name}, labels...)...)
		}
		gauge(movedDesc, steering.MovedBuckets)
		gauge(sprayedDesc, len(steering.SprayedSources))
		for kind, n := range steering.Changes {
			ch <- prometheus.MustNewConstMetric(changesDesc, prometheus.CounterValue, float64(n), listener.Name, kind)
		}
		for _, r := range listener.Read() {
			shard := strconv.Itoa(r.Shard)
			stalled := 0
			if slices.Contains(steering.StalledShards, r.Shard) {
				stalled = 1
			}
			gauge(stalledDesc, stalled, shard)
			ch <- prometheus.MustNewConstMetric(cpuDesc, prometheus.CounterValue, r.CPUTime.Seconds(), listener.Name, shard)
			for i, c := range Table {
				kind, labels := prometheus.CounterValue, []string{listener.Name, shard}
				if c.Gauge {
					kind = prometheus.GaugeValue
				}
				if c.Drop != NoDrop {
					labels = append(labels, c.Name)
				}
				ch <- prometheus.MustNewConstMetric(descs[i], kind, float64(c.Value(r)), labels...)
			}
		}
	}
}
