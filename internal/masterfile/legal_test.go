package masterfile

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/udpshard/udpshard/internal/rdata"
)

// zoneStart begins the zone files of the tests: without a TTL elsewhere, a record has 60 s.
const zoneStart = "$ORIGIN example.\n$TTL 60\n@ SOA ns.a. host 1 2 3 4 5\n@ NS ns.a.\n"

// spelled is a record of a test. The text is one record in a legal spelling, or two.
type spelled struct{ owner, rtype, text string }

func writeZone(t testing.TB, records []spelled) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "zone")
	text := zoneStart
	for _, r := range records {
		text += r.text
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// byOwner is the records of a zone by owner, in lower case, and type.
func byOwner(records []Record) map[string]Record {
	m := make(map[string]Record)
	for _, r := range records {
		m[strings.ToLower(string(rdata.AppendName(nil, r.Owner)))+" "+rdata.TypeName(r.Type)] = r
	}
	return m
}

// corpus spells a record for each line of dataGrammar that the oracle knows. Behind each record is
// one with the same data in the text that AppendText writes.
func corpus(t *testing.T, seed uint64, o *oracle) (records []spelled) {
	t.Helper()
	s := newSpeller(seed, o)
	for i, line := range dataGrammar {
		rtype, _, _ := strings.Cut(line, " ")
		if !o.knows(rtype) {
			continue
		}
		r := spelled{fmt.Sprintf("r%d.example.", i), rtype, ""}
		for r.text == "" || o.unread != nil && o.unread.MatchString(r.text) {
			r.text = s.record(r.owner, rtype, s.data(line))
		}
		read, err := readAll("zone", zoneStart+r.text)
		if err != nil {
			t.Errorf("%q: %v", r.text, err)
			continue
		}
		last := read[len(read)-1]
		copied := spelled{fmt.Sprintf("copy%d.example.", i), rtype, ""}
		text := fmt.Appendf(nil, "%s %d IN %s ", copied.owner, last.TTL, rdata.TypeName(last.Type))
		copied.text = string(rdata.AppendText(text, last.Type, last.Data)) + "\n"
		generic := spelled{fmt.Sprintf("generic%d.example.", i), rtype, ""}
		for generic.text == "" || o.unread != nil && o.unread.MatchString(generic.text) {
			generic.text = s.record(generic.owner, rtype, s.generic(last.Data))
		}
		records = append(records, r, copied, generic)
	}
	return records
}

// Each type in random legal spellings is read as the other servers read it, and so is the text that
// AppendText writes.
func TestLegalSpellings(t *testing.T) {
	needOracles(t)
	for _, o := range oracles {
		t.Run(o.name, func(t *testing.T) {
			for seed := range uint64(8) {
				compare(t, o, corpus(t, seed, o))
			}
		})
	}
}

// dataGrammar has all types with a text form; SOA is in zoneStart.
func TestGrammarHasAllTypes(t *testing.T) {
	for n := range 65536 {
		name := rdata.TypeName(uint16(n))
		err := rdata.Check(uint16(n), nil)
		isMeta := err != nil && strings.Contains(err.Error(), "not a type of data")
		known := slices.ContainsFunc(dataGrammar, func(line string) bool { return strings.HasPrefix(line+" ", name+" ") })
		if !known && !isMeta && name != "SOA" && name != "UNSPEC" && !strings.HasPrefix(name, "TYPE") {
			t.Errorf("dataGrammar has no %s record", name)
		}
	}
}

// compare reads records with the package and an oracle, and compares the data and the TTL.
func compare(t *testing.T, o *oracle, records []spelled) {
	t.Helper()
	file := writeZone(t, records)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	ours, err := readAll("zone", string(text))
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := o.read(file)
	if err != nil {
		t.Fatal(err)
	}
	got, want := byOwner(ours), byOwner(theirs)
	for _, r := range records {
		key := r.owner + " " + r.rtype
		a, read := got[key]
		b, readByOracle := want[key]
		if !read || !readByOracle || a.TTL != b.TTL || !bytes.Equal(a.Data, b.Data) && !(o.foldsCase && bytes.Equal(lower(a.Data), lower(b.Data))) {
			t.Errorf("%s: %q:\ngot  %d %x\nwant %d %x", key, r.text, a.TTL, a.Data, b.TTL, b.Data)
		}
	}
}

// lower is the data with the letters A to Z in lower case.
func lower(data []byte) []byte {
	data = bytes.Clone(data)
	for i, c := range data {
		if 'A' <= c && c <= 'Z' {
			data[i] += 'a' - 'A'
		}
	}
	return data
}
