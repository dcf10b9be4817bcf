package prom

import (
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the tables of metrics in docs/metrics.md")

// see has a link for some metrics, as docs/metrics.md needs it.
var see = map[string]string{
	"datagrams_lost_total":          "[troubleshooting](troubleshooting.md#something-was-lost-what-now)",
	"datagrams_refused_total":       "[configuration](configuration.md#keys-of-a-listener)",
	"datagrams_truncated_total":     "[configuration](configuration.md#keys-of-a-listener)",
	"receive_buffer_bytes":          "[receive buffers](operations.md#receive-buffers)",
	"replies_total":                 "[DNS](dns.md)",
	"steer_moved_buckets":           "[steering](steering.md)",
	"steer_changes_total":           "[steering](steering.md#how-to-see-it)",
	"standbys":                      "[standby](operations.md#standby)",
	"takeovers_total":               "[takeovers](#takeovers)",
	"config_last_reload_successful": "[reload](configuration.md#reload)",
	"output_spooled_total":          "[shipping](shipping.md#the-second-ledger)",
	"output_expired_total":          "[damage](shipping.md#damage)",
	"output_resent_total":           "[TCP and TLS](targets.md#tcp-and-tls)",
}

// docs/metrics.md has a row for each metric, and for each drop reason of a metric.
func TestPageHasEveryMetric(t *testing.T) {
	const name = "../../docs/metrics.md"
	const command = "go test ./metrics/prom -run TestPageHasEveryMetric -update"
	const begin, end = "<!-- made by " + command + " -->\n", "<!-- end -->\n"
	page, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, began := strings.Cut(string(page), begin)
	was, after, ended := strings.Cut(rest, end)
	if !began || !ended {
		t.Fatalf("%s has no marks %q, %q", name, begin, end)
	}
	var tables strings.Builder
	writeTable(&tables, "the process", ledgerMetrics)
	writeTable(&tables, "a shard", shardMetrics, "listener", "shard")
	writeTable(&tables, "the steering of a listener", listenerMetrics, "listener")
	writeTable(&tables, "a target, where `output` is its URL", outputMetrics, "listener", "output")
	switch is := tables.String(); {
	case *update:
		if err := os.WriteFile(name, []byte(before+begin+is+end+after), 0o644); err != nil {
			t.Error(err)
		}
	case was != is:
		t.Errorf("%s is not up to date: run %s", name, command)
	}
}

// writeTable writes a table of metrics in Markdown. labels are those of all metrics of the table.
func writeTable[S any](w io.Writer, source string, t table[S], labels ...string) {
	with := ""
	if len(labels) > 0 {
		with = fmt.Sprintf(" (labels `%s`)", strings.Join(labels, "`, `"))
	}
	fmt.Fprintf(w, "\nMetrics of %s%s:\n\n| metric | type | loss | meaning |\n|---|---|---|---|\n", source, with)
	for _, m := range t {
		name, kind, loss := "udpshard_"+m.name, "counter", ""
		if more := m.labels[len(labels):]; len(more) > 0 {
			name += "{" + strings.Join(more, ",") + "}"
		}
		if m.kind == gauge {
			kind = "gauge"
		}
		if m.loss {
			loss = "yes"
		}
		meaning := m.help
		if to, ok := see[m.name]; ok {
			meaning += " See " + to + "."
		}
		fmt.Fprintf(w, "| `%s` | %s | %s | %s |\n", name, kind, loss, meaning)
		for _, c := range m.reasons {
			if !strings.HasPrefix(m.help, "Deprecated") {
				fmt.Fprintf(w, "| … `reason=%q` | | %s | %s |\n", c.Name, loss, c.Help)
			}
		}
	}
}
