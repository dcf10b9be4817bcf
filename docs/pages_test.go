// Package docs_test holds the documents to the program: their examples run, and their links and
// names lead to what is there.
package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// page is a document that users read.
type page struct {
	name string // from the top of the repository
	text string
}

// pages returns README.md and the documents of docs and deploy.
func pages(t *testing.T) (all []page) {
	t.Helper()
	for _, pattern := range []string{"README.md", "docs/*.md", "deploy/*.md"} {
		names, err := filepath.Glob(filepath.Join("..", pattern))
		if err != nil || len(names) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(names), err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, page{strings.TrimPrefix(filepath.ToSlash(name), "../"), string(text)})
		}
	}
	return all
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.+)$`)
)

// anchors are the fragments by which the headings of a page can be linked to, as GitHub makes them.
func anchors(text string) (all []string) {
	for _, match := range heading.FindAllStringSubmatch(withoutBlocks(text), -1) {
		anchor := strings.ToLower(strings.ReplaceAll(match[1], " ", "-"))
		all = append(all, regexp.MustCompile(`[^\p{L}\p{N}_-]`).ReplaceAllString(anchor, ""))
	}
	return all
}

var fenced = regexp.MustCompile("(?ms)^```.*?^```$")

// withoutBlocks returns a page without its fenced blocks.
func withoutBlocks(text string) string { return fenced.ReplaceAllString(text, "") }

func TestLinks(t *testing.T) {
	for _, p := range pages(t) {
		for _, match := range link.FindAllStringSubmatch(withoutBlocks(p.text), -1) {
			target := match[1]
			if strings.Contains(target, "://") {
				continue
			}
			path, anchor, _ := strings.Cut(target, "#")
			text := p.text
			if path != "" {
				data, err := os.ReadFile(filepath.Join("..", filepath.Dir(p.name), path))
				if info, e := os.Stat(filepath.Join("..", filepath.Dir(p.name), path)); e == nil && info.IsDir() {
					err = nil
				}
				if err != nil {
					t.Errorf("%s: %v", p.name, err)
					continue
				}
				text = string(data)
			}
			if anchor != "" && !slices.Contains(anchors(text), anchor) {
				t.Errorf("%s: %s has no heading for #%s", p.name, path, anchor)
			}
		}
	}
}

// Each page begins with a heading, and docs/README.md and README.md lead to all of docs.
func TestIndex(t *testing.T) {
	all := pages(t)
	for _, p := range all {
		if !strings.HasPrefix(p.text, "# ") {
			t.Errorf("%s does not begin with its title", p.name)
		}
	}
	i := slices.IndexFunc(all, func(p page) bool { return p.name == "docs/README.md" })
	if i < 0 {
		t.Fatal("docs has no index")
	}
	for _, p := range all {
		if name, ok := strings.CutPrefix(p.name, "docs/"); ok && name != "README.md" && !strings.Contains(all[i].text, "("+name+")") {
			t.Errorf("docs/README.md does not lead to %s", name)
		}
	}
}

// TestReadmeLength: README.md is for the first hour; what is longer belongs to docs.
func TestReadmeLength(t *testing.T) {
	for _, p := range pages(t) {
		if lines := strings.Count(p.text, "\n"); p.name == "README.md" && lines > 200 {
			t.Errorf("README.md has %d lines, and 200 at the most", lines)
		}
	}
}

// Tests that a page names are there.
func TestNamesOfTests(t *testing.T) {
	code := source(t, "_test.go")
	for _, p := range pages(t) {
		for _, name := range regexp.MustCompile(`\b(Test|Benchmark|Fuzz)[A-Z]\w+`).FindAllString(p.text, -1) {
			if !strings.Contains(code, "func "+name+"(") {
				t.Errorf("%s names %s, which is no test", p.name, name)
			}
		}
	}
}

// Files and folders of the repository that a page names are there.
func TestNamesOfFiles(t *testing.T) {
	name := regexp.MustCompile(`(?:^|[\s` + "`" + `("./])((?:\.ci|bench|cmd|deploy|docs|internal|metrics|packet|shard)/[\w./-]*\w)`)
	for _, p := range pages(t) {
		for _, match := range name.FindAllStringSubmatch(p.text, -1) {
			if _, err := os.Stat(filepath.Join("..", match[1])); err != nil {
				t.Errorf("%s: %v", p.name, err)
			}
		}
	}
}

var (
	metricName = regexp.MustCompile(`\budpshard_[a-z_]*[a-z]\b`)
	logMessage = regexp.MustCompile("(?:log (?:then )?says|logs|log line|has a line) `([^`]+)`")
	logTable   = regexp.MustCompile("(?m)^\\| `([^`]+)` \\| (?:info|warn|error)")
)

// Metrics and log messages that a page names are there: messages after such words as "the log says",
// and in tables with a column for the level. N stands for a number.
func TestNamesOfMetricsAndMessages(t *testing.T) {
	code := source(t, ".go")
	for _, p := range pages(t) {
		for _, name := range metricName.FindAllString(p.text, -1) {
			if bare := strings.TrimPrefix(name, "udpshard_"); !strings.Contains(code, `"`+bare+`"`) && !strings.Contains(code, `"`+name+`"`) {
				t.Errorf("%s names the metric %s, which is not in the code", p.name, name)
			}
		}
		for _, match := range slices.Concat(logMessage.FindAllStringSubmatch(p.text, -1), logTable.FindAllStringSubmatch(p.text, -1)) {
			if text := strings.ReplaceAll(match[1], " N ", " %d "); !strings.Contains(code, `"`+text) {
				t.Errorf("%s names the log message %q, which is not in the code", p.name, match[1])
			}
		}
	}
}

// source returns the text of all Go files whose names end so.
func source(t *testing.T, suffix string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir("..", func(name string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, suffix) {
			return err
		}
		text, err := os.ReadFile(name)
		all.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}
