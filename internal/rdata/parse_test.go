package rdata

import (
	"strings"
	"testing"
)

// records are texts of data, and the text that AppendText makes of the data; "": the same text.
var records = []struct{ text, canonical string }{
	{"A 192.0.2.1", ""},
	{"AAAA 2001:DB8::1", "AAAA 2001:db8::1"},
	{"AAAA ::ffff:192.0.2.1", ""},
	{"NS ns", "NS ns.example."},
	{"NS @", "NS example."},
	{"NS .", ""},
	{`CNAME a\.b\065.\001`, `CNAME a\.bA.\001.example.`},
	{"SOA ns host 1 1h 1H30m 2w 5", "SOA ns.example. host.example. 1 3600 5400 1209600 5"},
	{"MX 010 a.b.", "MX 10 a.b."},
	{`TXT "a b" c \"\;`, `TXT "a b" "c" "\";"`},
	{`TXT ""`, ""},
	{"TXT " + strings.Repeat("a", 600), `TXT "` + strings.Repeat("a", 255) + `" "` + strings.Repeat("a", 255) + `" "` + strings.Repeat("a", 90) + `"`},
	{`HINFO DEC-2060 "TOPS 20"`, `HINFO "DEC-2060" "TOPS 20"`},                                                     // RFC 1035 section 3.3.2
	{"RP louie.trantor.umd.edu. LAM1.people.umd.edu.", ""},                                                         // RFC 1183 section 2.2
	{"X25 311061700956", `X25 "311061700956"`},                                                                     // RFC 1183 section 3.1
	{"ISDN 150862028003217 004", `ISDN "150862028003217" "004"`},                                                   // RFC 1183 section 3.2
	{"ISDN 150862028003217", `ISDN "150862028003217"`},                                                             // RFC 1183 section 3.2
	{"NSAP 0x47.0005.80.005a00.0000.0001.e133.ffffff000161.00", "NSAP 0x47000580005A0000000001E133FFFFFF00016100"}, // RFC 1706 section 7
	{"WKS 10.0.0.1 tcp telnet ftp 0 65535", "WKS 10.0.0.1 6 0 21 23 65535"},
	{"WKS 10.0.0.1 17", ""},
	{"GPOS -32.6882 116.8652 10.0", `GPOS "-32.6882" "116.8652" "10.0"`},                                             // RFC 1712 section 4
	{"LOC 42 21 54 N 71 06 18 W -24m 30m", "LOC 42 21 54.000 N 71 6 18.000 W -24.00m 30.00m 10000.00m 10.00m"},       // RFC 1876 section 4
	{"LOC 42 21 43.952 N 71 5 6.344 W -24m 1m 200m", "LOC 42 21 43.952 N 71 5 6.344 W -24.00m 1.00m 200.00m 10.00m"}, // RFC 1876 section 4
	{"LOC 52 14 05 N 00 08 50 E 10m", "LOC 52 14 5.000 N 0 8 50.000 E 10.00m 1.00m 10000.00m 10.00m"},                // RFC 1876 section 4
	{"LOC 32 7 19 S 116 2 25 E 10m", "LOC 32 7 19.000 S 116 2 25.000 E 10.00m 1.00m 10000.00m 10.00m"},               // RFC 1876 section 4
	{"LOC 90 S 180 W 42849672.95 90000000 0 0.01", "LOC 90 0 0.000 S 180 0 0.000 W 42849672.95m 90000000.00m 0.00m 0.01m"},
	{"NXT medium.foo.tld. A MX SIG NXT", "NXT medium.foo.tld. A MX SIG NXT"}, // RFC 2535 section 5.3
	{"SRV 0 1 9 old-slow-box.example.com.", ""},                              // RFC 2782
	{`NAPTR 100 50 s z3950+I2L+I2C "" _z3950._tcp.gatech.edu.`, `NAPTR 100 50 "s" "z3950+I2L+I2C" "" _z3950._tcp.gatech.edu.`},
	{`NAPTR 100 10 "" "" "!^urn:cid:.+@([^\\.]+\\.)(.*)$!\\2!i" .`, ""}, // RFC 3403 section 6.1
	{"ATMA +61.2.0000.0000", "ATMA +61200000000"},
	{"ATMA f.e.d.c", "ATMA FEDC"},
	{"CERT PKIX 1 RSASHA256 AQ AB", "CERT 1 1 8 AQAB"},
	{"A6 64 ::1:2:3:4 subnet1.ip6.", ""},
	{"A6 0 2001:db8::1", ""},
	{"A6 128 a.", ""},
	{"A6 61 ffff::7:2:3:4 a.", "A6 61 ::7:2:3:4 a."},
	{"SINK 1 0 0", ""},
	{"APL 1:192.168.32.0/21 !1:192.168.38.0/28", ""}, // RFC 3123 section 6
	{"APL 1:224.0.0.0/4 2:ff00::/8", "APL 1:224.0.0.0/4 2:ff00::/8"},
	{"APL 1:10.0.0.1/8", ""},
	{"APL", ""},
	{"DS 60485 5 1 ( 2BB183AF5F22588179A53B0A 98631FAD1A292118 )", ""}, // RFC 4034 section 5.4
	{"CDS 0 0 0 00", ""},                                               // RFC 8078 section 4
	{"CDNSKEY 0 3 0 AA==", ""},                                         // RFC 8078 section 4
	{"SSHFP 2 1 123456789abcdef67890123456789abcdef67890", "SSHFP 2 1 123456789ABCDEF67890123456789ABCDEF67890"}, // RFC 4255 section 3.2
	{"IPSECKEY 10 1 2 192.0.2.38 AQNRU3mG7TVTO2BkR47usntb102uFJtugbo6BSGvgqt4AQ==", ""},                          // RFC 4025 section 3.2
	{"IPSECKEY 10 0 2 . AQNRU3mG7TVTO2BkR47usntb102uFJtugbo6BSGvgqt4AQ==", ""},                                   // RFC 4025 section 3.2
	{"IPSECKEY 10 3 2 mygateway AQNRU3mG7TVTO2BkR47usntb102uFJtugbo6BSGvgqt4AQ==", "IPSECKEY 10 3 2 mygateway.example. AQNRU3mG7TVTO2BkR47usntb102uFJtugbo6BSGvgqt4AQ=="},
	{"IPSECKEY 10 2 0 2001:db8:0:8002::2000:1", ""},
	{"AMTRELAY 128 1 3 amtrelays", "AMTRELAY 128 1 3 amtrelays.example."}, // RFC 8777 section 4.3.1
	{"AMTRELAY 10 0 1 203.0.113.15", ""},
	{"AMTRELAY 10 1 0 .", ""},
	{`AMTRELAY \# 2 0004`, ""},
	{"RRSIG A RSASHA1 3 86400 20030322173103 20030220173103 2642 example.com. AQAB", "RRSIG A 5 3 86400 20030322173103 20030220173103 2642 example.com. AQAB"},
	{"NSEC host.example.com. ( A MX RRSIG NSEC TYPE1234 )", ""},                                                                          // RFC 4034 section 4.3
	{"NSEC3 1 1 12 aabbccdd 2vptu5timamqttgl4luu9kg21e0aor3s A RRSIG", "NSEC3 1 1 12 AABBCCDD 2VPTU5TIMAMQTTGL4LUU9KG21E0AOR3S A RRSIG"}, // RFC 5155 appendix A
	{"NSEC3 1 0 0 - 2VPTU5TIMAMQTTGL4LUU9KG21E0AOR3S", ""},
	{"NSEC3PARAM 1 0 12 AABBCCDD", ""},
	{"TLSA 3 1 1 00", ""},
	{"HIP 2 200100107B1A74DF365639CC39F1D578 AwEAAb RVS.example.", "error"},
	{"HIP 2 200100107B1A74DF365639CC39F1D578 AwEAAQ== rvs1.example.com. rvs2.example.com.", ""}, // RFC 8005 section 6
	{"CSYNC 66 3 A NS AAAA", ""},                                                                // RFC 7477 section 2.1.1
	{"CSYNC 66 3", ""},
	{"NID 10 14:4fff:ff20:ee64", "NID 10 0014:4fff:ff20:ee64"}, // RFC 6742 section 2.1.3
	{"L32 10 10.1.2.0", ""},
	{"EUI48 00-00-5E-00-53-2a", "EUI48 00-00-5e-00-53-2a"}, // RFC 7043 section 3.2
	{"EUI64 00-00-5e-ef-10-00-00-2a", ""},                  // RFC 7043 section 4.2
	{`URI 10 1 "ftp://ftp1.example.com/public"`, ""},       // RFC 7553 section 4.6
	{`URI 10 1 ""`, ""},
	{"URI 10 1 " + strings.Repeat("a", 400), `URI 10 1 "` + strings.Repeat("a", 400) + `"`},
	{`CAA 0 issue "ca1.example.net; account=230123"`, ""}, // RFC 8659 section 4.2
	{`CAA 128 "tbs" ""`, `CAA 128 tbs ""`},
	{"CAA 0 issue " + strings.Repeat("a", 400), `CAA 0 issue "` + strings.Repeat("a", 400) + `"`},
	{`DOA 0 1 2 "" aHR0`, ""},
	{`DOA 1 2 3 "image/gif" -`, ""},
	{"DSYNC CDS NOTIFY 5359 cds-scanner.example.net.", "DSYNC CDS 1 5359 cds-scanner.example.net."}, // RFC 9859 section 2.2
	{"IPN 18446744073709551615", ""},
	{`NULL \# 0`, ""},
	{`TYPE65280 \# 3 ab CDef`, `TYPE65280 \# 3 ABCDEF`},
	{`A \# 4 C0000201`, "A 192.0.2.1"}, // RFC 3597 section 5
	{"TYPE1 192.0.2.1", "A 192.0.2.1"},
}

func TestParse(t *testing.T) {
	for _, tt := range records {
		text := strings.NewReplacer(" ( ", " ", " )", "").Replace(tt.text)
		want := tt.canonical
		if want == "" {
			want = strings.ReplaceAll(text, "2BB183AF5F22588179A53B0A ", "2BB183AF5F22588179A53B0A")
		}
		rtype, data, err := parseText(text)
		if err != nil {
			if want != "error" {
				t.Errorf("%s: %v", text, err)
			}
			continue
		}
		got := strings.TrimSuffix(TypeName(rtype)+" "+string(AppendText(nil, rtype, data)), " ")
		if got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
		checkRoundTrip(t, rtype, data)
	}
}
