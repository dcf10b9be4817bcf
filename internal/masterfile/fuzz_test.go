package masterfile

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/udpshard/udpshard/internal/rdata"
)

// largeRange matches a $GENERATE of 1000 records or more, which would slow the fuzzer down.
var largeRange = regexp.MustCompile(`[0-9]{4}|(?is)(\$GENERATE.*){8}`)

// FuzzRead reads any text. Errors and warnings have a position, the data of each record is valid,
// and the text of the records, written with complete names, is read as the same records.
func FuzzRead(f *testing.F) {
	for _, tt := range entryTests {
		f.Add(start + tt.text)
	}
	for _, tt := range generateTests {
		f.Add(start + tt.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 8192 || strings.Contains(strings.ToUpper(text), "$GENERATE") && largeRange.MatchString(text) {
			return
		}
		var records []Record
		lines := strings.Count(text, "\n") + 1
		o := Options{Origin: "\x01t\x00", NoIncludes: true, Warn: func(p Position, err error) {
			if p.File != "f" || p.Line < 1 || p.Line > lines || err == nil {
				t.Errorf("warning at %v: %v", p, err)
			}
		}}
		err := Read("f", strings.NewReader(text), o, func(r Record) error {
			records = append(records, r)
			return rdata.Check(r.Type, r.Data)
		})
		if err != nil && !strings.HasPrefix(err.Error(), "f:") {
			t.Fatalf("an error without a position: %v", err)
		}

		var again bytes.Buffer
		for _, r := range records {
			again.WriteString(formatRecord(r) + "\n")
		}
		i := 0
		err = Read("f", &again, Options{NoIncludes: true}, func(r Record) error {
			want := records[i]
			if r.Owner != want.Owner || r.Type != want.Type || r.TTL != want.TTL || !bytes.Equal(r.Data, want.Data) {
				return fmt.Errorf("got %s, want %s", formatRecord(r), formatRecord(want))
			}
			i++
			return nil
		})
		if err != nil || i != len(records) {
			t.Errorf("%d records of %d: %v", i, len(records), err)
		}
	})
}

// BenchmarkRead reads a file of 100,000 names with an address each.
func BenchmarkRead(b *testing.B) {
	var text strings.Builder
	text.WriteString("$ORIGIN example.\n" + start)
	const names = 100_000
	for i := range names {
		fmt.Fprintf(&text, "h%d A 10.%d.%d.%d\n", i, i>>16, i>>8&255, i&255)
	}
	b.SetBytes(int64(text.Len()))
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		err := Read("f", strings.NewReader(text.String()), Options{}, func(Record) error { n++; return nil })
		if err != nil || n != names+1 {
			b.Fatal(n, err)
		}
	}
}
