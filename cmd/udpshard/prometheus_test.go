package main

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// prometheusFolder has the files for Prometheus and Grafana.
const prometheusFolder = "../../deploy/prometheus"

// An instance with DNS and with a target exports all metrics. Their names and help texts follow the
// conventions of Prometheus, the documents have each of them, and the alerts and the dashboard name
// no others.
func TestMetricsOfInstance(t *testing.T) {
	dir, web := t.TempDir(), freePort(t)
	file := filepath.Join(dir, "serve.yaml")
	zone := writeFile(t, filepath.Join(dir, "example.org.zone"), "@ 60 SOA ns admin 1 2 3 4 5\n@ NS ns\n")
	bad := writeFile(t, filepath.Join(dir, "example.net.zone"), "@ 60 SOA\n") // for udpshard_dns_zone_failed
	writeFile(t, file, fmt.Sprintf(`http: %s
spool: {path: %s}
listeners:
  - {name: syslog, address: %s, shards: 2, to: ['tcp://%s']}
  - {name: dns, address: %s, protocol: dns, shards: 1, output: discard, zone: [%s, %s]}
`, web, filepath.Join(dir, "spool"), freePort(t), freePort(t), freePort(t), zone, bad))
	p := launch(t, nil, "serve", "--config", file)
	p.http = web
	p.waitUntilReady()
	scrape := p.metrics()
	p.wantStop()

	var exported []string
	for _, match := range regexp.MustCompile(`(?m)^# TYPE (\w+) `).FindAllStringSubmatch(scrape, -1) {
		exported = append(exported, match[1])
	}
	documents := readFile(t, "../../docs/metrics.md") + readFile(t, "../../docs/dns.md")
	for _, name := range exported {
		if own := regexp.MustCompile("`" + name + "[`{]"); strings.HasPrefix(name, "udpshard_") && !own.MatchString(documents) {
			t.Errorf("the documents do not have %s", name)
		}
	}
	for _, name := range []string{"udpshard-alerts.yml", "udpshard-dashboard.json"} {
		used := regexp.MustCompile(`\b(udpshard|process|go)_[a-z_]+\b`).FindAllString(readFile(t, filepath.Join(prometheusFolder, name)), -1)
		if len(used) < 10 {
			t.Errorf("%s names %d metrics", name, len(used))
		}
		for _, metric := range used {
			if !slices.Contains(exported, metric) {
				t.Errorf("%s: an instance has no metric %s", name, metric)
			}
		}
	}

	check := exec.Command(requireProgram(t, "promtool", "prometheus"), "check", "metrics")
	check.Stdin = strings.NewReader(scrape)
	if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}

// Prometheus accepts the files of deploy/prometheus, and each alert fires when it should.
func TestAlerts(t *testing.T) {
	promtool := requireProgram(t, "promtool", "prometheus")
	for _, args := range [][]string{
		{"check", "config", "prometheus.yml"},
		{"test", "rules", "udpshard-alerts-test.yml"},
	} {
		cmd := exec.Command(promtool, args...)
		cmd.Dir = prometheusFolder
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	alerts, tests := readFile(t, filepath.Join(prometheusFolder, "udpshard-alerts.yml")), readFile(t, filepath.Join(prometheusFolder, "udpshard-alerts-test.yml"))
	names := regexp.MustCompile(`- alert: (\w+)`).FindAllStringSubmatch(alerts, -1)
	for _, match := range names {
		if !strings.Contains(tests, "alertname: "+match[1]+"\n        exp_alerts:") {
			t.Errorf("no test in which %s fires", match[1])
		}
	}
	if len(names) == 0 {
		t.Error("no alerts")
	}
}
