package targets

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// docs/targets.md has a section for each scheme, with a row for each option.
func TestOptionsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../../docs/targets.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := make(map[string]string) // by scheme
	for _, section := range strings.Split(string(text), "\n## ")[1:] {
		for _, match := range regexp.MustCompile("`([a-z+]+)://").FindAllStringSubmatch(section, -1) {
			sections[match[1]] += section
		}
	}
	example := map[string]string{"nats": "nats://h:1/s", "kafka": "kafka://h:1/t", "dnstap+unix": "dnstap+unix:///s"}
	name := regexp.MustCompile("`([a-z_]+)`")
	for _, scheme := range Schemes {
		section := sections[scheme]
		if section == "" {
			t.Errorf("%s has no section", scheme)
		}
		urls := []string{scheme + "://h:1"}
		if url, ok := example[scheme]; ok {
			urls = []string{url}
		}
		if strings.HasPrefix(scheme, "http") {
			urls = []string{scheme + "://h/x", scheme + "://h/_bulk#format=elasticsearch", scheme + "://h/x#format=loki",
				scheme + "://h/x#format=splunk_hec", scheme + "://h/x#format=otlp"}
		}
		for _, url := range urls {
			separator := "#"
			if strings.Contains(url, "#") {
				separator = "&"
			}
			s, err := Parse(url + separator + "unknown_option=1")
			if err != nil {
				t.Fatal(err)
			}
			_, err = New(s)
			if err == nil {
				t.Fatalf("%s takes an unknown option", url)
			}
			_, list, _ := strings.Cut(err.Error(), "use one of ")
			list, _, _ = strings.Cut(list, "\n")
			var documented []string
			for _, match := range name.FindAllStringSubmatch(section, -1) {
				documented = append(documented, match[1])
			}
			for option := range strings.SplitSeq(list, ", ") {
				if option != "" && !slices.Contains(documented, option) {
					t.Errorf("%s: docs/targets.md does not have the option %q", url, option)
				}
			}
		}
		for _, row := range regexp.MustCompile("(?m)^\\| ((?:`[a-z_]+`(?:, )?)+) \\|").FindAllStringSubmatch(section, -1) {
			for _, match := range name.FindAllStringSubmatch(row[1], -1) {
				if !someTargetHas(scheme, urls, match[1]) && !slices.Contains(formats, match[1]) {
					t.Errorf("%s: there is no option %s, which docs/targets.md has", scheme, match[1])
				}
			}
		}
	}
}

// formats are in the table of the formats of HTTP.
var formats = []string{"ndjson", "elasticsearch", "loki", "splunk_hec", "otlp"}

// someTargetHas reports whether a target of one of the URLs has an option. Options of TLS are in
// the tables of schemes that have a scheme with TLS beside them.
func someTargetHas(scheme string, urls []string, option string) bool {
	if slices.Contains([]string{"ca", "cert", "key", "server_name", "verify"}, option) {
		return scheme != "udp"
	}
	for _, url := range urls {
		s, err := Parse(url + map[bool]string{true: "&", false: "#"}[strings.Contains(url, "#")] + option + "=1")
		if err != nil {
			return false
		}
		if _, err = New(s); err == nil || !strings.Contains(err.Error(), "unknown option") {
			return true
		}
	}
	return false
}
