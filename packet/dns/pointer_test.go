package dns

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	miekg "github.com/miekg/dns"
)

// replyTo returns the reply in wire form.
func replyTo(t *testing.T, z *Zones, text string, maxSize int) []byte {
	t.Helper()
	var q query
	rcode, ok := q.decode(packQuestion(t, text, true, 4096))
	if !ok {
		t.Fatalf("%s: not to be answered", text)
	}
	message, _ := z.appendReply(nil, &q, rcode, maxSize, nil)
	return message
}

// Names in the data of types younger than RFC 1035 are not compressed, so that software without
// knowledge of the type can copy the data (RFC 3597 section 4).
func TestUncompressedNames(t *testing.T) {
	const target = "\x06target\x01t\x00"
	for rtype, data := range map[string]string{
		"RP": "target target", "AFSDB": "1 target", "RT": "1 target", "PX": "1 target target",
		"SRV": "1 2 3 target", "KX": "1 target", "DNAME": "target",
	} {
		z := mustZones(t, minimalZone+"x "+rtype+" "+data+"\n")
		m := replyTo(t, z, "x.t. "+rtype, MaxUDPSize)
		if bytes.Count(m, []byte(target)) != strings.Count(data, "target") {
			t.Errorf("%s: %q", rtype, m)
		}
	}
	for rtype, data := range map[string]string{
		"NS": "target", "CNAME": "target", "PTR": "target", "MX": "1 target",
	} {
		z := mustZones(t, minimalZone+"x "+rtype+" "+data+"\n")
		if m := replyTo(t, z, "x.t. "+rtype, MaxUDPSize); bytes.Contains(m, []byte(target)) {
			t.Errorf("%s is not compressed: %q", rtype, m)
		}
	}
}

// From a name, few pointers lead on: resolvers followAlias ten at the most.
func TestRowsOfPointers(t *testing.T) {
	var text strings.Builder
	name := "t"
	text.WriteString(minimalZone)
	for i := range 30 { // each name is the previous name with another label
		name = fmt.Sprintf("l%d.%s", i, name)
		fmt.Fprintf(&text, "x MX %d %s.\n", i, name)
	}
	m := replyTo(t, mustZones(t, text.String()), "x.t. MX", maxTCPSize)
	most, records := 0, 0
	for at := HeaderSize + len("\x01x\x01t\x00") + 4; at < len(m); records++ {
		most = max(most, pointers(m, at))
		at = skipName(m, at)
		if binary.BigEndian.Uint16(m[at:]) == typeMX {
			most = max(most, pointers(m, at+10+2))
		}
		at += 10 + int(binary.BigEndian.Uint16(m[at+8:]))
	}
	if records < 30 || most < 2 || most > maxPointers+1 {
		t.Errorf("%d records, %d pointers in a row", records, most)
	}
}

// The name that follows from a DNAME record with the target "." ends in the root label, since Knot's
// library refuses a message with a pointer to the root.
func TestDNAMEToTheRoot(t *testing.T) {
	z := mustZones(t, minimalZone+"x DNAME .\n")
	m := replyTo(t, z, "a.B.x.t. A", MaxUDPSize)
	const cname = "\xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x3c\x00\x05\x01a\x01B\x00"
	if !bytes.Contains(m, []byte(cname)) {
		t.Errorf("%q does not contain %q", m, cname)
	}
}

// pointers returns how many pointers a name goes by.
func pointers(m []byte, at int) (n int) {
	for m[at] != 0 {
		if m[at] > maxLabel {
			at = int(binary.BigEndian.Uint16(m[at:]) & maxPointer)
			n++
			continue
		}
		at += 1 + int(m[at])
	}
	return n
}

// No pointer leads to an address that is left out.
func TestNoPointersToOmittedRecords(t *testing.T) {
	var text strings.Builder
	text.WriteString(minimalZone + "x HTTPS 1 svc\nsvc AAAA 2001:db8::1\n")
	for i := range 50 {
		fmt.Fprintf(&text, "svc A 192.0.2.%d\n", i)
	}
	z := mustZones(t, text.String())
	left := 0
	for most := minUDPSize; most < 1500; most++ {
		m := new(miekg.Msg)
		if err := m.Unpack(replyTo(t, z, "x.t. HTTPS", most)); err != nil {
			t.Fatalf("in %d: %v", most, err)
		}
		for _, rr := range m.Extra {
			if rr.Header().Rrtype != miekg.TypeOPT && rr.Header().Name != "svc.t." {
				t.Errorf("in %d: %s", most, rr)
			}
		}
		if len(m.Extra) < 1+50+1 {
			left++
		}
	}
	if left == 0 {
		t.Error("nothing was left out")
	}
}
