package udpshard_test

import (
	"go/ast"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// page is a document for users.
type page struct{ name, text string }

// pages returns README.md and the documents of docs and deploy.
func pages(t *testing.T) (all []page) {
	t.Helper()
	for _, pattern := range []string{"README.md", "docs/*.md", "deploy/*.md"} {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(names), err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, page{name, string(text)})
		}
	}
	return all
}

var (
	fenced     = regexp.MustCompile("(?ms)^```.*?^```$")
	link       = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading    = regexp.MustCompile(`(?m)^#+ (.+)$`)
	notInLink  = regexp.MustCompile(`[^\p{L}\p{N}_-]`)
	testName   = regexp.MustCompile(`\b(?:Test|Benchmark|Fuzz)[A-Z]\w+`)
	fileName   = regexp.MustCompile("(?:^|[\\s`(\"./])((?:\\.ci|bench|cmd|deploy|docs|internal|metrics|packet|shard)/[\\w./-]*\\w)")
	metricName = regexp.MustCompile(`\budpshard_[a-z_]*[a-z]\b`)
	message    = regexp.MustCompile("(?:says|logs|log line|has a line) `([^`]+)`")
	logTable   = regexp.MustCompile("(?m)^\\| `([^`]+)` \\| (?:info|warn|error)")
	kindTable  = regexp.MustCompile("(?m)^\\| `[a-z_]+` \\| `([a-z, ]+)` \\| (?:an?|the) ")
	logLine    = regexp.MustCompile(`(?m)^{"level":.*"message":"([^"]+)"`)
)

// anchors returns the fragments by which links reach the headings of a page on GitHub.
func anchors(text string) (all []string) {
	for _, match := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
		anchor := strings.ToLower(strings.ReplaceAll(match[1], " ", "-"))
		all = append(all, notInLink.ReplaceAllString(anchor, ""))
	}
	return all
}

func TestLinksOfDocuments(t *testing.T) {
	for _, p := range pages(t) {
		for _, match := range link.FindAllStringSubmatch(fenced.ReplaceAllString(p.text, ""), -1) {
			if strings.Contains(match[1], "://") {
				continue
			}
			path, anchor, _ := strings.Cut(match[1], "#")
			target := p.name
			if path != "" {
				target = filepath.Join(filepath.Dir(p.name), path)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: %v", p.name, err)
			} else if text, _ := os.ReadFile(target); anchor != "" && !slices.Contains(anchors(string(text)), anchor) {
				t.Errorf("%s: %s has no heading for #%s", p.name, target, anchor)
			}
		}
	}
}

// Each alert has a summary, and a remedy with a link to a heading of docs/troubleshooting.md.
// docs/operations.md has each alert.
func TestAlertsAreDocumented(t *testing.T) {
	read := func(name string) string {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	headings := anchors(read("docs/troubleshooting.md"))
	operations := read("docs/operations.md")
	rule := regexp.MustCompile(`(?s)^(\w+)\n.*\n +summary: '[^']+'\n +remedy: '[^']+: https://github.com/udpshard/udpshard/blob/main/docs/troubleshooting.md#([\w-]+)'\n$`)
	alerts := strings.Split(read("deploy/prometheus/udpshard-alerts.yml"), "      - alert: ")[1:]
	if len(alerts) == 0 {
		t.Error("no alerts")
	}
	for _, alert := range alerts {
		match := rule.FindStringSubmatch(strings.TrimSpace(alert) + "\n")
		if match == nil || !slices.Contains(headings, match[2]) || !strings.Contains(operations, "`"+match[1]+"`") {
			t.Errorf("%q: %q", alert, match)
		}
	}
}

// Each page begins with a title, docs/README.md links to every page of docs, and README.md is short
// enough for a first hour.
func TestDocumentsAreInOrder(t *testing.T) {
	index, err := os.ReadFile("docs/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pages(t) {
		if !strings.HasPrefix(p.text, "# ") {
			t.Errorf("%s has no title", p.name)
		}
		if base := filepath.Base(p.name); base != "README.md" && !strings.Contains(string(index), base+")") {
			t.Errorf("docs/README.md has no link to %s", p.name)
		}
		if lines := strings.Count(p.text, "\n"); p.name == "README.md" && lines > 200 {
			t.Errorf("README.md has %d lines, and may have 200", lines)
		}
	}
}

// Documents name tests, files, metrics and messages that the repository has: messages after words such
// as "the log says", in tables with a level in the second column, and in log lines. N stands for a
// number.
func TestNamesInDocuments(t *testing.T) {
	var code, tests strings.Builder
	err := filepath.WalkDir(".", func(name string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, ".go") {
			return err
		}
		text, err := os.ReadFile(name)
		if strings.HasSuffix(name, "_test.go") {
			tests.Write(text)
		} else {
			code.Write(text)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	has := func(text string) bool { return strings.Contains(code.String(), text) }
	for _, p := range pages(t) {
		for _, name := range testName.FindAllString(p.text, -1) {
			if !strings.Contains(tests.String(), "func "+name+"(") {
				t.Errorf("%s: there is no test %s", p.name, name)
			}
		}
		for _, match := range fileName.FindAllStringSubmatch(p.text, -1) {
			if _, err := os.Stat(match[1]); err != nil {
				t.Errorf("%s: %v", p.name, err)
			}
		}
		for _, name := range metricName.FindAllString(p.text, -1) {
			if !has(`"`+name+`"`) && !has(`"`+strings.TrimPrefix(name, "udpshard_")+`"`) {
				t.Errorf("%s: there is no metric %s", p.name, name)
			}
		}
		for _, form := range []*regexp.Regexp{message, logTable, kindTable, logLine} {
			for _, match := range form.FindAllStringSubmatch(p.text, -1) {
				if !has(strings.ReplaceAll(match[1], " N ", " %d ")) {
					t.Errorf("%s: there is no message %q", p.name, match[1])
				}
			}
		}
	}
}

// docs/troubleshooting.md has each log message.
func TestLogMessagesAreDocumented(t *testing.T) {
	page, err := os.ReadFile("docs/troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	logged := regexp.MustCompile(`\.Msg\("([^"]+)"\)`)
	source(t, func(_, name string, _ *ast.File) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Error(err)
		}
		for _, match := range logged.FindAllStringSubmatch(string(text), -1) {
			if !strings.Contains(string(page), "| `"+match[1]+"` |") {
				t.Errorf("%s logs %q, which docs/troubleshooting.md does not explain", name, match[1])
			}
		}
	})
}
