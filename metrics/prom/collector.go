package prom

import (
	"slices"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/udpshard/udpshard/metrics"
)

type collector struct{ ledger *metrics.Ledger }

// NewCollector returns the collector of the metrics of a ledger.
func NewCollector(l *metrics.Ledger) prometheus.Collector { return collector{l} }

// Describe implements prometheus.Collector.
func (c collector) Describe(ch chan<- *prometheus.Desc) {
	ledgerMetrics.describe(ch)
	listenerMetrics.describe(ch)
	shardMetrics.describe(ch)
	outputMetrics.describe(ch)
}

// Collect implements prometheus.Collector. All values of a shard come from one reading, so that the
// equations of the ledger hold within a scrape.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	ledgerMetrics.collect(ch, c.ledger)
	for _, l := range c.ledger.Listeners() {
		steering := l.Steering()
		listenerMetrics.collect(ch, steering, l.Name)
		for _, r := range l.Read() {
			stalled := slices.Contains(steering.StalledShards, r.Shard)
			shardMetrics.collect(ch, shardState{r, stalled}, l.Name, strconv.Itoa(r.Shard))
		}
		for _, o := range l.TargetLedgers() {
			outputMetrics.collect(ch, o, l.Name, o.To)
		}
	}
}
