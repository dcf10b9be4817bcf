package dns

import (
	"fmt"
	"strings"
	"testing"
)

// answerTest is a question and its reply. from is the document that defines the reply.
type answerTest struct{ from, question, want string }

const (
	wildcardSOA = "AUTHORITY example. 300 SOA ns.example.com. hostmaster.example. 1 7200 3600 1209600 300"
	testSOA     = "AUTHORITY test. 300 SOA ns1.test. hostmaster.test. 2026112500 7200 3600 1209600 300"
	subReferral = `AUTHORITY sub.test. 3600 NS ns.sub.test.
		AUTHORITY sub.test. 3600 NS ns.example.
		AUTHORITY sub.test. 3600 NS ns1.test.
		ADDITIONAL ns.sub.test. 3600 A 192.0.2.9
		ADDITIONAL ns.sub.test. 3600 AAAA 2001:db8::9
		ADDITIONAL ns1.test. 3600 A 192.0.2.1
		ADDITIONAL ns1.test. 3600 AAAA 2001:db8::1`
)

// RFC 4592 section 2.2.1 lists the questions that the wildcard answers.
var wildcardAnswers = []answerTest{
	{"RFC 4592 2.2.1", "host3.example. MX", "NOERROR aa\nhost3.example. 3600 MX 10 host1.example.\nADDITIONAL host1.example. 3600 A 192.0.2.1"},
	{"RFC 4592 2.2.1", "host3.example. A", "NOERROR aa\n" + wildcardSOA},
	{"RFC 4592 2.2.1", "foo.bar.example. TXT", "NOERROR aa\nfoo.bar.example. 3600 TXT \"this is a wildcard\""},
	{"RFC 4592 2.2.1", "host1.example. MX", "NOERROR aa\n" + wildcardSOA},
	{"RFC 4592 2.2.1", "sub.*.example. MX", "NOERROR aa\n" + wildcardSOA},
	{"RFC 4592 2.2.1", "_telnet._tcp.host1.example. SRV", "NXDOMAIN aa\n" + wildcardSOA},
	{"RFC 4592 2.2.1", "host.subdel.example. A", "NOERROR\nAUTHORITY subdel.example. 3600 NS ns.example.com.\nAUTHORITY subdel.example. 3600 NS ns.example.net."},
	{"RFC 4592 2.2.1", "ghost.*.example. MX", "NXDOMAIN aa\n" + wildcardSOA},
	{"RFC 4592 2.2.2", "_tcp.host1.example. A", "NOERROR aa\n" + wildcardSOA},
	{"RFC 4592 2.2.2", "host2.example. A", "NOERROR aa\n" + wildcardSOA},
	{"RFC 4592 2.1.1", "*.example. TXT", "NOERROR aa\n*.example. 3600 TXT \"this is a wildcard\""},
	{"RFC 4592 2.1.1", "*.foo.example. TXT", "NOERROR aa\n*.foo.example. 3600 TXT \"this is a wildcard\""},
	{"RFC 4592 4.3", "a.sub.*.example. TXT", "NXDOMAIN aa\n" + wildcardSOA},
}

var testAnswers = []answerTest{
	{"RFC 1034 6.2.1", "www.test. A", "NOERROR aa\nwww.test. 60 A 192.0.2.4\nwww.test. 60 A 192.0.2.5"},
	{"RFC 1035 2.3.3", "wWW.tESt. TXT", "NOERROR aa\nwWW.tESt. 3600 TXT \"text\""},
	{"RFC 1034 6.2.2", "www.test. ANY", "NOERROR aa\nwww.test. 60 A 192.0.2.4\nwww.test. 60 A 192.0.2.5"},
	{"RFC 8482 4.1", "test. ANY", "NOERROR aa\ntest. 3600 A 192.0.2.80"},
	{"RFC 8482 4.1", "any.test. ANY", "NOERROR aa\nany.test. 3600 HINFO \"a\" \"b\""},
	{"RFC 8482 4.1", "alias2.test. ANY", "NOERROR aa\nalias2.test. 3600 CNAME alias.test."},
	{"RFC 8482 4.1", "c.test. ANY", "NOERROR aa\n" + testSOA},
	{"RFC 1034 6.2.3", "test. MX", `NOERROR aa
		test. 3600 MX 10 mail.test.
		test. 3600 MX 20 mx.example.
		ADDITIONAL mail.test. 3600 A 192.0.2.25
		ADDITIONAL mail.test. 3600 AAAA 2001:db8::25`},
	{"RFC 1034 6.2.4", "www.test. NS", "NOERROR aa\n" + testSOA},
	{"RFC 1034 6.2.5", "none.test. A", "NXDOMAIN aa\n" + testSOA},
	{"RFC 1034 6.2.6", "sub.test. A", "NOERROR\n" + subReferral},
	{"RFC 1034 6.2.7", "alias.test. A", "NOERROR aa\nalias.test. 3600 CNAME www.test.\nwww.test. 60 A 192.0.2.4\nwww.test. 60 A 192.0.2.5"},
	{"RFC 1034 6.2.8", "alias.test. CNAME", "NOERROR aa\nalias.test. 3600 CNAME www.test."},
	{"RFC 1034 4.3.2", "alias2.test. TXT", "NOERROR aa\nalias2.test. 3600 CNAME alias.test.\nalias.test. 3600 CNAME www.test.\nwww.test. 3600 TXT \"text\""},
	{"RFC 4343 4", "mixed.CASE.test. TXT", "NOERROR aa\nmixed.CASE.test. 3600 CNAME WWW.test.\nWWW.test. 3600 TXT \"text\""},
	{"RFC 2308 2.2", "alias2.test. MX", "NOERROR aa\nalias2.test. 3600 CNAME alias.test.\nalias.test. 3600 CNAME www.test.\n" + testSOA},
	{"RFC 1034 4.3.2", "test. NS", "NOERROR aa\ntest. 3600 NS ns1.test.\ntest. 3600 NS ns2.example.\nADDITIONAL ns1.test. 3600 A 192.0.2.1\nADDITIONAL ns1.test. 3600 AAAA 2001:db8::1"},
	{"RFC 1034 4.3.2", "test. SOA", "NOERROR aa\ntest. 3600 SOA ns1.test. hostmaster.test. 2026112500 7200 3600 1209600 300"},
	{"RFC 2308 2.1", "nx.test. A", "NXDOMAIN aa\nnx.test. 3600 CNAME nothing.test.\n" + testSOA},
	{"RFC 1034 3.6.2", "out.test. A", "NOERROR aa\nout.test. 3600 CNAME www.example."},
	{"RFC 1034 5.3.3", "loop1.test. A", "NOERROR aa\nloop1.test. 3600 CNAME loop2.test.\nloop2.test. 3600 CNAME loop1.test."},
	{"RFC 1034 5.3.3", "self.test. A", "NOERROR aa\nself.test. 3600 CNAME self.test."},
	{"RFC 1034 4.3.2", "incut.test. A", "NOERROR aa\nincut.test. 3600 CNAME x.sub.test.\n" + subReferral},
	{"RFC 1034 4.3.2", "inwild.test. A", "NOERROR aa\ninwild.test. 3600 CNAME a.b.wild.test.\na.b.wild.test. 3600 A 192.0.2.7"},
	{"RFC 1034 4.3.2", "inchild.test. A", "NOERROR aa\ninchild.test. 3600 CNAME www.child.test.\nAUTHORITY child.test. 3600 NS ns.child.test.\nADDITIONAL ns.child.test. 3600 A 192.0.2.11"},
	{"RFC 2308 2.2.1", "c.test. A", "NOERROR aa\n" + testSOA},
	{"RFC 2308 2.2.1", "b.c.test. TXT", "NOERROR aa\n" + testSOA},
	{"RFC 8020 2", "x.c.test. TXT", "NXDOMAIN aa\n" + testSOA},

	{"RFC 4592 3.3.1", "a.b.wild.test. A", "NOERROR aa\na.b.wild.test. 3600 A 192.0.2.7"},
	{"RFC 4592 3.3.1", "a.wild.test. MX", `NOERROR aa
		a.wild.test. 3600 MX 10 mail.test.
		ADDITIONAL mail.test. 3600 A 192.0.2.25
		ADDITIONAL mail.test. 3600 AAAA 2001:db8::25`},
	{"RFC 4592 3.3.1", "a.wild.test. ANY", "NOERROR aa\na.wild.test. 3600 A 192.0.2.7"},
	{"RFC 4592 3.3.1", "a.wild.test. TXT", "NOERROR aa\n" + testSOA},
	{"RFC 4592 3.3.1", "wild.test. A", "NOERROR aa\n" + testSOA},
	{"RFC 4592 3.3.1", "host.wild.test. A", "NOERROR aa\n" + testSOA},
	{"RFC 4592 3.3.1", "a.host.wild.test. A", "NXDOMAIN aa\n" + testSOA},
	{"RFC 4592 3.3.1", "ent.wild.test. A", "NOERROR aa\n" + testSOA},
	{"RFC 4592 3.3.1", "b.ent.wild.test. A", "NXDOMAIN aa\n" + testSOA},
	{"RFC 4592 3.3.3", "a.cwild.test. A", "NOERROR aa\na.cwild.test. 3600 CNAME www.test.\nwww.test. 60 A 192.0.2.4\nwww.test. 60 A 192.0.2.5"},
	{"RFC 4592 3.3.3", "a.cwild.test. CNAME", "NOERROR aa\na.cwild.test. 3600 CNAME www.test."},
	{"RFC 4592 3.3.3", "a.cwild.test. MX", "NOERROR aa\na.cwild.test. 3600 CNAME www.test.\n" + testSOA},
	{"RFC 4592 3.3.3", "b.lwild.test. A", "NOERROR aa\nb.lwild.test. 3600 CNAME a.lwild.test.\na.lwild.test. 3600 CNAME a.lwild.test."},

	{"RFC 1034 4.2.1", "x.y.sub.test. MX", "NOERROR\n" + subReferral},
	{"RFC 2181 6.1", "sub.test. NS", "NOERROR\n" + subReferral},
	{"RFC 2181 6.1", "ns.sub.test. A", "NOERROR\n" + subReferral},
	{"RFC 2136 7.18", "occluded.sub.test. A", "NOERROR\n" + subReferral},
	{"RFC 4035 3.1.4.1", "sub.test. DS", "NOERROR aa\nsub.test. 3600 DS 1 8 2 0000000000000000000000000000000000000000000000000000000000000001"},
	{"RFC 4035 3.1.4.1", "sib.test. DS", "NOERROR aa\n" + testSOA},
	{"RFC 4035 3.1.4.1", "x.sub.test. DS", "NOERROR\n" + subReferral},
	{"RFC 8482", "sub.test. ANY", "NOERROR\n" + subReferral},
	{"RFC 9471 2.2", "sib.test. A", `NOERROR
		AUTHORITY sib.test. 3600 NS ns.sub.test.
		ADDITIONAL ns.sub.test. 3600 A 192.0.2.9
		ADDITIONAL ns.sub.test. 3600 AAAA 2001:db8::9`},
	{"RFC 1034 4.2.1", "lame.test. A", "NOERROR\nAUTHORITY lame.test. 3600 NS ns.lame.test."},
	{"RFC 2782", "_sip._tcp.test. SRV", `NOERROR aa
		_sip._tcp.test. 3600 SRV 1 2 5060 mail.test.
		_sip._tcp.test. 3600 SRV 1 3 5060 ns.sub.test.
		_sip._tcp.test. 3600 SRV 1 4 5060 sip.example.
		ADDITIONAL mail.test. 3600 A 192.0.2.25
		ADDITIONAL mail.test. 3600 AAAA 2001:db8::25
		ADDITIONAL ns.sub.test. 3600 A 192.0.2.9
		ADDITIONAL ns.sub.test. 3600 AAAA 2001:db8::9`},
	{"RFC 9460 4.1", "svc.test. SVCB", `NOERROR aa
		svc.test. 3600 SVCB 0 pool.svc.test.
		ADDITIONAL pool.svc.test. 3600 A 192.0.2.14
		ADDITIONAL pool.svc.test. 3600 SVCB 1 mail.test. port="53"
		ADDITIONAL pool.svc.test. 3600 SVCB 2 . port="54"`},
	{"RFC 9460 4.1", "svc.test. HTTPS", `NOERROR aa
		svc.test. 3600 HTTPS 0 pool.svc.test.
		ADDITIONAL pool.svc.test. 3600 A 192.0.2.14
		ADDITIONAL pool.svc.test. 3600 HTTPS 1 . alpn="h2"`},
	{"RFC 1035 3.3.9", "mx.test. MX", `NOERROR aa
		mx.test. 3600 MX 1 mail.test.
		mx.test. 3600 MX 2 a.wild.test.
		mx.test. 3600 MX 3 nowhere.test.
		ADDITIONAL mail.test. 3600 A 192.0.2.25
		ADDITIONAL mail.test. 3600 AAAA 2001:db8::25
		ADDITIONAL a.wild.test. 3600 A 192.0.2.7`},

	{"RFC 4035 3.1.4.1", "tocut.test. DS", "NOERROR aa\ntocut.test. 3600 CNAME sib.test.\n" + testSOA},
	{"RFC 6672 2.3", "d.test. TXT", "NOERROR aa\nd.test. 3600 TXT \"beside it\""},
	{"RFC 6672 2.3", "d.test. A", "NOERROR aa\n" + testSOA},
	{"RFC 6672 3.2", "d.test. DNAME", "NOERROR aa\nd.test. 3600 DNAME dt.test."},
	{"RFC 6672 3.2", "X.d.test. A", "NOERROR aa\nd.test. 3600 DNAME dt.test.\nX.d.test. 3600 CNAME X.dt.test.\nX.dt.test. 3600 A 192.0.2.12"},
	{"RFC 6672 3.2", "x.d.test. CNAME", "NOERROR aa\nd.test. 3600 DNAME dt.test.\nx.d.test. 3600 CNAME x.dt.test."},
	{"RFC 6672 3.2", "c.d.test. TXT", "NOERROR aa\nd.test. 3600 DNAME dt.test.\nc.d.test. 3600 CNAME c.dt.test.\nc.dt.test. 3600 CNAME www.test.\nwww.test. 3600 TXT \"text\""},
	{"RFC 6672 3.2", "none.d.test. A", "NXDOMAIN aa\nd.test. 3600 DNAME dt.test.\nnone.d.test. 3600 CNAME none.dt.test.\n" + testSOA},
	{"RFC 6672 3.2", "a.b.w.d.test. TXT", "NOERROR aa\nd.test. 3600 DNAME dt.test.\na.b.w.d.test. 3600 CNAME a.b.w.dt.test.\na.b.w.dt.test. 3600 TXT \"wild behind a DNAME\""},
	{"RFC 6672 3.2", "x.d2.test. A", `NOERROR aa
		d2.test. 3600 DNAME d.test.
		x.d2.test. 3600 CNAME x.d.test.
		d.test. 3600 DNAME dt.test.
		x.d.test. 3600 CNAME x.dt.test.
		x.dt.test. 3600 A 192.0.2.12`},
	{"RFC 6672 3.2", "x.dcut.test. A", "NOERROR aa\ndcut.test. 3600 DNAME sub.test.\nx.dcut.test. 3600 CNAME x.sub.test.\n" + subReferral},
	{"RFC 6672 3.2", "x.dout.test. A", "NOERROR aa\ndout.test. 3600 DNAME example.\nx.dout.test. 3600 CNAME x.example."},
	{"RFC 6672 3.2", "x.dloop.test. A", "NOERROR aa\ndloop.test. 3600 DNAME dloop.test.\nx.dloop.test. 3600 CNAME x.dloop.test."},
	{"RFC 6672 3.2", "todn.test. A", `NOERROR aa
		todn.test. 3600 CNAME x.d.test.
		d.test. 3600 DNAME dt.test.
		x.d.test. 3600 CNAME x.dt.test.
		x.dt.test. 3600 A 192.0.2.12`},
	{"RFC 6672 3.2", "todnx.test. A", `NXDOMAIN aa
		todnx.test. 3600 CNAME none.d.test.
		d.test. 3600 DNAME dt.test.
		none.d.test. 3600 CNAME none.dt.test.
		` + testSOA},
	{"RFC 6672 2.2", strings.Repeat("y", 60) + ".dlong.test. A", `YXDOMAIN aa
		dlong.test. 3600 DNAME ` + strings.Repeat("a", 63) + "." + strings.Repeat("b", 63) + "." + strings.Repeat("c", 63) + `.long.test.`},

	{"RFC 1035 4.1.1", "example. A", "REFUSED"},
	{"RFC 1035 4.1.1", ". NS", "REFUSED"},
	{"RFC 1035 4.1.1", "www.test. A CH", "REFUSED"},
	{"RFC 1034 3.7.1", "www.test. A ANY", "NOERROR aa\nwww.test. 60 A 192.0.2.4\nwww.test. 60 A 192.0.2.5"},
	{"RFC 5936 4.2", "test. AXFR", "NOTIMP"},
	{"RFC 1995", "test. IXFR", "NOTAUTH"},
	{"RFC 3597 3", "any.test. TYPE65280", `NOERROR aa` + "\n" + `any.test. 3600 CLASS1 TYPE65280 \# 3 010203`},
	{"RFC 3597 4", "any.test. NAPTR", `NOERROR aa` + "\n" + `any.test. 3600 NAPTR 1 1 "u" "E2U+sip" "" mail.test.`},
	{"RFC 6895 3.1", "www.test. OPT", "NOERROR aa\n" + testSOA},
}

// Names of the zone below, once that zone is loaded too, are no longer the parent's.
var childAnswers = []answerTest{
	{"RFC 1034 4.3.2", "www.child.test. A", "NOERROR aa\nwww.child.test. 600 A 192.0.2.13"},
	{"RFC 1034 4.3.2", "child.test. NS", "NOERROR aa\nchild.test. 600 NS ns.child.test.\nADDITIONAL ns.child.test. 600 A 192.0.2.11"},
	{"RFC 4035 3.1.4.1", "child.test. DS", "NOERROR aa\n" + testSOA},
	{"RFC 1034 4.3.2", "none.child.test. A", "NXDOMAIN aa\nAUTHORITY child.test. 600 SOA ns.child.test. hostmaster.test. 1 7200 3600 1209600 900"},
	{"RFC 1034 4.3.2", "up.child.test. A", "NOERROR aa\nup.child.test. 600 CNAME www.test."},
	{"RFC 1034 4.3.2", "inchild.test. A", "NOERROR aa\ninchild.test. 3600 CNAME www.child.test.\nAUTHORITY child.test. 3600 NS ns.child.test.\nADDITIONAL ns.child.test. 3600 A 192.0.2.11"},
	{"RFC 6672 3.2", "www.dchild.test. A", `NOERROR aa
		dchild.test. 3600 DNAME child.test.
		www.dchild.test. 3600 CNAME www.child.test.
		AUTHORITY child.test. 3600 NS ns.child.test.
		ADDITIONAL ns.child.test. 3600 A 192.0.2.11`},
	{"RFC 1034 4.3.2", "www.test. TXT", "NOERROR aa\nwww.test. 3600 TXT \"text\""},
}

func TestAnswers(t *testing.T) {
	for _, tt := range []struct {
		name  string
		zones *Zones
		table []answerTest
	}{
		{"wildcards", mustZones(t, wildcardZone), wildcardAnswers},
		{"test", mustZones(t, testZone), testAnswers},
		{"chains", mustZones(t, chainZone), chainAnswers},
		{"kid", mustZones(t, oddZone, kidZone), kidAnswers},
		{"kid first", mustZones(t, kidZone, oddZone), kidAnswers},
		{"child", mustZones(t, testZone, childZone), childAnswers},
		{"child first", mustZones(t, childZone, testZone), childAnswers},
	} {
		for _, a := range tt.table {
			t.Run(tt.name+"/"+a.question, func(t *testing.T) {
				for _, edns := range []bool{true, false} {
					got := formatReply(askZones(t, tt.zones, packQuestion(t, a.question, edns, MaxUDPSize), MaxUDPSize))
					if want := trimLines(a.want); got != want {
						t.Errorf("%s\n got %s\nwant %s", a.from, got, want)
					}
				}
			})
		}
	}
}

// Alias chains that return to an earlier name, or close to an earlier name.
var chainAnswers = []answerTest{
	{"RFC 6672 3.2", "y.k.a.t. A", `NOERROR aa
		a.t. 60 DNAME t.t.
		y.k.a.t. 60 CNAME y.k.t.t.
		k.t.t. 60 DNAME a.t.
		y.k.t.t. 60 CNAME y.a.t.
		y.a.t. 60 CNAME y.t.t.
		y.t.t. 60 A 192.0.2.9`},
	{"RFC 6672 3.2", "n.k.a.t. A", `NXDOMAIN aa
		a.t. 60 DNAME t.t.
		n.k.a.t. 60 CNAME n.k.t.t.
		k.t.t. 60 DNAME a.t.
		n.k.t.t. 60 CNAME n.a.t.
		n.a.t. 60 CNAME n.t.t.
		AUTHORITY t. 5 SOA ns.t. host.t. 1 2 3 4 5`},
	{"RFC 2181 5", "p.a.t. A", `NOERROR aa
		a.t. 60 DNAME t.t.
		p.a.t. 60 CNAME p.t.t.
		p.t.t. 60 CNAME y.a.t.
		y.a.t. 60 CNAME y.t.t.
		y.t.t. 60 A 192.0.2.9`},
	{"RFC 2181 5", "pp.t. A", `NOERROR aa
		pp.t. 60 CNAME p.a.t.
		a.t. 60 DNAME t.t.
		p.a.t. 60 CNAME p.t.t.
		p.t.t. 60 CNAME y.a.t.
		y.a.t. 60 CNAME y.t.t.
		y.t.t. 60 A 192.0.2.9`},
	{"RFC 2181 5", "round.a.t. A", `NOERROR aa
		a.t. 60 DNAME t.t.
		round.a.t. 60 CNAME round.t.t.
		round.t.t. 60 CNAME ROUND.a.t.`},
	{"RFC 2181 5", "back.a.t. DNAME", "NOERROR aa\na.t. 60 DNAME t.t.\nback.a.t. 60 CNAME back.t.t.\nback.t.t. 60 CNAME a.t."},
	{"RFC 2181 5", "toback.t. ANY", "NOERROR aa\ntoback.t. 60 CNAME back.a.t."},
	{"RFC 2181 5", "back.a.t. ANY", "NOERROR aa\na.t. 60 DNAME t.t.\nback.a.t. 60 CNAME back.t.t.\nback.t.t. 60 CNAME a.t."},
	{"RFC 2181 5", "toback.t. DNAME", "NOERROR aa\ntoback.t. 60 CNAME back.a.t.\na.t. 60 DNAME t.t.\nback.a.t. 60 CNAME back.t.t.\nback.t.t. 60 CNAME a.t."},
	{"RFC 2181 5", "x.l.t. A", "NOERROR aa\nx.l.t. 60 CNAME x.l.t."},
	{"RFC 2181 5", "y.l.t. A", "NOERROR aa\ny.l.t. 60 CNAME x.l.t.\nx.l.t. 60 CNAME x.l.t."},
	{"RFC 4592 3.3.1", "y.x.l.t. A", "NOERROR aa\ny.x.l.t. 60 CNAME x.l.t.\nx.l.t. 60 CNAME x.l.t."},
	{"RFC 2181 5", "*.l.t. A", "NOERROR aa\n*.l.t. 60 CNAME x.l.t.\nx.l.t. 60 CNAME x.l.t."},
	{"RFC 2181 5", "x.l.t. CNAME", "NOERROR aa\nx.l.t. 60 CNAME x.l.t."},
	{"RFC 2181 5", "x.dl.t. A", "NOERROR aa\ndl.t. 60 DNAME l.t.\nx.dl.t. 60 CNAME x.l.t.\nx.l.t. 60 CNAME x.l.t."},
	{"RFC 2181 5", "q.w.t. A", "NOERROR aa\nq.w.t. 60 CNAME c.t.\nc.t. 60 CNAME q.w.t."},
	{"RFC 2181 5", "c.t. A", "NOERROR aa\nc.t. 60 CNAME q.w.t.\nq.w.t. 60 CNAME c.t."},
	{"RFC 2181 5", "z.w.t. A", "NOERROR aa\nz.w.t. 60 CNAME c.t.\nc.t. 60 CNAME q.w.t.\nq.w.t. 60 CNAME c.t."},
	{"RFC 2181 5", "*.s.t. A", "NOERROR aa\n*.s.t. 60 CNAME *.s.t."},
	{"RFC 2181 5", "a.s.t. A", "NOERROR aa\na.s.t. 60 CNAME *.s.t.\n*.s.t. 60 CNAME *.s.t."},
	{"RFC 4592 3.3.1", "a.*.s.t. TXT", "NOERROR aa\na.*.s.t. 60 TXT \"below\""},
	{"RFC 4592 3.3.1", "b.*.s.t. TXT", "NXDOMAIN aa\nAUTHORITY t. 5 SOA ns.t. host.t. 1 2 3 4 5"},
}

const chainZone = minimalZone + `
a       DNAME t
k.t     DNAME a
y.t     A     192.0.2.9
p.t     CNAME y.a
pp      CNAME p.a
round.t CNAME ROUND.a
back.t  CNAME a
toback  CNAME back.a
*.l     CNAME x.l
dl      DNAME l
*.w     CNAME c
c       CNAME q.w
*.s     CNAME *.s
a.*.s   TXT   below
`

func TestChainsOfFullLength(t *testing.T) {
	text := minimalZone + "grow DNAME x.grow\nend A 192.0.2.1\nc0 CNAME end\n"
	for i := range 20 {
		text += fmt.Sprintf("c%d CNAME c%d\nd%d DNAME d%d\n", i+1, i, i+1, i)
	}
	z := mustZones(t, text+"x.d0 A 192.0.2.2\n")
	for _, tt := range []struct {
		question string
		want     int
	}{
		{"c15.t. A", 17}, {"c16.t. A", 17}, {"c19.t. A", 17}, {"x.d16.t. A", 33}, {"x.d17.t. A", 34}, {"x.d20.t. A", 34}, {"y.grow.t. A", 18},
	} {
		if m := askZones(t, z, packQuestion(t, tt.question, false, 0), maxTCPSize); len(m.Answer) != tt.want || m.Truncated {
			t.Errorf("%s: %d records, want %d", tt.question, len(m.Answer), tt.want)
		}
	}
}

// Zones below test. without a delegation in test. The names between exist.
const (
	kidZone = `$ORIGIN kid.odd.test.
@   600 SOA ns hostmaster.test. 1 7200 3600 1209600 900
    600 NS  ns
    600 NS  ns1.test.
ns  600 A   192.0.2.15
www 600 A   192.0.2.16
`
	oddZone = `$ORIGIN test.
$TTL 3600
@    SOA   ns1 hostmaster 2026112500 2h 1h 2w 5m
     NS    ns1
ns1  A     192.0.2.1
to   CNAME www.kid.odd
kids DNAME kid.odd
tokid CNAME kid.odd
*    TXT   "wild"
`
	kidReferral = `AUTHORITY kid.odd.test. 600 NS ns.kid.odd.test.
		AUTHORITY kid.odd.test. 600 NS ns1.test.
		ADDITIONAL ns.kid.odd.test. 600 A 192.0.2.15
		ADDITIONAL ns1.test. 3600 A 192.0.2.1`
)

var kidAnswers = []answerTest{
	{"RFC 4035 3.1.4.1", "kid.odd.test. DS", "NOERROR aa\n" + testSOA},
	{"RFC 1034 4.3.2 3a", "to.test. A", "NOERROR aa\nto.test. 3600 CNAME www.kid.odd.test.\n" + kidReferral},
	{"RFC 1034 4.3.2 3a", "tokid.test. DS", "NOERROR aa\ntokid.test. 3600 CNAME kid.odd.test.\n" + testSOA},
	{"RFC 1034 4.3.2 3a", "www.kids.test. A", "NOERROR aa\nkids.test. 3600 DNAME kid.odd.test.\nwww.kids.test. 3600 CNAME www.kid.odd.test.\n" + kidReferral},
	{"RFC 8020 2", "odd.test. A", "NOERROR aa\n" + testSOA},
	{"RFC 4592 3.3.1", "x.odd.test. TXT", "NXDOMAIN aa\n" + testSOA},
	{"RFC 4592 3.3.1", "x.test. TXT", "NOERROR aa\nx.test. 3600 TXT \"wild\""},
	{"RFC 1034 4.3.2", "www.kid.odd.test. A", "NOERROR aa\nwww.kid.odd.test. 600 A 192.0.2.16"},
	{"RFC 1034 4.3.2", "x.kid.odd.test. A", "NXDOMAIN aa\nAUTHORITY kid.odd.test. 600 SOA ns.kid.odd.test. hostmaster.test. 1 7200 3600 1209600 900"},
}

func TestZoneBelowADNAME(t *testing.T) {
	z := mustZones(t, minimalZone+"d DNAME e\nto CNAME a.kid.d\ny DNAME kid.d\na.kid.e A 192.0.2.1\n", strings.ReplaceAll(minimalZone, "t.\n", "kid.d.t.\n")+"a A 192.0.2.2\n")
	const chain = "\nd.t. 60 DNAME e.t.\na.kid.d.t. 60 CNAME a.kid.e.t.\na.kid.e.t. 60 A 192.0.2.1"
	for _, a := range []answerTest{
		{"", "a.kid.d.t. A", "NOERROR aa\na.kid.d.t. 60 A 192.0.2.2"},
		{"RFC 6672 2.4", "to.t. A", "NOERROR aa\nto.t. 60 CNAME a.kid.d.t." + chain},
		{"RFC 6672 2.4", "a.y.t. A", "NOERROR aa\ny.t. 60 DNAME kid.d.t.\na.y.t. 60 CNAME a.kid.d.t." + chain},
	} {
		if got := formatReply(askZones(t, z, packQuestion(t, a.question, true, 512), MaxUDPSize)); got != a.want {
			t.Errorf("%s: got %s", a.question, got)
		}
	}
}

func TestDSOfAChildWithoutItsParent(t *testing.T) {
	z := mustZones(t, childZone)
	want := "NOERROR aa\nAUTHORITY child.test. 600 SOA ns.child.test. hostmaster.test. 1 7200 3600 1209600 900"
	if got := formatReply(askZones(t, z, packQuestion(t, "child.test. DS", false, 0), MaxUDPSize)); got != want {
		t.Errorf("got %s", got)
	}
}

func TestRootIsNoTarget(t *testing.T) {
	z := mustZones(t, `$TTL 60
. SOA a.root. nobody.invalid. 1 2 3 4 5
. NS .
. A 192.0.2.1
m. MX 0 .
m. SRV 0 0 0 .
m. SVCB 0 .
m. HTTPS 0 .
m. A 192.0.2.2
`)
	for _, a := range []answerTest{
		{"RFC 7505 3", "m. MX", "NOERROR aa\nm. 60 MX 0 ."},
		{"RFC 2782", "m. SRV", "NOERROR aa\nm. 60 SRV 0 0 0 ."},
		{"RFC 9460 2.5.1", "m. SVCB", "NOERROR aa\nm. 60 SVCB 0 ."},
		{"RFC 9460 2.5.1", "m. HTTPS", "NOERROR aa\nm. 60 HTTPS 0 ."},
		{"RFC 1034 3.6", ". NS", "NOERROR aa\n. 60 NS .\nADDITIONAL . 60 A 192.0.2.1"},
	} {
		if got := formatReply(askZones(t, z, packQuestion(t, a.question, true, 512), MaxUDPSize)); got != a.want {
			t.Errorf("%s: %s: got %s", a.from, a.question, got)
		}
	}
}

// TestOwnService checks that SVCB and HTTPS records with the target "." bring the addresses of their
// owner, once (RFC 9460 sections 2.5.2 and 4.1).
func TestOwnService(t *testing.T) {
	z := mustZones(t, minimalZone+`$TTL 60
www HTTPS 1 . alpn=h2
www HTTPS 2 www alpn=h3
www HTTPS 3 other alpn=h3
www A 192.0.2.1
www AAAA 2001:db8::1
other A 192.0.2.2
alias CNAME www
*.wild SVCB 1 . port=53
*.wild SVCB 2 b.wild port=54
*.wild A 192.0.2.3
towild CNAME c.wild
d DNAME wild
none HTTPS 1 . alpn=h2
`)
	const https = `
www.t. 60 HTTPS 1 . alpn="h2"
www.t. 60 HTTPS 2 www.t. alpn="h3"
www.t. 60 HTTPS 3 other.t. alpn="h3"
ADDITIONAL www.t. 60 A 192.0.2.1
ADDITIONAL www.t. 60 AAAA 2001:db8::1
ADDITIONAL other.t. 60 A 192.0.2.2`
	wild := func(name string) string {
		return strings.ReplaceAll("\nNAME 60 SVCB 1 . port=\"53\"\nNAME 60 SVCB 2 b.wild.t. port=\"54\"\nADDITIONAL NAME 60 A 192.0.2.3", "NAME", name)
	}
	for question, want := range map[string]string{
		"www.t. HTTPS":   https,
		"alias.t. HTTPS": "\nalias.t. 60 CNAME www.t." + https,
		"a.wild.t. SVCB": wild("a.wild.t."),
		"b.wild.t. SVCB": wild("b.wild.t."),
		"towild.t. SVCB": "\ntowild.t. 60 CNAME c.wild.t." + wild("c.wild.t."),
		"x.d.t. SVCB":    "\nd.t. 60 DNAME wild.t.\nx.d.t. 60 CNAME x.wild.t." + wild("x.wild.t."),
		"none.t. HTTPS":  "\nnone.t. 60 HTTPS 1 . alpn=\"h2\"",
	} {
		if got := formatReply(askZones(t, z, packQuestion(t, question, true, 512), MaxUDPSize)); got != "NOERROR aa"+want {
			t.Errorf("%s: got %s", question, got)
		}
	}
}

func TestRootZone(t *testing.T) {
	z := mustZones(t, ". 60 SOA a.root. nobody.invalid. 1 2 3 4 5\n. 60 NS a.root.\na.root. 60 A 192.0.2.1\ntest. 60 NS ns.test.\nns.test. 60 A 192.0.2.2\nd. 60 DNAME root.\n")
	for _, a := range []answerTest{
		{"", ". NS", "NOERROR aa\n. 60 NS a.root.\nADDITIONAL a.root. 60 A 192.0.2.1"},
		{"", "a.b.test. A", "NOERROR\nAUTHORITY test. 60 NS ns.test.\nADDITIONAL ns.test. 60 A 192.0.2.2"},
		{"", "x. A", "NXDOMAIN aa\nAUTHORITY . 5 SOA a.root. nobody.invalid. 1 2 3 4 5"},
		{"", "a.d. A", "NOERROR aa\nd. 60 DNAME root.\na.d. 60 CNAME a.root.\na.root. 60 A 192.0.2.1"},
	} {
		if got := formatReply(askZones(t, z, packQuestion(t, a.question, true, 512), MaxUDPSize)); got != a.want {
			t.Errorf("%s: got %s", a.question, got)
		}
	}
	z = mustZones(t, ". 60 SOA a.root. nobody.invalid. 1 2 3 4 5\n. 60 NS a.root.\n. 60 DNAME example.\n")
	want := "NOERROR aa\n. 60 DNAME example."
	for i := range maxChain + 1 {
		want += "\na.d." + strings.Repeat("example.", i) + " 60 CNAME a.d." + strings.Repeat("example.", i+1)
	}
	if got := formatReply(askZones(t, z, packQuestion(t, "a.d. A", false, 0), maxTCPSize)); got != want {
		t.Errorf("got %s", got)
	}
}
