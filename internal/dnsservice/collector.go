package dnsservice

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/udpshard/udpshard/internal/dnstcp"
	"github.com/udpshard/udpshard/packet/dns"
)

// Collector exports the counters of the services that the function returns.
type Collector func() []*Service

func newDesc(name, help string, labels ...string) *prometheus.Desc {
	labels = append([]string{"listener"}, labels...)
	return prometheus.NewDesc(name, help, labels, nil)
}

var (
	queriesDesc = newDesc("udpshard_dns_queries_total",
		"Queries, over UDP and TCP, by type (other: all types without a label of their own).", "type")
	responsesDesc = newDesc("udpshard_dns_responses_total",
		"Responses that were sent, by response code.", "rcode")
	ignoredDesc = newDesc("udpshard_dns_ignored_total",
		"Messages that must not be answered: responses, and messages from ports of reflectors.")
	limitedDesc = newDesc("udpshard_dns_responses_limited_total",
		"Responses above the rate limit: dropped, or sent without records.", "action")
	streamsDesc = newDesc("udpshard_dns_tcp_connections_total",
		"TCP connections, by outcome (evicted: accepted, and closed for another connection).",
		"outcome")
	failedDesc = newDesc("udpshard_dns_zone_failed",
		"Zone files that failed to load, and are not served or only as they were before.", "file")
	openDesc = newDesc("udpshard_dns_tcp_connections_open", "TCP connections that are open.")
)

var connectionCounts = [...]dns.Connection{
	dnstcp.Accepted:    dns.ConnectionAccepted,
	dnstcp.NotAdmitted: dns.ConnectionNotAdmitted,
	dnstcp.Refused:     dns.ConnectionRefused,
	dnstcp.Evicted:     dns.ConnectionEvicted,
}

func (s *Service) countConnection(o dnstcp.Outcome) { s.CountConnection(connectionCounts[o]) }

// Describe implements prometheus.Collector.
func (c Collector) Describe(ch chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{queriesDesc, responsesDesc, ignoredDesc,
		limitedDesc, streamsDesc, openDesc, failedDesc} {
		ch <- desc
	}
}

// Collect implements prometheus.Collector.
func (c Collector) Collect(ch chan<- prometheus.Metric) {
	send := func(desc *prometheus.Desc, value uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(value), labels...)
	}
	for _, service := range c() {
		name, counts, open := service.listener, service.Counts(), 0
		if streams := service.streams.Load(); streams != nil {
			open = streams.OpenConnections()
		}
		for text, n := range counts.Types {
			send(queriesDesc, n, name, text)
		}
		for text, n := range counts.Rcodes {
			send(responsesDesc, n, name, text)
		}
		send(ignoredDesc, counts.Ignored, name)
		send(limitedDesc, counts.Dropped, name, "dropped")
		send(limitedDesc, counts.Slipped, name, "truncated")
		for text, n := range counts.Connections {
			send(streamsDesc, n, name, text)
		}
		for _, zone := range service.FailedZones() {
			ch <- prometheus.MustNewConstMetric(failedDesc, prometheus.GaugeValue, 1, name, zone.File)
		}
		ch <- prometheus.MustNewConstMetric(openDesc, prometheus.GaugeValue, float64(open), name)
	}
}
