package dns

import (
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// zoneText returns a zone with a serial number and the name www.
func zoneText(origin string, serial int, more string) string {
	return fmt.Sprintf("$ORIGIN %s\n$TTL 60\n@ SOA ns host %d 2 3 4 5\n@ NS ns\nns A 192.0.2.1\nwww A 192.0.2.%d\n%s", origin, serial, serial, more)
}

// answersOf asks for addresses, and returns a line for each name.
func answersOf(t *testing.T, z *Zones, names ...string) string {
	t.Helper()
	var lines []string
	for _, name := range names {
		lines = append(lines, name+" "+strings.ReplaceAll(formatReply(askZones(t, z, packQuestion(t, name+" A", false, 0), MaxUDPSize)), "\n", ", "))
	}
	return strings.Join(lines, "\n")
}

// A bad zone keeps its previous version, and the others are replaced.
func TestBadZoneKeepsPreviousVersion(t *testing.T) {
	first := reload(nil, zoneText("a.", 1, ""), zoneText("b.", 1, ""), zoneText("c.b.", 1, ""))
	for _, bad := range []string{zoneText("b.", 2, "www CNAME x\n"), "b. 60 FOO bar\n", ""} {
		z := reload(first, zoneText("a.", 2, ""), bad, zoneText("c.b.", 2, ""))
		want := "www.a. NOERROR aa, www.a. 60 A 192.0.2.2\n" +
			"www.b. NOERROR aa, www.b. 60 A 192.0.2.1\n" +
			"www.c.b. NOERROR aa, www.c.b. 60 A 192.0.2.2"
		if got := answersOf(t, z, "www.a.", "www.b.", "www.c.b."); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		failed := z.Failed()
		if len(failed) != 1 || failed[0].File != "zone2" || failed[0].Kept == nil || failed[0].Kept.Serial != 1 || !strings.HasPrefix(failed[0].Error(), "zone2:") {
			t.Fatalf("failed: %v", failed)
		}
		again := reload(z, zoneText("a.", 3, ""), bad, zoneText("c.b.", 3, ""))
		if failed := again.Failed(); len(failed) != 1 || failed[0].Kept == nil || failed[0].Kept.Serial != 1 {
			t.Errorf("at the next reload: %v", failed)
		}
		if good := reload(again, zoneText("a.", 3, ""), zoneText("b.", 3, ""), zoneText("c.b.", 3, "")); len(good.Failed()) != 0 || good.List()[1].Serial != 3 {
			t.Errorf("after the repair: %v, %v", good.Failed(), good.List())
		}
	}
}

// A bad zone without a previous version is not served: queries for its names fail, also with a
// sinkhole. The zones above and below are served. The zone is served as soon as its file is good.
func TestBadZoneAmongOthers(t *testing.T) {
	z := reload(nil, zoneText("b.", 1, ""), zoneText("a.b.", 1, "@ CNAME x\n"), zoneText("x.a.b.", 1, ""))
	want := "www.b. NOERROR aa, www.b. 60 A 192.0.2.1\na.b. SERVFAIL\nwww.a.b. SERVFAIL\nwww.x.a.b. NOERROR aa, www.x.a.b. 60 A 192.0.2.1"
	names := []string{"www.b.", "a.b.", "www.a.b.", "www.x.a.b."}
	again := reload(z, zoneText("b.", 1, ""), zoneText("a.b.", 1, "@ CNAME x\n"), zoneText("x.a.b.", 1, ""))
	for i, zones := range []*Zones{z, z.WithSinkhole([]netip.Addr{netip.MustParseAddr("192.0.2.9")}), again} {
		if got := answersOf(t, zones, names...); got != want || len(zones.List()) != 2 {
			t.Errorf("%d: got\n%s\nwant\n%s", i, got, want)
		}
	}
	if failed := again.Failed(); len(failed) != 1 || failed[0].Kept != nil {
		t.Errorf("failed: %v", failed)
	}
	good := reload(again, zoneText("b.", 1, ""), zoneText("a.b.", 1, ""), zoneText("x.a.b.", 1, ""))
	if got := answersOf(t, good, "www.a.b."); got != "www.a.b. NOERROR aa, www.a.b. 60 A 192.0.2.1" {
		t.Errorf("got %s", got)
	}
	if failed := z.Failed(); len(failed) != 1 || failed[0].Kept != nil || failed[0].Error() != "zone2:3: a.b. has a CNAME record and other records (RFC 1034 section 3.6.2)" && !strings.HasPrefix(failed[0].Error(), "zone2:7: ") {
		t.Errorf("failed: %v", failed)
	}
}

// Of two files with one origin, the later is bad. If the zone has moved to another file, the version
// of the old file is not kept.
func TestSameOriginTwice(t *testing.T) {
	z := reload(nil, zoneText("a.", 1, ""), zoneText("A.", 2, ""))
	if failed := z.Failed(); len(failed) != 1 || failed[0].File != "zone2" || failed[0].Kept != nil || failed[0].Error() != "zone2: the zone a. is in zone1 too" {
		t.Errorf("failed: %v", failed)
	}
	moved := reload(mustZones(t, zoneText("a.", 1, "")), "bad", zoneText("a.", 2, ""))
	if failed := moved.Failed(); len(failed) != 1 || failed[0].File != "zone1" || failed[0].Kept != nil || len(moved.List()) != 1 || moved.List()[0].Serial != 2 {
		t.Errorf("failed: %v, served: %v", failed, moved.List())
	}
}

// Records outside the zone and below a DNAME record are left out, with warnings; so the zone
// is served.
func TestIgnoredRecords(t *testing.T) {
	z := mustZones(t, "out.b. 60 A 192.0.2.9\n"+zoneText("a.", 1, "www.b. A 192.0.2.9\nd DNAME e\nx.d A 192.0.2.9\nx.e A 192.0.2.7\n$ORIGIN b.\n@ SOA ns host 1 2 3 4 5\n"))
	want := "out.b. REFUSED\nx.d.a. NOERROR aa, d.a. 60 DNAME e.a., x.d.a. 60 CNAME x.e.a., x.e.a. 60 A 192.0.2.7"
	if got := answersOf(t, z, "out.b.", "x.d.a."); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	var got []string
	for _, w := range z.Warnings() {
		got = append(got, w.Error())
	}
	wantWarnings := []string{
		"zone1:1: out.b. is outside the zone a.: the record is ignored",
		"zone1:8: www.b. is outside the zone a.: the record is ignored",
		"zone1:13: b. is outside the zone a.: the record is ignored",
		"zone1:10: x.d.a. is below the DNAME record of d.a.: its records are ignored (RFC 6672 section 2.4)",
	}
	if !slices.Equal(got, wantWarnings) {
		t.Errorf("got %q", got)
	}
	if n := z.List()[0].Records; n != 6 {
		t.Errorf("%d records", n)
	}
	var many strings.Builder
	for i := range 15 {
		fmt.Fprintf(&many, "n%d.b. A 192.0.2.1\n", i)
	}
	if w := mustZones(t, zoneText("a.", 1, many.String())).Warnings(); len(w) != 11 || w[10].Error() != "zone1: 5 more warnings" {
		t.Errorf("got %v", w)
	}
}

// An origin that is given completes relative names, and is the zone.
func TestGivenOrigin(t *testing.T) {
	file := filepath.Join(t.TempDir(), "zone")
	if err := os.WriteFile(file, []byte("$TTL 60\nother. SOA ns host 9 2 3 4 5\n@ SOA ns host 1 2 3 4 5\n@ NS ns\nwww A 192.0.2.1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, origin := range []string{"Example.org", "example.org."} {
		z := Load([]Source{{origin, file}}, nil)
		if got := fmt.Sprint(z.Failed(), z.List()); got != "[] [{example.org. 1 3 "+file+"}]" {
			t.Error(got)
		}
	}
	other := filepath.Join(t.TempDir(), "other")
	if err := os.WriteFile(other, []byte("other. 60 SOA ns. host. 9 2 3 4 5\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for origin, want := range map[string]string{"a..b": "a..b: not a domain name", "x": other + ": no SOA record of x."} {
		if failed := Load([]Source{{origin, other}}, nil).Failed(); len(failed) != 1 || failed[0].Error() != want {
			t.Errorf("%s: %v", origin, failed)
		}
	}
}

// DNAME and NS records at a wildcard are answered as by Knot 3.2.6; NSD 4.6.1 treats DNAME in the
// same way.
func TestWildcardAliasesAndDelegations(t *testing.T) {
	z := mustZones(t, "$ORIGIN t.\n$TTL 60\n@ SOA ns host 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n*.d DNAME tt\n*.n NS ns.x.example.\n*.n TXT \"beside\"\n*.m NS ns\nx.tt A 192.0.2.2\nto CNAME q.n\ntod CNAME q.d\n")
	const soa = "AUTHORITY t. 5 SOA ns.t. host.t. 1 2 3 4 5"
	for _, tt := range []struct{ question, want string }{
		{"x.d.t. A", "NOERROR aa\n" + soa},
		{"x.d.t. DNAME", "NOERROR aa\nx.d.t. 60 DNAME tt.t."},
		{"y.x.d.t. A", "NOERROR aa\n" + soa},
		{"*.d.t. DNAME", "NOERROR aa\n*.d.t. 60 DNAME tt.t."},
		{"x.*.d.t. A", "NOERROR aa\n*.d.t. 60 DNAME tt.t.\nx.*.d.t. 60 CNAME x.tt.t.\nx.tt.t. 60 A 192.0.2.2"},
		{"tod.t. A", "NOERROR aa\ntod.t. 60 CNAME q.d.t.\n" + soa},
		{"a.n.t. A", "NOERROR\nAUTHORITY *.n.t. 60 NS ns.x.example."},
		{"b.a.n.t. TXT", "NOERROR\nAUTHORITY *.n.t. 60 NS ns.x.example."},
		{"a.n.t. NS", "NOERROR\nAUTHORITY *.n.t. 60 NS ns.x.example."},
		{"a.n.t. DS", "NOERROR aa\n" + soa},
		{"*.n.t. A", "NOERROR\nAUTHORITY *.n.t. 60 NS ns.x.example."},
		{"q.*.n.t. A", "NOERROR\nAUTHORITY *.n.t. 60 NS ns.x.example."},
		{"a.m.t. A", "NOERROR\nAUTHORITY *.m.t. 60 NS ns.t.\nADDITIONAL ns.t. 60 A 192.0.2.1"},
		{"to.t. A", "NOERROR aa\nto.t. 60 CNAME q.n.t.\nAUTHORITY *.n.t. 60 NS ns.x.example."},
	} {
		if got := formatReply(askZones(t, z, packQuestion(t, tt.question, false, 0), MaxUDPSize)); got != tt.want {
			t.Errorf("%s: got\n%s\nwant\n%s", tt.question, got, tt.want)
		}
	}
	if w := z.Warnings(); len(w) != 2 || w[0].Error() != "zone1:7: NS at a wildcard: servers treat it differently (RFC 4592 section 4.2)" {
		t.Errorf("warnings: %v", w)
	}
}

// A large zone needs little more memory while it is read than its answers need.
func TestMemoryOfZone(t *testing.T) {
	const names = 100_000
	text := largeZone(names)
	heap := func() int {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	f := zoneFile{apex: "\x05large\x04test\x00", open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }}
	before := heap()
	z, err := f.read()
	if err != nil {
		t.Fatal(err)
	}
	read := heap() - before
	served, err := z.compile(nil)
	if err != nil {
		t.Fatal(err)
	}
	both := heap() - before
	runtime.KeepAlive(z)
	z = nil
	alone := heap() - before
	runtime.KeepAlive(served)
	runtime.KeepAlive(f) // with the text
	t.Logf("bytes of each name: %d read, %d both, %d served", read/names, both/names, alone/names)
	if read > 95*names || alone > 115*names || both > read+alone+names {
		t.Errorf("%d bytes read, %d with the answers, %d of answers", read, both, alone)
	}
}
