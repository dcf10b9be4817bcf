package prom

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/udpshard/udpshard/metrics"
)

// table is the metrics of one kind of source S, such as a shard: one row for each metric.
// docs/metrics.md is made from the tables.
type table[S any] []metric[S]

// metric is a row of a table.
type metric[S any] struct {
	name    string // without the prefix udpshard_
	kind    prometheus.ValueType
	help    string // a sentence
	loss    bool   // growth means that datagrams, records or replies are lost
	labels  []string
	reasons []*metrics.Counter // the values of the label reason; nil: no drop reasons
	samples func(s S, send sender)

	desc *prometheus.Desc
}

// sender sends a sample of a metric. values are the values of the labels in the row of the metric.
type sender func(sample float64, values ...string)

const counter, gauge = prometheus.CounterValue, prometheus.GaugeValue

// newTable completes the rows of a table. source are the labels that say which source a sample is
// from: all metrics of the table have these labels, before the labels of the row.
func newTable[S any](source []string, rows table[S]) table[S] {
	for i := range rows {
		m := &rows[i]
		m.labels = slices.Concat(source, m.labels)
		help := m.help
		if m.loss {
			help += " Growth means loss."
		}
		m.desc = prometheus.NewDesc("udpshard_"+m.name, help, m.labels, nil)
	}
	return rows
}

// one is for metrics with one sample for each source.
func one[S any](value func(S) float64) func(S, sender) {
	return func(s S, send sender) { send(value(s)) }
}

func (t table[S]) describe(ch chan<- *prometheus.Desc) {
	for i := range t {
		ch <- t[i].desc
	}
}

// collect sends the metrics of a source. labels are the values of the labels of the source.
func (t table[S]) collect(ch chan<- prometheus.Metric, s S, labels ...string) {
	for i := range t {
		m := &t[i]
		m.samples(s, func(sample float64, values ...string) {
			all := slices.Concat(labels, values)
			ch <- prometheus.MustNewConstMetric(m.desc, m.kind, sample, all...)
		})
	}
}
