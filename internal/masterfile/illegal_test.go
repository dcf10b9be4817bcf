package masterfile

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// mutate changes the words of a record's data, so that they are often illegal.
func (s *speller) mutate(words []string) []string {
	i := s.IntN(len(words) + 1)
	if i == len(words) || s.one(4) { // a word too many
		return append(words, s.pick("0", "x", "a.", `""`, "AA==", "A", ")", `"`))
	}
	word := words[i]
	switch s.IntN(6) {
	case 0: // the end is missing
		return words[:i]
	case 1:
		return append(words[:i:i], words[i+1:]...)
	case 2:
		words[i] = s.pick("256", "65536", "4294967296", "-1", "0x1", "1.5", "x", ".", "@", "..", "a..b", `\300`, `\25`, `\`, `""`, `"a`, "::1", "192.0.2.1",
			strings.Repeat("a", 64), strings.Repeat("a.", 127)+"b", strings.Repeat("a", 256), "20030230000000", "AA=", "ABC")
	case 3:
		words[i] = word + word
	case 4:
		j := s.IntN(len(word))
		words[i] = word[:j] + word[j+1:]
	case 5:
		j := s.IntN(len(word) + 1)
		words[i] = word[:j] + s.pick(".", "-", "0", "9", "f", "z", `\`, `"`, "=", "/", ":", ",", "(", ";", "\xff") + word[j:]
	}
	return words
}

// mutants are mutated records that the package reads. They have no strings of 256 octets, which only
// Knot reads, and only without octets above 127; and no SIG records, of which the package reads times
// in seconds, as those of RRSIG records.
func mutants(t *testing.T, seed uint64, o *oracle) (records []spelled) {
	s := newSpeller(seed, o)
	for i, line := range dataGrammar {
		rtype, rules, _ := strings.Cut(line, " ")
		data := s.data(line)
		if strings.Contains(rules, "longstring") || rtype == "SIG" {
			continue
		}
		if s.one(3) {
			data = s.generic(s.octets(s.IntN(30)))
		}
		owner := fmt.Sprintf("r%d.example.", i)
		r := spelled{owner, rtype, owner + " 60 IN " + rtype + " " + strings.Join(s.mutate(data), " ") + "\n"}
		_, err := readAll("zone", zoneStart+r.text)
		switch {
		case err == nil:
			records = append(records, r)
		case !strings.HasPrefix(err.Error(), fmt.Sprintf("zone:%d: ", 1+strings.Count(zoneStart, "\n"))):
			t.Errorf("%q: %v: not the line of the record", r.text, err)
		}
	}
	return records
}

// refused returns the records that an oracle refuses.
func (o *oracle) refused(t *testing.T, records []spelled) []spelled {
	if len(records) == 0 || o.check(writeZone(t, records)) == nil {
		return nil
	}
	if len(records) == 1 {
		return records
	}
	half := len(records) / 2
	return append(o.refused(t, records[:half]), o.refused(t, records[half:])...)
}

// checkJudged checks that no record is refused by all oracles that know the type.
func checkJudged(t *testing.T, records []spelled) {
	t.Helper()
	judged := make(map[string]bool)
	for _, o := range oracles {
		var known, left []spelled
		for _, r := range records {
			if o.knows(r.rtype) {
				known = append(known, r)
				judged[r.owner] = true
			} else {
				left = append(left, r)
			}
		}
		records = append(left, o.refused(t, known)...)
	}
	for _, r := range records {
		if judged[r.owner] {
			t.Errorf("%q is read, and the other servers refuse the record", r.text)
		}
	}
}

// No record is read that all other servers which know its type refuse.
func FuzzIllegalSpellings(f *testing.F) {
	for seed := range uint64(16) {
		f.Add(seed)
	}
	needOracles(f)
	f.Fuzz(func(t *testing.T, seed uint64) { checkJudged(t, mutants(t, seed, oracles[0])) })
}

// illegalLines are lines that are refused, and the servers that read them nevertheless. NSD closes
// parentheses at the end of the file, takes wrong escapes as plain characters, quotes anywhere, and
// other lengths than \# says. Knot checks the data of \# later than kzonecheck.
var illegalLines = []struct{ text, readBy string }{
	{"r A ( 192.0.2.1", "NSD"},
	{"r A 192.0.2.1 )", ""},
	{"r ( A ( 192.0.2.1 )", ""},
	{`r TXT "a`, ""},
	{`r TXT a"`, ""},
	{`r TXT "a\"`, ""},
	{`r TXT "a\256"`, "NSD"},
	{`r TXT "a\25"`, "NSD"},
	{`r TXT a\999`, "NSD"},
	{`r\256 TXT a`, "NSD Knot"},
	{"r..r TXT a", ""},
	{".r TXT a", ""},
	{strings.Repeat("r", 64) + " TXT a", ""},
	{strings.Repeat("r.", 127) + "r TXT a", ""},
	{strings.Repeat("r.", 124) + "r TXT a", ""},
	{"r NS " + strings.Repeat("r", 64), ""},
	{"r NS " + strings.Repeat("r.", 124) + "r", ""},
	{"r NS \"a\"", "NSD"},
	{"r", ""},
	{"r 60", ""},
	{"r 60 IN", ""},
	{"r 60 IN A", ""},
	{"r IN IN A 192.0.2.1", ""},
	{"r 60 60 A 192.0.2.1", ""},
	{"r CH TXT a", ""},
	{"r CLASS3 TXT a", ""},
	{"r CLASS65536 TXT a", ""},
	{"r 1y TXT a", ""},
	{"r 1h30 TXT a", "NSD"},
	{"r 4294967296 TXT a", "NSD"},
	{"r -1 TXT a", ""},
	{"r NOTYPE a", ""},
	{"r TYPE TXT a", ""},
	{"r TYPE65536 \\# 0", ""},
	{"r TYPE0 \\# 0", "Knot"},
	{"r OPT \\# 0", "NSD"},
	{"r ANY \\# 0", ""},
	{"r \"TXT\" a", "NSD"},
	{"r TYPE65280 a", ""},
	{"r TYPE65280 \\# 2 ab", "NSD"},
	{"r TYPE65280 \\# 1 abcd", "NSD"},
	{"r TYPE65280 \\# 1 a", ""},
	{"r TYPE65280 \\# 1 xy", ""},
	{"r TYPE65280 \\#", ""},
	{"r A \\# 3 c00002", "Knot"},
	{"r A \\# 5 c000020100", "Knot"},
	{"r NS \\# 2 0161", "Knot"},
	{"r NS \\# 2 c000", "Knot"},
	{"$ORIGIN", ""},
	{"$ORIGIN a..b.", ""},
	{"$ORIGIN a. b.", ""},
	{"$TTL", ""},
	{"$TTL x", ""},
	{"$TTL 1 2", ""},
	{"$INCLUDE", ""},
	{"$INCLUDE /none/none", ""},
	{"$GENERATE 2-1 $ TXT a", ""},
	{"$GENERATE 1-2 $", ""},
	{"$NONE a", ""},
}

// Illegal lines are refused with their line number. The other servers refuse them too, but those
// that are listed.
func TestIllegalLines(t *testing.T) {
	needOracles(t)
	for _, tt := range illegalLines {
		_, err := readAll("zone", zoneStart+tt.text+"\n")
		if err == nil || !strings.HasPrefix(err.Error(), "zone:5: ") {
			t.Errorf("%.80q: %v, want an error of line 5", tt.text, err)
		}
		file := writeZone(t, []spelled{{text: tt.text + "\n"}})
		for _, o := range oracles {
			readBy := slices.Contains(strings.Fields(tt.readBy), o.name)
			if err := o.check(file); readBy != (err == nil) {
				t.Errorf("%.80q is listed as read by %s: %v; %v", tt.text, o.name, readBy, err)
			}
		}
	}
}

// Each type without its last word, and with a word too many, is refused or read by another server.
func TestMissingAndExtraWords(t *testing.T) {
	needOracles(t)
	s := newSpeller(1, oracles[0])
	var records []spelled
	for i, line := range dataGrammar {
		rtype, _, _ := strings.Cut(line, " ")
		words := s.data(line)
		for j, words := range [][]string{words[:max(0, len(words)-1)], append(words, "x"), append(words, `""`), append(words, "0")} {
			owner := fmt.Sprintf("r%d-%d.example.", i, j)
			r := spelled{owner, rtype, owner + " " + rtype + " " + strings.Join(words, " ") + "\n"}
			if _, err := readAll("zone", zoneStart+r.text); err == nil {
				records = append(records, r)
			}
		}
	}
	checkJudged(t, records)
}
