package dns

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	miekg "github.com/miekg/dns"
	"golang.org/x/net/dns/dnsmessage"
)

// The zones of the tests, with names and addresses reserved for documentation.
const (
	// The zone of RFC 4592 section 2.2.1, with numbers in the SOA record, and with glue.
	wildcardZone = `$ORIGIN example.
$TTL 3600
example.                 SOA   ns.example.com. hostmaster.example. 1 7200 3600 1209600 300
example.                 NS    ns.example.com.
example.                 NS    ns.example.net.
*.example.               TXT   "this is a wildcard"
*.example.               MX    10 host1.example.
sub.*.example.           TXT   "this is not a wildcard"
host1.example.           A     192.0.2.1
_ssh._tcp.host1.example. SRV   0 0 22 host1.example.
_ssh._tcp.host2.example. SRV   0 0 22 host2.example.
subdel.example.          NS    ns.example.com.
subdel.example.          NS    ns.example.net.
`
	// The examples of RFC 1034 section 6.2 and of later RFCs, in one zone.
	testZone = `$ORIGIN test.
$TTL 1h
@       SOA   ns1 hostmaster 2026112500 2h 1h 2w 5m
        NS    ns1
        NS    ns2.example.
        MX    10 mail
        MX    20 mx.example.
        A     192.0.2.80
ns1     A     192.0.2.1
        AAAA  2001:db8::1
mail    A     192.0.2.25
        AAAA  2001:db8::25
www     60 A  192.0.2.4
        60 A  192.0.2.5
        TXT   "text"
Mixed.Case CNAME WWW.Test.
alias   CNAME www
alias2  CNAME alias
out     CNAME www.example.
nx      CNAME nothing
loop1   CNAME loop2
loop2   CNAME loop1
self    CNAME self
incut   CNAME x.sub
tocut   CNAME sib
inwild  CNAME a.b.wild
inchild CNAME www.child
*.wild  A     192.0.2.7
        MX    10 mail
host.wild TXT "blocks the wildcard"
a.ent.wild TXT "so does the empty non-terminal above"
*.cwild CNAME www
*.lwild CNAME a.lwild
a.b.c   A     192.0.2.8
sub     NS    ns.sub
        NS    ns1
        NS    ns.example.
        DS    1 8 2 0000000000000000000000000000000000000000000000000000000000000001
ns.sub  A     192.0.2.9
        AAAA  2001:db8::9
occluded.sub A 192.0.2.10
sib     NS    ns.sub
lame    NS    ns.lame
child   NS    ns.child
ns.child A    192.0.2.11
_sip._tcp SRV 1 2 5060 mail
        SRV   1 3 5060 ns.sub
        SRV   1 4 5060 sip.example.
mx      MX    1 mail
        MX    2 a.wild
        MX    3 nowhere
svc     SVCB  0 pool.svc
        HTTPS 0 pool.svc
pool.svc SVCB 1 mail port=53
        SVCB  2 . port=54
        HTTPS 1 . alpn=h2
        A     192.0.2.14
d       DNAME dt
        TXT   "beside it"
x.dt    A     192.0.2.12
c.dt    CNAME www
*.w.dt  TXT   "wild behind a DNAME"
d2      DNAME d
dcut    DNAME sub
dchild  DNAME child
dout    DNAME example.
dloop   DNAME dloop
dlong   DNAME aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.ccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc.long
todn    CNAME x.d
todnx   CNAME none.d
$GENERATE 1-30 big TXT "$ and text" "that makes it long, so that all of it is more than a reply has room for"
tobig   CNAME big
$GENERATE 1-12 m1 A 10.0.1.$
$GENERATE 1-12 m1 AAAA 2001:db8:1::$
$GENERATE 1-12 m2 A 10.0.2.$
many    MX    1 m1
        MX    2 m2
bigcut  NS    ns.bigcut
        NS    m1
$GENERATE 1-30 ns.bigcut A 10.0.3.$
$GENERATE 1-12 ns.bigcut AAAA 2001:db8:3::$
any     TYPE65280 \# 3 010203
        HINFO "a" "b"
        NAPTR 1 1 "u" "E2U+sip" "" mail
        CAA   0 issue "ca.example"
        SSHFP 1 1 0000000000000000000000000000000000000001
`
	childZone = `$ORIGIN child.test.
@   600 SOA ns hostmaster.test. 1 7200 3600 1209600 900
    600 NS  ns
ns  600 A   192.0.2.11
www 600 A   192.0.2.13
up  600 CNAME www.test.
`
)

func mustZones(t testing.TB, texts ...string) *Zones {
	t.Helper()
	z, err := newZones(texts...)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func newZones(texts ...string) (*Zones, error) {
	z := reload(nil, texts...)
	if len(z.failed) > 0 {
		return nil, z.failed[0]
	}
	return z, nil
}

// reload loads zones whose files have the names zone1, zone2 and so on.
func reload(previous *Zones, texts ...string) *Zones {
	var files []zoneFile
	for i, text := range texts {
		open := func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }
		files = append(files, zoneFile{Source: Source{File: fmt.Sprintf("zone%d", i+1)}, open: open})
	}
	return loadFiles(files, previous)
}

// question packs a query for "name type [class]".
func packQuestion(t testing.TB, text string, edns bool, size uint16) []byte {
	t.Helper()
	fields := strings.Fields(text)
	m := new(miekg.Msg)
	rtype, ok := miekg.StringToType[fields[1]]
	if !ok {
		if _, err := fmt.Sscanf(fields[1], "TYPE%d", &rtype); err != nil {
			t.Fatalf("%s: no type", text)
		}
	}
	m.SetQuestion(fields[0], rtype)
	m.RecursionDesired = false
	m.Id = 4711
	if len(fields) > 2 {
		m.Question[0].Qclass = miekg.StringToClass[fields[2]]
	}
	if edns {
		m.SetEdns0(size, false)
	}
	wire, err := m.Pack()
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return wire
}

// askZones returns the reply to a message, unpacked by two parsers, and checks the common rules.
func askZones(t testing.TB, z *Zones, message []byte, maxSize int) *miekg.Msg {
	t.Helper()
	var q query
	rcode, ok := q.decode(message)
	if !ok {
		t.Fatalf("%x: not to be answered", message)
	}
	const before = "before"
	wire, rcode := z.appendReply([]byte(before), &q, rcode, maxSize, nil)
	if string(wire[:len(before)]) != before {
		t.Fatalf("%x: what was in the buffer is %q", message, wire[:len(before)])
	}
	wire = wire[len(before):]
	if len(wire) > q.sizeLimit(maxSize) {
		t.Errorf("%x: %d octets, of %d", message, len(wire), q.sizeLimit(maxSize))
	}
	m := new(miekg.Msg)
	if err := m.Unpack(wire); err != nil {
		t.Fatalf("%x: %x: %v", message, wire, err)
	}
	if m.Rcode != int(rcode) && (!q.edns || m.IsEdns0() == nil || m.Rcode != int(rcode)) {
		t.Errorf("%x: rcode %d, said to be %v", message, m.Rcode, rcode)
	}
	var other dnsmessage.Message
	if err := other.Unpack(wire); err != nil && !strings.Contains(m.String(), `\.`) { // dnsmessage has no text for a dot within a label
		t.Errorf("%x: %x: dnsmessage: %v", message, wire, err)
	}
	if m.Id != q.id || !m.Response || m.RecursionAvailable || m.Zero || m.AuthenticatedData || m.CheckingDisabled ||
		m.Opcode != q.opcode() || m.RecursionDesired != (q.flags&flagRD != 0) {
		t.Errorf("%x: header %+v", message, m.MsgHdr)
	}
	if opt := m.IsEdns0(); (opt != nil) != q.edns || opt != nil && (opt.UDPSize() != MaxUDPSize || opt.Version() != 0 || opt.Do() != q.do) {
		t.Errorf("%x: OPT %v", message, opt)
	}
	for _, section := range [][]miekg.RR{m.Answer, m.Ns, m.Extra} {
		for i, rr := range section[:min(len(section), 100)] {
			if slices.ContainsFunc(section[:i], func(other miekg.RR) bool { return miekg.IsDuplicate(rr, other) }) {
				t.Errorf("%x: %v is there twice (RFC 2181 section 5)", message, rr)
			}
		}
	}
	if q.name != nil {
		if string(wire[HeaderSize:HeaderSize+len(q.question)]) != string(q.question) {
			t.Errorf("%x: the question is %x", message, wire[HeaderSize:HeaderSize+len(q.question)])
		}
	}
	return m
}

// formatReply returns a reply in the form of the tables.
func formatReply(m *miekg.Msg) string {
	var b strings.Builder
	b.WriteString(miekg.RcodeToString[m.Rcode])
	if m.Authoritative {
		b.WriteString(" aa")
	}
	if m.Truncated {
		b.WriteString(" tc")
	}
	for i, section := range [][]miekg.RR{m.Answer, m.Ns, m.Extra} {
		for _, rr := range section {
			if rr.Header().Rrtype == miekg.TypeOPT {
				continue
			}
			b.WriteString("\n" + [...]string{"", "AUTHORITY ", "ADDITIONAL "}[i] + formatRecord(rr))
		}
	}
	return b.String()
}

func formatRecord(rr miekg.RR) string {
	return strings.Replace(strings.Join(strings.Fields(rr.String()), " "), " IN ", " ", 1)
}

func trimLines(text string) string {
	var all []string
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		all = append(all, strings.TrimSpace(line))
	}
	return strings.Join(all, "\n")
}

// loadZones reads zones as Load does, and refuses all if one is bad. Errors of several files are
// joined (errors.Join).
func loadZones(files ...string) (*Zones, error) {
	var sources []Source
	for _, name := range files {
		sources = append(sources, Source{File: name})
	}
	z := Load(sources, nil)
	var errs []error
	for _, failed := range z.failed {
		errs = append(errs, failed.Err)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return z, nil
}
