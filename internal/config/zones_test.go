package config

import (
	"fmt"
	"strings"
	"testing"

	"github.com/udpshard/udpshard/packet/dns"
)

// Zones are texts, lists and mappings from origins to files.
func TestZonesOfAFile(t *testing.T) {
	for value, want := range map[string]string{
		"a.zone":                      "[{ a.zone}]",
		"'a.zone,b=c'":                "[{ a.zone} {b c}]",
		"[a.zone, example.org=b.db]":  "[{ a.zone} {example.org b.db}]",
		"[./a=b]":                     "[{ ./a=b}]",
		"{example.org: a, b.test: c}": "[{example.org a} {b.test c}]",
		"[a, {example.org: b}]":       "[{ a} {example.org b}]",
	} {
		c, err := written(t, "listeners: [{protocol: dns, zone: "+value+", zone_dir: [d, e]}]").Config()
		if err != nil {
			t.Errorf("%s: %v", value, err)
			continue
		}
		l := c.Listeners[0]
		if got := fmt.Sprint(l.Zones); got != want || fmt.Sprint(l.ZoneDirs) != "[d e]" {
			t.Errorf("%s: %s, %s", value, got, l.ZoneDirs)
		}
	}
	for value, want := range map[string]string{
		"{a..b: c}":         "zone.a..b: a..b: not a domain name",
		"[{example.org: }]": "zone[0].example.org: the file is missing",
		"=a":                "zone: the origin before = is missing",
		"example.org=":      "zone: the file after = is missing",
	} {
		if _, err := written(t, "listeners: [{protocol: dns, zone: "+value+"}]").Config(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", value, err)
		}
	}
}

func TestParseZone(t *testing.T) {
	if got, err := ParseZone("example.org.=dir/a=b"); err != nil || got != (dns.Source{Origin: "example.org.", File: "dir/a=b"}) {
		t.Errorf("%v, %v", got, err)
	}
}
