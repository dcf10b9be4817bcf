package syslog

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// documentation returns the two parts of docs/syslog.md: about JSON, and about other formats.
func documentation(t *testing.T) (json, others string) {
	t.Helper()
	page, err := os.ReadFile("../../docs/syslog.md")
	if err != nil {
		t.Fatal(err)
	}
	json, others, found := strings.Cut(string(page), "\n## Other formats\n")
	if !found {
		t.Fatal("no part about other formats")
	}
	return json, others
}

// TestDocumentation runs the samples of docs/syslog.md.
func TestDocumentation(t *testing.T) {
	page, _ := documentation(t)
	rows := regexp.MustCompile("(?m)^\\| (.+?) \\| `(.+?)` \\| `(.+?)` \\|$").FindAllStringSubmatch(page, -1)
	if len(rows) < 15 {
		t.Fatalf("%d rows found", len(rows))
	}
	d := Decoder{Location: time.UTC}
	for _, row := range rows {
		t.Run(row[1], func(t *testing.T) {
			text := strings.ReplaceAll(row[2], "⇥", "\t")
			want := strings.ReplaceAll(row[3], "⇥", `\t`)
			var m Message
			d.Decode(&m, []byte(text), receivedAt)
			got := string(m.AppendJSON(nil)) + `,"format":"` + string(m.Format) + `"`
			if m.Malformed != "" {
				got += `,"malformed":"` + m.Malformed + `"`
			}
			got += "}"
			if got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

// TestDocumentedLines runs the samples of RFC 5424 lines in docs/syslog.md.
func TestDocumentedLines(t *testing.T) {
	_, page := documentation(t)
	rows := regexp.MustCompile("(?m)^\\| `(.+?)` \\| `(<.+?)` \\|$").FindAllStringSubmatch(page, -1)
	if len(rows) < 4 {
		t.Fatalf("%d rows found", len(rows))
	}
	d := Decoder{Location: time.UTC}
	for _, row := range rows {
		var m Message
		d.Decode(&m, []byte(strings.ReplaceAll(row[1], "⇥", "\t")), receivedAt)
		if got := string(m.AppendRFC5424(nil, receivedAt, lineSource, false)); got != row[2] {
			t.Errorf("got %s, want %s", got, row[2])
		}
	}
}
