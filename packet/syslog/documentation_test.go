package syslog

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestDocumentation runs the samples of docs/syslog.md.
func TestDocumentation(t *testing.T) {
	page, err := os.ReadFile("../../docs/syslog.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile("(?m)^\\| (.+?) \\| `(.+?)` \\| `(.+?)` \\|$").FindAllStringSubmatch(string(page), -1)
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
