package dns

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	miekg "github.com/miekg/dns"
)

// TestOmittedRRsets checks the number of records in each section, and TC, at sizes close to a
// limit.
func TestOmittedRRsets(t *testing.T) {
	z := mustZones(t, testZone)
	for _, tt := range []struct {
		question string
		edns     bool
		size     uint16
		want     string
	}{
		{"big.test. TXT", false, 0, "0 0 0 tc"},
		{"big.test. TXT", true, 4096, "0 0 0 tc"},
		{"tobig.test. TXT", true, 1232, "1 0 0 tc"}, // the chain's begin is kept, as Knot does
		{"many.test. MX", false, 0, "2 0 24"},       // A of m1 without AAAA, A of m2
		{"many.test. MX", true, 0, "2 0 24"},
		{"many.test. MX", true, 900, "2 0 36"},
		{"bigcut.test. A", false, 0, "0 2 12 tc"}, // ns has no room, m1 has
		{"bigcut.test. A", true, 512, "0 2 12 tc"},
		{"bigcut.test. A", true, 600, "0 2 30 tc"},
		{"x.bigcut.test. A", true, 1232, "0 2 54"}, // all of ns, m1's A
		{"www.test. A", false, 0, "2 0 0"},
		{"mx.test. MX", true, 1, "3 0 3"}, // below 512 is 512
	} {
		m := askZones(t, z, packQuestion(t, tt.question, tt.edns, tt.size), MaxUDPSize)
		extra := len(m.Extra)
		if tt.edns {
			extra--
		}
		got := fmt.Sprintf("%d %d %d", len(m.Answer), len(m.Ns), extra)
		if m.Truncated {
			got += " tc"
		}
		if got != tt.want {
			t.Errorf("%s %v %d: got %s, want %s", tt.question, tt.edns, tt.size, got, tt.want)
		}
		if all := askZones(t, z, packQuestion(t, tt.question, tt.edns, tt.size), maxTCPSize); all.Truncated {
			t.Errorf("%s: truncated over TCP", tt.question)
		}
	}
}

// TestEverySize compares the parts of replies of all sizes with the whole reply.
func TestEverySize(t *testing.T) {
	z := mustZones(t, testZone)
	for _, text := range []string{"bigcut.test. A", "x.y.bigcut.test. A", "many.test. MX", "tobig.test. TXT", "x.d2.test. A", "x.dcut.test. A"} {
		whole := sections(askZones(t, z, packQuestion(t, text, true, 0), maxTCPSize))
		before := 0
		for most := minUDPSize; most < 3000; most++ {
			m := askZones(t, z, packQuestion(t, text, true, 4096), most)
			if n := replySize(t, z, packQuestion(t, text, true, 4096), most); n != before {
				if before = n; n >= minUDPSize && replySize(t, z, packQuestion(t, text, true, 4096), n) != n {
					t.Fatalf("%s in %d: the reply of %d octets does not fit into as many", text, most, n)
				}
			}
			for i, section := range sections(m).sections {
				for j, line := range section {
					if i < 2 && line != whole.sections[i][j] || !strings.Contains(strings.Join(whole.sections[i], "\n"), line) {
						t.Fatalf("%s in %d: %s", text, most, line)
					}
				}
				if i < 2 && len(section) < len(whole.sections[i]) && !m.Truncated {
					t.Fatalf("%s in %d: a part is missing", text, most)
				}
			}
		}
	}
}

// replySize returns the length of a reply.
func replySize(t *testing.T, z *Zones, message []byte, maxSize int) int {
	t.Helper()
	var q query
	rcode, _ := q.decode(message)
	wire, _ := z.appendReply(nil, &q, rcode, maxSize, nil)
	return len(wire)
}

// TestLongestNames checks names that followAlias from a DNAME record, of 255 octets (the limit) and of
// 256 octets (RFC 6672 section 2.2).
func TestLongestNames(t *testing.T) {
	z := mustZones(t, minimalZone+"d DNAME ee\n*.ee A 192.0.2.1\n")
	label := func(n int) string { return strings.Repeat("x", n) + "." }
	kept := label(63) + label(63) + label(63) // 192 octets of 255; ee.t. has 6
	for name, want := range map[string]string{kept + label(56): "NOERROR", kept + label(57): "YXDOMAIN"} {
		m := askZones(t, z, packQuestion(t, name+"d.t. A", true, 4096), maxTCPSize)
		if got := miekg.RcodeToString[m.Rcode]; got != want || (len(m.Answer) == 3) != (want == "NOERROR") {
			t.Errorf("%d octets before the DNAME's name: %s", len(name), formatReply(m))
		}
	}
}

// TestLongNamesInEverySize checks sizes at which the DNAME record or the CNAME record does not fit.
// askZones checks the size.
func TestLongNamesInEverySize(t *testing.T) {
	z := mustZones(t, minimalZone+"d DNAME ee\n*.ee A 192.0.2.1\n")
	name := strings.Repeat(strings.Repeat("x", 60)+".", 3) + "d.t. A"
	whole := len(askZones(t, z, packQuestion(t, name, true, 4096), maxTCPSize).Answer)
	seen := make(map[int]bool)
	for most := 220; most < 800; most++ {
		m := askZones(t, z, packQuestion(t, name, true, 4096), most)
		if m.Truncated == (len(m.Answer) == whole) {
			t.Errorf("in %d: %s", most, formatReply(m))
		}
		seen[len(m.Answer)] = true
	}
	if len(seen) != whole+1 {
		t.Errorf("replies of %v records", seen)
	}
}

// TestLongReplies checks replies with names behind offset 0x3fff, which pointers cannot reach.
func TestLongReplies(t *testing.T) {
	for _, dname := range []string{"d DNAME w\n", ""} { // behind a DNAME record, pointers reach less
		t.Run(dname, func(t *testing.T) { longReplies(t, dname) })
	}
}

func longReplies(t *testing.T, dname string) {
	var text strings.Builder
	text.WriteString(minimalZone)
	for i := range 900 {
		fmt.Fprintf(&text, "far%d A 192.0.2.1\na MX %d far%d\n*.w MX %d far%d\n", i, i, i, i, i)
	}
	fmt.Fprintf(&text, "%scut NS far899\n", dname)
	for i := range 1200 {
		fmt.Fprintf(&text, "cut NS n%d.cut\nn%d.cut A 192.0.2.2\n", i, i)
	}
	fmt.Fprintf(&text, "huge TXT %s\n", strings.Repeat("x", 18))
	for i := range 255 {
		fmt.Fprintf(&text, "huge TXT %03d%s\n", i, strings.Repeat("x", 240))
	}
	fmt.Fprintf(&text, "chain0 CNAME huge\n")
	for i := range 15 {
		fmt.Fprintf(&text, "chain%d CNAME chain%d\n", i+1, i)
	}
	z, r := mustZones(t, text.String()), newReference(t, text.String())
	long := strings.Repeat("a.", 100)
	for _, name := range []string{"a.t.", "b.w.t.", long + "w.t.", "cut.t.", long + "cut.t."} {
		m := askZones(t, z, packQuestion(t, name+" MX", false, 0), maxTCPSize)
		got, want := sections(m), r.resolve(name, miekg.TypeMX)
		if m.Truncated { // the addresses of all do not fit
			got.sections[2], want.sections[2] = nil, nil
		}
		if len(got.sections[2]) < len(want.sections[2]) {
			got.sections[2], want.sections[2] = nil, nil
		}
		if got.String() != want.String() {
			t.Errorf("%s: got %d %d %d, want %d %d %d", name, len(got.sections[0]), len(got.sections[1]), len(got.sections[2]),
				len(want.sections[0]), len(want.sections[1]), len(want.sections[2]))
		}
	}
	if m := askZones(t, z, packQuestion(t, "huge.t. TXT", true, 0), maxTCPSize); m.Truncated || len(m.Answer) != 256 {
		t.Errorf("as much as a message has room for: %d records", len(m.Answer))
	}
	if m := askZones(t, z, packQuestion(t, "chain15.t. TXT", true, 0), maxTCPSize); !m.Truncated || len(m.Answer) != 16 {
		t.Errorf("more than a message has room for: %d records", len(m.Answer))
	}
}

// TestLongRepliesBehindDNAME checks names that pointers cannot reach, since the template is
// appended behind a DNAME record.
func TestLongRepliesBehindDNAME(t *testing.T) {
	var text strings.Builder
	long := strings.Repeat("abcdefg.", 20) + "t."
	text.WriteString(minimalZone + "d DNAME w\nd17." + long + " DNAME w\n")
	for i := range 17 {
		fmt.Fprintf(&text, "d%d.%s DNAME d%d.%[2]s\n", i, long, i+1)
	}
	for i := range 900 {
		fmt.Fprintf(&text, "far%d A 192.0.2.1\nx.w MX %d far%d\n*.w MX %d far%d\n", i, i, i, i, i)
	}
	for i := range 500 {
		fmt.Fprintf(&text, "cut.w NS n%d.cut.w\nn%d.cut.w A 192.0.2.2\n", i, i)
	}
	z, r := mustZones(t, text.String()), newReference(t, text.String())
	for _, name := range []string{"x.d.t.", "a.cut.d.t.", strings.Repeat("a.", 100) + "d.t.", "x.d2." + long} {
		m := askZones(t, z, packQuestion(t, name+" MX", false, 0), maxTCPSize)
		got, want := sections(m), r.resolve(name, miekg.TypeMX)
		if got.String() != want.String() || m.Truncated {
			t.Errorf("%s: got %d %d %d, want %d %d %d", name, len(got.sections[0]), len(got.sections[1]), len(got.sections[2]),
				len(want.sections[0]), len(want.sections[1]), len(want.sections[2]))
		}
		if m := askZones(t, z, packQuestion(t, name+" MX", false, 0), MaxUDPSize); !m.Truncated {
			t.Errorf("%s: not truncated over UDP", name)
		}
	}
}

var sinkAddresses = []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("::ffff:192.0.2.2")}

func TestSinkhole(t *testing.T) {
	const soa = "NOERROR aa\nAUTHORITY WWW.example. 60 SOA localhost. nobody.invalid. 1 3600 1200 604800 60"
	for name, z := range map[string]*Zones{"alone": mustZones(t).WithSinkhole(sinkAddresses), "beside zones": mustZones(t, testZone).WithSinkhole(sinkAddresses)} {
		for _, a := range []answerTest{
			{"", "WWW.example. A", "NOERROR aa\nWWW.example. 60 A 192.0.2.1\nWWW.example. 60 A 192.0.2.2"},
			{"", "WWW.example. AAAA", "NOERROR aa\nWWW.example. 60 AAAA 2001:db8::1"},
			{"", "WWW.example. ANY", "NOERROR aa\nWWW.example. 60 A 192.0.2.1\nWWW.example. 60 A 192.0.2.2"},
			{"", "WWW.example. MX", soa},
			{"", "WWW.example. SOA", strings.Replace(soa, "AUTHORITY ", "", 1)},
			{"", ". A", "NOERROR aa\n. 60 A 192.0.2.1\n. 60 A 192.0.2.2"},
			{"", "WWW.example. A CH", "REFUSED"},
		} {
			if got := formatReply(askZones(t, z, packQuestion(t, a.question, true, 512), MaxUDPSize)); got != a.want {
				t.Errorf("%s, %s: got %s", name, a.question, got)
			}
		}
	}
	z := mustZones(t, testZone).WithSinkhole(sinkAddresses[:1])
	if got := formatReply(askZones(t, z, packQuestion(t, "none.test. A", false, 0), MaxUDPSize)); got != "NXDOMAIN aa\n"+testSOA {
		t.Errorf("of a zone: got %s", got)
	}
	if got := formatReply(askZones(t, z, packQuestion(t, "WWW.example. AAAA", false, 0), MaxUDPSize)); got != soa {
		t.Errorf("no address of the kind: got %s", got)
	}
	twice := append(slices.Clone(sinkAddresses), netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("2001:DB8:0::1"))
	for _, rtype := range []string{"A", "AAAA"} {
		once := formatReply(askZones(t, mustZones(t).WithSinkhole(sinkAddresses), packQuestion(t, "x. "+rtype, false, 0), MaxUDPSize))
		if got := formatReply(askZones(t, mustZones(t).WithSinkhole(twice), packQuestion(t, "x. "+rtype, false, 0), MaxUDPSize)); got != once {
			t.Errorf("addresses that are there twice: got %s", got)
		}
	}
	if got := formatReply(askZones(t, mustZones(t).WithSinkhole(nil), packQuestion(t, "WWW.example. A", false, 0), MaxUDPSize)); got != soa {
		t.Errorf("no address: got %s", got)
	}
}

func TestNoAllocation(t *testing.T) {
	z := mustZones(t, testZone, childZone)
	sunk := mustZones(t).WithSinkhole(sinkAddresses)
	buf := make([]byte, 0, maxTCPSize)
	cookie := []byte("cookiecookiecookie")
	var q query
	for _, kind := range questionKinds {
		for _, edns := range []bool{true, false} {
			message := packQuestion(t, kind.question, edns, MaxUDPSize)
			if n := testing.AllocsPerRun(100, func() {
				rcode, _ := q.decode(message)
				z.appendReply(buf, &q, rcode, MaxUDPSize, cookie)
				z.appendReply(buf, &q, rcode, maxTCPSize, nil)
				sunk.appendReply(buf, &q, rcode, MaxUDPSize, cookie)
				appendTruncated(buf, &q, cookie)
				appendError(buf, &q, rcodeBadCookie, cookie)
			}); n != 0 {
				t.Errorf("%s: %v allocations", kind.name, n)
			}
		}
	}
	for _, tt := range decodeTests {
		if n := testing.AllocsPerRun(100, func() { q.decode(tt.message) }); n != 0 {
			t.Errorf("%s: %v allocations", tt.name, n)
		}
	}
}

// TestSizes checks that replies with an OPT record are no larger than those of Knot DNS 3.2.6: a
// larger reply costs bandwidth, and makes a better reflector.
func TestSizes(t *testing.T) {
	z := mustZones(t, testZone, childZone, wildcardZone)
	for _, tt := range []struct {
		question string
		knot     int
	}{
		{"www.test. A", 69},
		{"none.test. A", 89},
		{"a.b.c.d.none.test. A", 97},
		{"www.test. MX", 88},
		{"test. MX", 124},
		{"test. NS", 120},
		{"alias2.test. A", 110},
		{"nx.test. A", 109},
		{"a.b.wild.test. MX", 107},
		{"x.sub.test. A", 190},
		{"incut.test. A", 214},
		{"_sip._tcp.test. SRV", 222},
		{"ns1.test. MX", 84},
		{"x.d.test. A", 93},
		{"bigcut.test. A", 1089},
		{"host3.example. MX", 80},
	} {
		var q query
		rcode, _ := q.decode(packQuestion(t, tt.question, true, MaxUDPSize))
		if wire, _ := z.appendReply(nil, &q, rcode, MaxUDPSize, nil); len(wire) > tt.knot {
			t.Errorf("%s: %d octets, Knot %d", tt.question, len(wire), tt.knot)
		}
	}
}
