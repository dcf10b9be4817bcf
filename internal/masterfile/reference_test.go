package masterfile

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Texts that BIND reads differently, and why.
var unlikeBIND = map[string]string{
	"CR": "BIND ends a line there, Knot refuses the zone",
	"a backslash in a string at the end of a line": "the string would have a line feed; Knot refuses all such strings",
	"dollars":              "BIND needs quotes around two fields",
	"data without quotes":  "BIND needs quotes around two fields",
	"generated parameters": "BIND needs quotes around two fields",
	"quotes within a word": "BIND needs quotes around two fields",
	"too many records":     "BIND has no limit",
	"a negative number":    "BIND writes -1 in decimal, and 32 bits in other bases",
}

func TestReadLikeBIND(t *testing.T) {
	compile, err := exec.LookPath("named-compilezone")
	if err != nil {
		t.Skip("needs named-compilezone: apt-get install bind9-utils")
	}
	// records returns the records of a text as sorted lines, without those outside t., which BIND
	// leaves out.
	records := func(text string) string {
		var lines []string
		o := Options{Origin: "\x01t\x00", NoIncludes: true}
		err := Read("zone", strings.NewReader(text), o, func(r Record) error {
			if strings.HasSuffix(strings.ToLower(r.Owner), o.Origin) {
				lines = append(lines, strings.ToLower(formatRecord(r)))
			}
			return nil
		})
		if err != nil {
			return "refused"
		}
		slices.Sort(lines)
		return strings.Join(slices.Compact(lines), "\n")
	}
	dir := t.TempDir()
	file, compiled := filepath.Join(dir, "zone"), filepath.Join(dir, "compiled")
	tests := slices.Concat(entryTests, generateTests)
	for i := range tests {
		tests[i].text = start + tests[i].text
	}
	for _, tt := range slices.Concat(tests, ttlTests) {
		text := tt.text + "\nt. 60 NS ns.t.\nns.t. 60 A 192.0.2.1\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		messages, err := exec.Command(compile, "-i", "none", "-k", "ignore", "-s", "full", "-o", compiled, "t.", file).CombinedOutput()
		got, want := records(text), "refused"
		if err == nil {
			output, err := os.ReadFile(compiled)
			if err != nil {
				t.Fatal(err)
			}
			want = records(string(output))
		}
		switch why, listed := unlikeBIND[tt.name]; {
		case !listed && got != want:
			t.Errorf("%s: got\n%s\nBIND has\n%s\n%s", tt.name, got, want, messages)
		case listed && got == want:
			t.Errorf("%s: as in BIND, but listed: %s", tt.name, why)
		}
	}
}
