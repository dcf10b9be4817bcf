package cli

import (
	"strings"
	"testing"
)

// Columns are aligned by the cells that a terminal shows: wide characters have two, combining marks
// have none, and control characters are escaped.
func TestTable(t *testing.T) {
	table := NewTable("lrl", "listener", "received", "note")
	table.Row("syslog", "1,234")
	table.Row("日本語", "7", "wide")
	table.Row("cafe\u0301", "89", "combining")
	table.Row("a\x1b[31m\n\u202eb\xff", "0", "escaped")
	var out strings.Builder
	if err := table.Print(&out, "  "); err != nil {
		t.Fatal(err)
	}
	want := `
  listener                received  note
  syslog                     1,234
  日本語                         7  wide
  cafe` + "\u0301" + `                          89  combining
  a\x1b[31m\n\u202eb\xff         0  escaped
`
	if got := "\n" + out.String(); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if n := table.Rows(); n != 5 {
		t.Errorf("%d rows, want 5", n)
	}
}

func TestPrintable(t *testing.T) {
	for text, want := range map[string]string{
		"":                "",
		"plain, µs ± 日本":  "plain, µs ± 日本",
		"\t\r\n\x00\x7f":  `\t\r\n\x00\x7f`,
		"\u009b1m\u200b":  `\u009b1m\u200b`,
		"\xe6\x97 \ufffd": `\xe6\x97 ` + "\ufffd",
		`back\slash`:      `back\slash`,
	} {
		if got := Printable(text); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func TestTablePrintError(t *testing.T) {
	table := NewTable("l", "name")
	if err := table.Print(&failingWriter{}, ""); err == nil {
		t.Error("no error of a failed write")
	}
}
