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
	{"DS 60485 5 1 2BB183AF5F22588179A53B0A 98631FAD1A292118", "DS 60485 5 1 2BB183AF5F22588179A53B0A98631FAD1A292118"}, // RFC 4034 section 5.4
	{"CDS 0 0 0 00", ""},       // RFC 8078 section 4
	{"CDNSKEY 0 3 0 AA==", ""}, // RFC 8078 section 4
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
	{"NSEC host.example.com. A MX RRSIG NSEC TYPE1234", ""},                                                                              // RFC 4034 section 4.3
	{"NSEC3 1 1 12 aabbccdd 2vptu5timamqttgl4luu9kg21e0aor3s A RRSIG", "NSEC3 1 1 12 AABBCCDD 2VPTU5TIMAMQTTGL4LUU9KG21E0AOR3S A RRSIG"}, // RFC 5155 appendix A
	{"NSEC3 1 0 0 - 2VPTU5TIMAMQTTGL4LUU9KG21E0AOR3S", ""},
	{"NSEC3PARAM 1 0 12 AABBCCDD", ""},
	{"TLSA 3 1 1 00", ""},
	{"HIP 2 200100107B1A74DF365639CC39F1D578 AwEAAQ== rvs1.example.com. rvs2.example.com.", ""}, // RFC 8005 section 6
	{"CSYNC 66 3 A NS AAAA", ""},                                                                // RFC 7477 section 2.1.1
	{"CSYNC 66 3", ""},
	{"NID 10 14:4fff:ff20:ee64", "NID 10 0014:4fff:ff20:ee64"}, // RFC 6742 section 2.1.3
	{"L32 10 10.1.2.0", ""},
	{"EUI48 00-00-5E-00-53-2a", "EUI48 00-00-5e-00-53-2a"}, // RFC 7043 section 3.2
	{"EUI64 00-00-5e-ef-10-00-00-2a", ""},                  // RFC 7043 section 4.2
	{`URI 10 1 "ftp://ftp1.example.com/public"`, ""},       // RFC 7553 section 4.6
	{`URI 10 1 ""`, ""},
	{`URI 10 1 "` + strings.Repeat("a", 400) + `"`, ""},
	{"URI 10 1 a", `URI 10 1 "a"`},
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
	{"MD a.", ""},
	{"MF a.", ""},
	{"MB a.", ""},
	{"MG a.", ""},
	{"MR a.", ""},
	{"PTR a.", ""},
	{"NSAP-PTR a.", ""},
	{"DNAME a.", ""},
	{"MINFO a. b.", ""},
	{"TALINK . a.", ""},
	{"AFSDB 1 a.", ""},
	{"RT 10 a.", ""},
	{"KX 10 a.", ""},
	{"LP 10 a.", ""},
	{"PX 10 a. b.", ""},
	{"SIG NXT 1 3 3600 19960102030405 19951211100908 2143 foo.tld. AQAB", ""}, // RFC 2535 section 5.3
	{"KEY NOKEY DNSSEC RSASHA1", "KEY 49152 3 5"},
	{"KEY 512 3 5 AQAB", ""},
	{"DNSKEY 256 3 5 AQ AB", "DNSKEY 256 3 5 AQAB"},
	{"DNSKEY ZONE 3 Ed25519 AQAB", "DNSKEY 256 3 15 AQAB"},
	{"RKEY 0 255 1 AQAB", ""},
	{"EID 12 89 AB", "EID 1289AB"},
	{"EID 1289AB", ""},
	{"NIMLOC 1289AB", ""},
	{"NSEC a. A", ""},
	{"DHCID AAIBY2/AuCccgoJbsaxcQc9TUapptP69lOjxfNuVAA2kjEA=", ""}, // RFC 4701 section 3.6.1
	{"SMIMEA 3 0 0 00", ""},
	{"OPENPGPKEY AQAB", ""},
	{"ZONEMD 2018031900 1 240 E2D523F654B9422A96C5A8F4", ""}, // RFC 8976 section A.3
	{"ZONEMD 1 1 1 " + strings.Repeat("AB", 48), ""},
	{"HHIT AQAB", ""},
	{"BRID AQAB", ""},
	{`SPF "v=spf1 -all"`, ""},
	{`NINFO "a"`, ""},
	{`AVC "a"`, ""},
	{`RESINFO "a"`, ""},
	{`RESINFO "qnamemin" "exterr=15-17"`, ""}, // RFC 9606 section 7
	{`WALLET "a"`, ""},
	{`CLA "a"`, ""},
	{`UINFO "a"`, ""},
	{"UID 4294967295", ""},
	{"GID 0", ""},
	{"L64 10 2001:0db8:1140:1000", ""}, // RFC 6742 section 2.3.3
	{"TA 1 8 250 00", ""},
	{"DLV 1 8 1 2BB183AF5F22588179A53B0A98631FAD1A292118", ""},
	{"SVCB 0 a.", ""},
	{"HTTPS 1 .", ""},
	{"LOC 42 N 71 W 1", "LOC 42 0 0.000 N 71 0 0.000 W 1.00m 1.00m 10000.00m 10.00m"},
	{"NXT a.", ""},
	{"HIP 2 200100107B1A74DF365639CC39F1D578 AwEAAQ==", ""},
}

func TestParse(t *testing.T) {
	for _, tt := range records {
		want := tt.canonical
		if want == "" {
			want = tt.text
		}
		rtype, data, err := parseText(tt.text)
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
			continue
		}
		if got := strings.TrimSuffix(TypeName(rtype)+" "+string(AppendText(nil, rtype, data)), " "); got != want {
			t.Errorf("%s: got %s, want %s", tt.text, got, want)
		}
		checkRoundTrip(t, rtype, data)
	}
}

// badRecords are texts that are refused, and what the error says.
var badRecords = []struct{ text, want string }{
	{"A", "A: address: missing"},
	{"A 192.0.2.256", `A: address: "192.0.2.256": not an IPv4 address`},
	{"A 192.0.2", "not an IPv4"},
	{"A 192.0.2.01", "not an IPv4"},
	{"A 192.0.2.1.", "not an IPv4"},
	{`A "192.0.2.1"`, "without quotes"},
	{"A 192.0.2.1 192.0.2.2", `"192.0.2.2": more than`},
	{"AAAA 192.0.2.1", "not an IPv6"},
	{"AAAA fe80::1%eth0", "not an IPv6"},
	{"NS a..b", "an empty label"},
	{"NS .a", "an empty label"},
	{`NS a\300`, `\300: an escape is for an octet`},
	{`NS a\30`, "less than three digits"},
	{`NS a\`, "a backslash at the end"},
	{`NS "a"`, "without quotes"},
	{`NS a"b"`, "a quote within a word"},
	{"NS " + strings.Repeat("a", 64), "more than 63 octets"},
	{"NS " + strings.Repeat("a", 64) + ".", "more than 63 octets"},
	{"NS " + strings.Repeat("a.", 127) + "b", "more than 255 octets"},
	{"MX 65536 a", "above 65535"},
	{"MX -1 a", "not a number"},
	{"MX +1 a", "not a number"},
	{"MX 1", "MX: host: missing"},
	{"SOA a b 1 2 3 4", "SOA: minimum: missing"},
	{"SOA a b 1 2 3 4 1h5", "not a time"},
	{"SOA a b 1 2 3 4 7102w", "above 4294967295 seconds"},
	{"SOA a b 1h 2 3 4 5", "SOA: serial"},
	{"TXT", "TXT: text: missing"},
	{`TXT \# 0`, "TXT: text: missing"},
	{`TXT a"b"`, "a quote within a word"},
	{"HINFO a", "HINFO: system: missing"},
	{"HINFO a b c", "more than"},
	{"HINFO a " + strings.Repeat("b", 256), "more than 255 octets"},
	{"WKS 10.0.0.1", "WKS: services: missing"},
	{"WKS 10.0.0.1 tcp nothing", "no mnemonic"},
	{"ATMA 47..00", "a dot that is not between digits"},
	{"ATMA 47.00.", "a dot that is not between digits"},
	{"ATMA +.61", "a dot that is not between digits"},
	{"X25 123", "four or more digits"},
	{"X25 12a4", "four or more digits"},
	{"ISDN 1 2 3", "more than"},
	{"NSAP 0x", "NSAP: address: missing"},
	{"NSAP 0x4", "not pairs"},
	{"NSAP 47", "not 0x"},
	{"KEY 512 3 5", "KEY: key: missing"},
	{"KEY 49152 3 5 AQAB", "the flags say that there is none"},
	{"GPOS 1 2", "GPOS: altitude: missing"},
	{"LOC 42 N 71 W", "LOC: location"},
	{"LOC", "missing"},
	{"LOC 91 N 71 W 1", "above 90"},
	{"LOC 90 0 0.001 N 71 W 1", "above 90 degrees"},
	{"LOC 42 60 N 71 W 1", "above 59"},
	{"LOC 42 1 60 N 71 W 1", "above 59"},
	{"LOC 42 1 1.1234 N 71 W 1", "more than 3 decimal digits"},
	{"LOC 42 1 1 1 N 71 W 1", "not N or S"},
	{"LOC 42 N 181 W 1", "above 180"},
	{"LOC 42 N 71 W -100000.01", "not from -100000 to 42849672 meters"},
	{"LOC 42 N 71 W 42849672.96", "not from -100000 to 42849672 meters"},
	{"LOC 42 N 71 W 1 90000000.01", "not from 0 to 90000000 meters"},
	{"LOC 42 N 71 W 1 -1", "not from 0 to"},
	{"LOC 42 N 71 W 1.001", "more than 2 decimal digits"},
	{"LOC 42 N 71 W 1km", "not meters"},
	{"LOC 42 N 71 W 1 1 1 1 1", "more than"},
	{"NXT a CAA", "above TYPE127"},
	{"NAPTR 1 2 a b c", "NAPTR: replacement: missing"},
	{"NAPTR 1 2 a b c d e", "more than"},
	{`NAPTR 1 2 "" "" "!a!b" .`, "not a substitution expression"},
	{`NAPTR 1 2 "" "" "!a!b!x" .`, "not a substitution expression"},
	{`NAPTR 1 2 "" "" "!(a)!\\2!" .`, "not a substitution expression"},
	{`NAPTR 1 2 "" "" "1a1b1" .`, "not a substitution expression"},
	{`NAPTR 1 2 "" "" "!!b!" .`, "not a substitution expression"},
	{"LOC 42 1 1. N 71 W 1", "not a decimal number"},
	{"RKEY 1 255 1 AQAB", "the flags are not 0"},
	{"RRSIG A 5 3 1h 1 2 3 a. AQAB", "not a number"},
	{"CERT PKIX 1 8", "CERT: certificate: missing"},
	{"CERT PKIX 1 8 AQABA", "not base64"},
	{"CERT PKIX 1 8 AR==", "not base64"},
	{"CERT X 1 8 AQAB", "no mnemonic"},
	{"A6 129 a", "A6: prefixed address"},
	{"A6 64 a.", "not an IPv6"},
	{"A6 64 ::1", "missing"},
	{"APL 1:192.0.2.0", "not family:address/prefix"},
	{"APL 1:192.0.2.0/33", "above 32"},
	{"APL 2:192.0.2.0/24", "not an IPv6"},
	{"APL 3:00/1", "the family is neither"},
	{`APL \# 5 0001080280`, "APL: prefixes: the data ends"},
	{`APL \# 6 00010802 0100`, "ends in an octet of zeros"},
	{"DS 1 8 1", "DS: digest: missing"},
	{"DS 1 8 1 00", "digest: 1 octets, type 1 has 20"},
	{"DS 1 8 2 0", "not pairs"},
	{"TA 1 8 2 00", "type 2 has 32"},
	{"DLV 1 8 4 00", "type 4 has 48"},
	{"CDS 0 0 0", "CDS: digest: missing"},
	{"CDNSKEY 0 3 0", "CDNSKEY: key: missing"},
	{"DNSKEY 256 3 8", "DNSKEY: key: missing"},
	{"SSHFP 1 1", "SSHFP: fingerprint: missing"},
	{"SSHFP 1 1 00", "type 1 has 20"},
	{"IPSECKEY 10 1 2 192.0.2.1", "IPSECKEY: key: missing"},
	{"IPSECKEY 10 4 2 . AQAB", "the type is none from 0 to 3"},
	{"IPSECKEY 10 0 2 a AQAB", "type 0 is followed by a dot"},
	{"IPSECKEY 10 1 2 AQAB", "not an IPv4"},
	{"AMTRELAY 10 2 1 192.0.2.1", "the D bit"},
	{"AMTRELAY 10 1 4 .", "the type is none"},
	{"AMTRELAY 10 1 3", "missing"},
	{"RRSIG A 5 3 86400 20030322173103 20030220173103 2642 a.", "RRSIG: signature: missing"},
	{"RRSIG A 5 3 86400 20030322173160 20030220173103 2642 a. AQAB", "not a time"},
	{"RRSIG A 5 3 86400 21060207062816 20030220173103 2642 a. AQAB", "not a time"},
	{"RRSIG NONE 5 3 86400 1 2 2642 a. AQAB", "not a type"},
	{"NSEC a", "NSEC: types: missing"},
	{"NSEC a A TYPE65536", "not a type"},
	{`NSEC \# 4 00000240`, "NSEC: types: the data ends"},
	{`NSEC \# 5 00 0002 4000`, "ends in zeros"},
	{`NSEC \# 7 00 000140 000140`, "out of order"},
	{`NSEC \# 3 00 0000`, "empty"},
	{"NSEC3 1 1 12 aabbccd 2vptu5timamqttgl4luu9kg21e0aor3s", "not pairs"},
	{"NSEC3 1 1 12 - 2vptu5timamqttgl4luu9kg21e0aor3w", "not base32"},
	{"NSEC3 1 1 12 - 2v=", "not base32"},
	{"NSEC3 1 1 12 aa 00", "1 octets, type 1 has 20"},
	{"NSEC3 1 1 12 -", "NSEC3: next hash: missing"},
	{"DHCID AQ==", "1 octets, at least 3"},
	{"TLSA 3 1 1", "TLSA: certificate: missing"},
	{"SMIMEA 3 1 1", "SMIMEA: certificate: missing"},
	{"HIP 2 2001 AwEAAb", "HIP: identity"},
	{"HIP 2 2001", "HIP: identity"},
	{"OPENPGPKEY", "OPENPGPKEY: key: missing"},
	{"CSYNC 66", "CSYNC: flags: missing"},
	{"ZONEMD 1 1 1", "ZONEMD: digest: missing"},
	{"ZONEMD 1 1 1 " + strings.Repeat("00", 47), "47 octets, type 1 has 48"},
	{"ZONEMD 1 1 240 " + strings.Repeat("00", 11), "at least 12"},
	{"NID 1 1:2:3", "not 4 groups"},
	{"L64 1 1:2:3:4:5", "not 4 groups"},
	{"L64 1 1:2::4", "not 4 groups"},
	{"L64 1 1:2:3:04444", "not 4 groups"},
	{"EUI48 00-00-5e-00-53", "not 6 groups"},
	{"EUI48 00-00-5e-00-53-1", "not 6 groups"},
	{"EUI64 00:00:5e:ef:10:00:00:2a", "not 8 groups"},
	{"URI 1 2", "URI: target: missing"},
	{"CAA 0 issue", "CAA: value: missing"},
	{"CAA 0 is-sue a", "not letters and digits"},
	{`CAA 0 "" a`, "not letters and digits"},
	{"CAA 256 issue a", "above 255"},
	{`DOA 1 2 3 ""`, "DOA: data: missing"},
	{`A \# 3 C00002`, "A: address: the data ends"},
	{`A \# 5 C000020100`, "1 octets behind the last field"},
	{`A \# 4 C00002`, "3 octets of data, and the length says 4"},
	{`NS \# 2 C000`, "a compressed or extended label"},
	{`NS \# 2 0161`, "NS: host: the data ends"},
	{`NS \#`, "length: missing"},
	{`LOC \# 16 01` + strings.Repeat("00", 15), "a version that is not 0"},
	{`LOC \# 16 00a01613` + strings.Repeat("00", 12), "not two digits"},
	{`LOC \# 16 00121613` + strings.Repeat("00", 12), "above 90 degrees"},
	{"NULL a", "no text form"},
	{"TYPE65280 a", "no text form"},
	{"ANY a", "not a type of data"},
	{`ANY \# 0`, "not a type of data"},
	{`OPT \# 0`, "not a type of data"},
}

func TestParseRefuses(t *testing.T) {
	for _, tt := range badRecords {
		rtype, data, err := parseText(tt.text)
		if err == nil {
			t.Errorf("%s is read as %s", tt.text, AppendText(nil, rtype, data))
		} else if !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", tt.text, err, tt.want)
		}
	}
}

// The shortest record of each type has no word too many: without the last word, the record is refused.
func TestLastFieldIsNeeded(t *testing.T) {
	shortest := make(map[uint16][]Field)
	for _, tt := range records {
		name, data, _ := strings.Cut(tt.text, " ")
		rtype, _ := Type(name)
		if fields := split(data); shortest[rtype] == nil || len(fields) < len(shortest[rtype]) {
			shortest[rtype] = fields
		}
	}
	for _, row := range types {
		fields := shortest[row.number]
		switch {
		case row.fields == nil || row.name == "APL": // APL may be empty
		case len(fields) == 0:
			t.Errorf("%s has no record in the test", row.name)
		default:
			if data, err := Parse(row.number, fields[:len(fields)-1], testOrigin); err == nil {
				t.Errorf("%s %v, without the last word: read as %s", row.name, fields, AppendText(nil, row.number, data))
			}
		}
	}
}

// Data that is cut off anywhere is refused, or has a text of its own.
func TestCutData(t *testing.T) {
	for _, tt := range records {
		rtype, data, err := parseText(tt.text)
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
		}
		for n := range data {
			if Check(rtype, data[:n]) == nil {
				checkRoundTrip(t, rtype, data[:n])
			}
		}
	}
}
