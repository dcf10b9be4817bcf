package prom

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/udpshard/udpshard/metrics"
)

// outputMetrics are the metrics of targets.
var outputMetrics = []outputMetric{
	newOutputMetric("udpshard_output_spooled_total", "Records written to the spool for the target: acknowledged + waiting + rejected + expired.",
		prometheus.CounterValue, func(o metrics.Output) float64 { return float64(o.Spooled) }),
	newOutputMetric("udpshard_output_acknowledged_total", "Records that the target has acknowledged.",
		prometheus.CounterValue, func(o metrics.Output) float64 { return float64(o.Acknowledged) }),
	newOutputMetric("udpshard_output_rejected_total", "Records that the target has refused for good.",
		prometheus.CounterValue, func(o metrics.Output) float64 { return float64(o.Rejected) }),
	newOutputMetric("udpshard_output_expired_total", "Records dropped because the spool was full, or damaged on the disk.",
		prometheus.CounterValue, func(o metrics.Output) float64 { return float64(o.Expired) }),
	newOutputMetric("udpshard_output_resent_total", "Acknowledged records that were sent again after a reconnect.",
		prometheus.CounterValue, func(o metrics.Output) float64 { return float64(o.Resent) }),
	newOutputMetric("udpshard_output_retries_total", "Attempts after a failure, of this process.",
		prometheus.CounterValue, func(o metrics.Output) float64 { return float64(o.Retries) }),
	newOutputMetric("udpshard_output_waiting", "Records that wait for the target.",
		prometheus.GaugeValue, func(o metrics.Output) float64 { return float64(o.Waiting) }),
	newOutputMetric("udpshard_output_waiting_bytes", "Bytes that wait for the target.",
		prometheus.GaugeValue, func(o metrics.Output) float64 { return float64(o.WaitingBytes) }),
	newOutputMetric("udpshard_output_oldest_waiting_seconds", "Age of the oldest record that waits for the target.",
		prometheus.GaugeValue, func(o metrics.Output) float64 { return o.OldestWaiting }),
	newOutputMetric("udpshard_output_failing", "1 while the target fails, else 0.",
		prometheus.GaugeValue, func(o metrics.Output) float64 {
			if o.LastError != "" {
				return 1
			}
			return 0
		}),
}

// outputMetric is a metric of a target.
type outputMetric struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(metrics.Output) float64
}

func newOutputMetric(
	name, help string, kind prometheus.ValueType, value func(metrics.Output) float64,
) outputMetric {
	desc := prometheus.NewDesc(name, help, []string{"listener", "output"}, nil)
	return outputMetric{desc, kind, value}
}
