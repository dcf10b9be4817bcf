package metrics

import (
	"slices"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// series is one metric and how a shard's reading gives its value.
type series struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(r *Reading) float64
}

var shardLabels = []string{"listener", "shard"}

func counter(name, help string, value func(r *Reading) uint64) series {
	return series{prometheus.NewDesc("udpshard_"+name, help, shardLabels, nil), prometheus.CounterValue,
		func(r *Reading) float64 { return float64(value(r)) }}
}

func gauge(name, help string, value func(r *Reading) uint64) series {
	s := counter(name, help, value)
	s.kind = prometheus.GaugeValue
	return s
}

var allSeries = []series{
	counter("datagrams_received_total", "Datagrams read from the socket.", func(r *Reading) uint64 { return r.Received }),
	counter("bytes_received_total", "Bytes of payload read from the socket.", func(r *Reading) uint64 { return r.Bytes }),
	counter("receive_batches_total", "Receive calls that brought datagrams.", func(r *Reading) uint64 { return r.Batches }),
	counter("datagrams_delivered_total", "Datagrams that the output has accepted for good.", func(r *Reading) uint64 { return r.Delivered }),
	counter("datagrams_truncated_total", "Delivered datagrams that were longer than max-datagram and were cut.", func(r *Reading) uint64 { return r.Truncated }),
	counter("datagrams_unparsed_total", "Delivered datagrams that no grammar of the protocol fitted.", func(r *Reading) uint64 { return r.Unparsed }),
	counter("datagrams_malformed_header_total",
		"Delivered datagrams whose header was taken up to the field that breaks the grammar.",
		func(r *Reading) uint64 { return r.MalformedHeader }),
	counter("replies_total", "Replies sent.", func(r *Reading) uint64 { return r.Replied }),
	gauge("in_flight", "Datagrams received that are neither delivered nor dropped yet.", func(r *Reading) uint64 { return r.InFlight }),
	gauge("receive_queue_bytes", "Bytes charged to the socket for datagrams that wait in the kernel.", func(r *Reading) uint64 { return r.QueueBytes }),
	gauge("receive_buffer_bytes", "Bytes that may be charged to the socket before the kernel drops.", func(r *Reading) uint64 { return r.BufferBytes }),
	{prometheus.NewDesc("udpshard_shard_cpu_seconds_total", "CPU time of the shard's threads, user and system.", shardLabels, nil),
		prometheus.CounterValue, func(r *Reading) float64 { return r.CPUTime.Seconds() }},
}

var droppedDesc = prometheus.NewDesc("udpshard_datagrams_dropped_total",
	"Datagrams lost, by reason (reply: the reply alone was lost).", []string{"listener", "shard", "reason"}, nil)

var takeoversDesc = prometheus.NewDesc("udpshard_takeovers_total",
	"Takeovers from one process to the next, by reason (restart: from what the service manager had kept).", []string{"reason"}, nil)

var (
	listenerLabels = []string{"listener"}

	stalledDesc = prometheus.NewDesc("udpshard_shard_stalled", "1 while the shard does not come back to a queue that waits, else 0.", shardLabels, nil)
	movedDesc   = prometheus.NewDesc("udpshard_steer_moved_buckets", "Parts of the flows that steering keeps away from their first shard.", listenerLabels, nil)
	sprayedDesc = prometheus.NewDesc("udpshard_steer_sprayed_sources", "Senders whose datagrams steering gives to any shard.", listenerLabels, nil)
	changesDesc = prometheus.NewDesc("udpshard_steer_changes_total", "Changes that steering made, by kind.", []string{"listener", "kind"}, nil)
)

var dropReasons = []struct {
	reason string
	value  func(d *Drops) uint64
}{
	{"kernel", func(d *Drops) uint64 { return d.Kernel }},
	{"not_allowed", func(d *Drops) uint64 { return d.NotAllowed }},
	{"rate_limited", func(d *Drops) uint64 { return d.RateLimited }},
	{"malformed", func(d *Drops) uint64 { return d.Malformed }},
	{"output", func(d *Drops) uint64 { return d.Output }},
	{"reply", func(d *Drops) uint64 { return d.Reply }},
	{"lost_in_crash", func(d *Drops) uint64 { return d.LostInCrash }},
}

// Describe implements prometheus.Collector.
func (l *Ledger) Describe(ch chan<- *prometheus.Desc) {
	for i := range allSeries {
		ch <- allSeries[i].desc
	}
	for _, desc := range []*prometheus.Desc{droppedDesc, takeoversDesc, stalledDesc, movedDesc, sprayedDesc, changesDesc} {
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
			for i := range allSeries {
				s := &allSeries[i]
				ch <- prometheus.MustNewConstMetric(s.desc, s.kind, s.value(&r), listener.Name, shard)
			}
			for _, d := range dropReasons {
				ch <- prometheus.MustNewConstMetric(droppedDesc, prometheus.CounterValue, float64(d.value(&r.Dropped)), listener.Name, shard, d.reason)
			}
		}
	}
}
