package server

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/udpshard/udpshard/internal/dnstcp"
	"github.com/udpshard/udpshard/packet/dns"
)

// dnsCollector exports the counters of the DNS listeners.
type dnsCollector struct{ server *server }

func dnsDesc(name, help string, labels ...string) *prometheus.Desc {
	labels = append([]string{"listener"}, labels...)
	return prometheus.NewDesc(name, help, labels, nil)
}

var (
	dnsQueriesDesc = dnsDesc("udpshard_dns_queries_total",
		"Queries, over UDP and TCP, by type (other: all types without a label of their own).", "type")
	dnsResponsesDesc = dnsDesc("udpshard_dns_responses_total",
		"Responses that were sent, by response code.", "rcode")
	dnsIgnoredDesc = dnsDesc("udpshard_dns_ignored_total",
		"Messages that must not be answered: responses, and messages from ports of reflectors.")
	dnsLimitedDesc = dnsDesc("udpshard_dns_responses_limited_total",
		"Responses above the rate limit: dropped, or sent without records.", "action")
	dnsStreamsDesc = dnsDesc("udpshard_dns_tcp_connections_total",
		"TCP connections, by outcome (evicted: accepted, and closed for another connection).",
		"outcome")
	dnsOpenDesc = dnsDesc("udpshard_dns_tcp_connections_open", "TCP connections that are open.")
)

var connectionCounts = [...]dns.Connection{
	dnstcp.Accepted:    dns.ConnectionAccepted,
	dnstcp.NotAdmitted: dns.ConnectionNotAdmitted,
	dnstcp.Refused:     dns.ConnectionRefused,
	dnstcp.Evicted:     dns.ConnectionEvicted,
}

func (d *dnsService) countStream(is dnstcp.Outcome) { d.CountConnection(connectionCounts[is]) }

// Describe implements prometheus.Collector.
func (c dnsCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{dnsQueriesDesc, dnsResponsesDesc, dnsIgnoredDesc,
		dnsLimitedDesc, dnsStreamsDesc, dnsOpenDesc} {
		ch <- desc
	}
}

// Collect implements prometheus.Collector.
func (c dnsCollector) Collect(ch chan<- prometheus.Metric) {
	send := func(desc *prometheus.Desc, value uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(value), labels...)
	}
	for _, d := range c.server.dnsServices() {
		name, counts := d.listener.Name, d.Counts()
		for text, n := range counts.Types {
			send(dnsQueriesDesc, n, name, text)
		}
		for text, n := range counts.Rcodes {
			send(dnsResponsesDesc, n, name, text)
		}
		send(dnsIgnoredDesc, counts.Ignored, name)
		send(dnsLimitedDesc, counts.Dropped, name, "dropped")
		send(dnsLimitedDesc, counts.Slipped, name, "truncated")
		for text, n := range counts.Connections {
			send(dnsStreamsDesc, n, name, text)
		}
		ch <- prometheus.MustNewConstMetric(dnsOpenDesc, prometheus.GaugeValue, float64(d.open()), name)
	}
}
