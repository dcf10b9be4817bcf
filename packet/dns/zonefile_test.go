package dns

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const minimalZone = "$ORIGIN t.\n$TTL 60\n@ SOA ns host 1 2 3 4 5\n@ NS ns\n"

var badZones = []struct{ name, text, want string }{
	{"empty", "", "zone1: no SOA record"},
	{"no SOA", "a. 60 A 192.0.2.1\n", "zone1: no SOA record"},
	{"syntax", minimalZone + "www A 192.0.2.256\n", "zone1:5: A: address: \"192.0.2.256\": not an IPv4 address"},
	{"unknown type", minimalZone + "\n\nwww FOO bar\n", "zone1:7: "},
	{"no origin", "@ 60 SOA a. b. 1 2 3 4 5\n", "zone1:1: \"@\": a relative name needs an origin: write $ORIGIN before the name"},
	{"include", minimalZone + "$INCLUDE /etc/hostname\n", "zone1:5: $INCLUDE is not allowed"},
	{"two SOAs", minimalZone + "@ SOA ns host 2 2 3 4 5\n", "zone1:5: a second SOA record"},
	{"SOA below", minimalZone + "a SOA ns host 1 2 3 4 5\n", "zone1:5: a second SOA record, of a.t."},
	{"CNAME and A", minimalZone + "a A 192.0.2.1\na CNAME b\n", "zone1:6: a.t. has a CNAME record and other records"},
	{"CNAME at the apex", minimalZone + "@ CNAME b\n", "zone1:5: t. has a CNAME record and other records"},
	{"CNAMEs", minimalZone + "a CNAME b\na CNAME c\n", "zone1:5: a.t. has several CNAME records"},
	{"DNAMEs", minimalZone + "a DNAME b\na DNAME c\n", "zone1:5: a.t. has several DNAME records"},
	{"DNAME and NS", minimalZone + "a DNAME b\na NS c\n", "zone1:5: a.t. has a DNAME record and is delegated"},
	{"no NS", "$TTL 60\nt. SOA a. b. 1 2 3 4 5\n", "zone1:2: the zone t. has no NS record at its apex"},
	{"DS at the apex", minimalZone + "@ DS 1 8 1 0000000000000000000000000000000000000001\n", "zone1:5: DS at the apex belongs to the zone above"},
	{"class of TXT", minimalZone + "a CH TXT x\n", "zone1:5: class CH: only class IN is supported"},
	{"signed", minimalZone + "a NSEC b A\n", "zone1:5: NSEC: signed zones are not served"},
	{"no such type", minimalZone + "a FOO bar\n", "zone1:5: \"FOO\": not a type, TTL or class (an unknown type is written as"},
	{"generated", minimalZone + "$GENERATE 250-260 a$ A 192.0.2.$\n", "zone1:5: "},
	{"no data", minimalZone + "a NS\n", "zone1:5: NS: "},
	{"empty list", minimalZone + "a NULL \\# 0\nb TYPE65280 \\# 0\n", ""},
	{"multi-line", minimalZone + "a TXT (\n \"x\"\n )\nb A x\n", "zone1:8: "},
}

// TestLargeSets checks sets of the largest size for a message over TCP with a cookie of 40 octets:
// 65535-12-(5+4)-(11+4+40) for a.t., 65459.
func TestLargeSets(t *testing.T) {
	sets := func(name string, n int, last string) string {
		var b strings.Builder
		b.WriteString(minimalZone)
		for i := range n {
			fmt.Fprintf(&b, "%s TXT %04d%s\n", name, i, strings.Repeat("x", 241)) // 2+10+246 octets
		}
		return b.String() + last
	}
	cookie := []byte(strings.Repeat("c", maxCookie))
	z := mustZones(t, sets("a", 253, "a TXT "+strings.Repeat("y", 40)+"\n")) // 253*258+12+41
	var q query
	rcode, _ := q.decode(packQuestion(t, "a.t. TXT", true, 0))
	q.nsid = make([]byte, MaxNSID)
	if wire, _ := z.appendReply(nil, &q, rcode, maxTCPSize, cookie); wire[2]&(flagTC>>8) != 0 || len(wire) != maxTCPSize {
		t.Errorf("truncated: %d octets", len(wire))
	}
	long := strings.Repeat("y", 60) + strings.Repeat("."+strings.Repeat("y", 60), 2)
	z = mustZones(t, sets("a", 253, "a TXT "+strings.Repeat("y", 40)+"\nx CNAME "+long+"\n"+long+" CNAME a\n")) // together more than fits
	want := fmt.Sprintf("NOERROR aa tc\nx.t. 60 CNAME %s.t.\n%[1]s.t. 60 CNAME a.t.", long)
	if got := formatReply(askZones(t, z, packQuestion(t, "x.t. TXT", false, 0), maxTCPSize)); got != want {
		t.Errorf("got %.100s, want %s", got, want)
	}
	for name, text := range map[string]string{
		"one octet":         sets("a", 253, "a TXT "+strings.Repeat("y", 41)+"\n"),
		"TXT":               sets("a", 256, ""),
		"a wildcard":        sets("*.a", 253, ""),
		"A":                 minimalZone + "$GENERATE 0-5199 a AAAA 2001:db8::$\n",
		"a delegation":      minimalZone + "$GENERATE 0-5199 a NS $.b\n",
		"an address of one": minimalZone + "a NS b.a\n$GENERATE 0-5199 b.a A 10.0.0.0\n$GENERATE 0-5199 b.a AAAA 2001:db8::$\n",
	} {
		if _, err := newZones(text); err == nil || !strings.Contains(err.Error(), "records: more than a message has room for (RFC 1035 section 4.2.2)") || !strings.HasPrefix(err.Error(), "zone1:") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := newZones(sets("a", 256, "")); err == nil || !strings.HasPrefix(err.Error(), "zone1:5: a.t. has 256 TXT records: ") {
		t.Errorf("got %v", err)
	}
}

func TestList(t *testing.T) {
	file := filepath.Join(t.TempDir(), "t.zone")
	if err := os.WriteFile(file, []byte(minimalZone+"a 60 A 192.0.2.1\na A 192.0.2.1\na A 192.0.2.2\ncut NS x.cut\nx.cut A 192.0.2.3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	z, err := loadZones(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, z := range []*Zones{z, z.WithSinkhole(nil)} {
		if got, want := fmt.Sprint(z.List()), fmt.Sprint([]Zone{{"t.", 1, 6, file}}); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	z = mustZones(t, childZone, testZone)
	if got := z.List(); len(got) != 2 || got[0] != (Zone{"child.test.", 1, 5, "zone1"}) || got[1].Serial != 2026112500 {
		t.Errorf("got %v", got)
	}
	if got := mustZones(t).WithSinkhole(nil).List(); len(got) != 0 {
		t.Errorf("got %v", got)
	}
}

func TestBadZones(t *testing.T) {
	for _, tt := range badZones {
		t.Run(tt.name, func(t *testing.T) {
			_, err := newZones(tt.text)
			if tt.want == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func TestSameZoneTwice(t *testing.T) {
	_, err := newZones(minimalZone, minimalZone)
	if err == nil || err.Error() != "zone2: the zone t. is in zone1 too" {
		t.Errorf("got %v", err)
	}
}

func TestDuplicatesAndTTLs(t *testing.T) {
	z := mustZones(t, minimalZone+"a 70 MX 1 B\nA 50 MX 1 b\na 60 MX 0 c\n@ SOA ns host 1 2 3 4 5\n")
	want := "NOERROR aa\na.t. 50 MX 0 c.t.\na.t. 50 MX 1 B.t."
	if got := formatReply(askZones(t, z, packQuestion(t, "a.t. MX", false, 0), MaxUDPSize)); got != want {
		t.Errorf("got %s", got)
	}
}

func TestLoadZones(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return name
	}
	main := write("main.zone", minimalZone+"$INCLUDE sub/hosts\nz A 192.0.2.9\n$INCLUDE sub/hosts in.t.\n")
	write("sub/hosts", "a A 192.0.2.1\n$INCLUDE more\n")
	write("sub/more", "b A 192.0.2.2\n")
	z, err := loadZones(main)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a.t.", "b.t.", "z.t.", "a.in.t.", "b.in.t."} {
		if m := askZones(t, z, packQuestion(t, name+" A", false, 0), MaxUDPSize); len(m.Answer) != 1 {
			t.Errorf("%s: %v", name, m)
		}
	}

	write("sub/more", "b A 192.0.2.2\n\nb A x\n")
	for _, tt := range []struct{ file, want string }{
		{main, filepath.Join(dir, "sub/more") + ":3: A: address: \"x\": not an IPv4 address"},
		{write("cname.zone", minimalZone+"$INCLUDE missing\n"), filepath.Join(dir, "cname.zone") + ":5: $INCLUDE: open "},
		{filepath.Join(dir, "none.zone"), "open " + filepath.Join(dir, "none.zone")},
		{write("loop.zone", minimalZone+"$INCLUDE loop.zone\n"), filepath.Join(dir, "loop.zone") + ":5: $INCLUDE \"loop.zone\": more than 16 files"},
		{write("after.zone", minimalZone+"$INCLUDE fine\nx A y\n"), filepath.Join(dir, "after.zone") + ":6: A: address: \"y\": not an IPv4 address"},
		{write("semantic.zone", minimalZone+"a A 192.0.2.1\n$INCLUDE wrong\n"), filepath.Join(dir, "wrong") + ":2: a.t. has a CNAME record and other records"},
	} {
		write("fine", "a A 192.0.2.1\n")
		write("wrong", "b A 192.0.2.1\na CNAME b\n")
		if _, err := loadZones(tt.file); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("got %v, want %s", err, tt.want)
		}
	}

	for _, name := range []string{dir, os.DevNull} {
		if _, err := loadZones(name); err == nil || err.Error() != name+": not a regular file" {
			t.Errorf("got %v", err)
		}
		if _, err := loadZones(write("special.zone", minimalZone+"$INCLUDE "+name+"\n")); err == nil || !strings.Contains(err.Error(), "special.zone:5: ") || !strings.Contains(err.Error(), name+": not a regular file") {
			t.Errorf("got %v", err)
		}
	}

	t.Chdir(dir)
	if _, err := loadZones("main.zone"); err == nil || !strings.HasPrefix(err.Error(), "sub/more:3: ") {
		t.Errorf("got %v", err)
	}
}

// Many aliases of a large set would need all memory: each answer has the set.
func TestManyAliasesOfLargeSet(t *testing.T) {
	text := minimalZone + "$GENERATE 1-60 big TXT " + strings.Repeat("x", 200) + "-$\n"
	load := func(aliases int) error {
		file := filepath.Join(t.TempDir(), "a.zone")
		if err := os.WriteFile(file, fmt.Appendf(nil, "%s$GENERATE 1-%d c$ CNAME big\n", text, aliases), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := loadZones(file)
		return err
	}
	if err := load(1000); err != nil { // 13 MB
		t.Error(err)
	}
	if err := load(10_000); err == nil || !strings.Contains(err.Error(), "too many names are aliases of large records") {
		t.Errorf("130 MB of answers: %v", err)
	}
}
