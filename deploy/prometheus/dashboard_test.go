// Package prometheus_test checks the Grafana dashboard with the parser of Prometheus and the types of
// Grafana. TestMetricsOfInstance in cmd/udpshard checks the names of its metrics.
package prometheus_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/prometheus/prometheus/promql/parser"
)

// Grafana knows each key of the dashboard, and Prometheus can parse each expression. The dashboard has
// version 1 of the schema, because Grafana 11 can't import version 2.
func TestDashboard(t *testing.T) {
	text, err := os.ReadFile("udpshard-dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	plugins.RegisterDefaultPlugins()
	// Version 0.0.22 of the types returns an error without text if all is well.
	if err := new(dashboard.Dashboard).UnmarshalJSONStrict(text); err != nil && err.Error() != "" {
		t.Error(err)
	}
	var d dashboard.Dashboard
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	if err := d.Validate(); err != nil {
		t.Error(err)
	}
	variables := strings.NewReplacer("$__rate_interval", "1m", "$__range", "1h")
	parse := parser.NewParser(parser.Options{})
	expressions := 0
	for _, p := range d.Panels {
		if p.Panel == nil {
			continue // a row
		}
		for _, target := range p.Panel.Targets {
			query, ok := target.(*prometheus.Dataquery)
			if !ok {
				t.Errorf("panel %q: target of type %T", *p.Panel.Title, target)
				continue
			}
			expressions++
			if _, err := parse.ParseExpr(variables.Replace(query.Expr)); err != nil {
				t.Errorf("panel %q: %s: %v", *p.Panel.Title, query.Expr, err)
			}
		}
	}
	if expressions < 30 {
		t.Errorf("%d expressions", expressions)
	}
}
