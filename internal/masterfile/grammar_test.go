package masterfile

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"

	"github.com/udpshard/udpshard/internal/rdata"
)

// dataGrammar are the data of the types. A word is a rule of speller.value, or alternatives that
// mean the same data; _ is a space within a word. A type with several forms has several lines.
var dataGrammar = strings.Split(strings.TrimSpace(`
A ip4
NS name
MD name
MF name
CNAME name
MB name
MG name
MR name
NULL generic
WKS ip4 6|tcp|TCP 25|smtp 53
PTR name
HINFO string string
MINFO name name
MX u16 name
TXT string
TXT string string string
TXT string longstring
RP name name
AFSDB u16 name
X25 311061700956|"311061700956"
ISDN string
ISDN string string
RT u16 name
NSAP 0x47.0005.80.005a00.0000.0001.e133.ffffff000161.00|0X47000580005A0000000001E133FFFFFF00016100
NSAP-PTR name
SIG NXT|nxt|TYPE30 1|RSAMD5 u8 86400 19960102030405 19951211100908 u16 name base64
KEY 512|0512 3 5|RSASHA1 base64
PX u16 name name
GPOS -32.6882|"-32.6882" 116.8652 10.0|"10.0"
AAAA ip6
LOC 42 21 54 N 71 06|6 18|18.0|18.000 W -24m|-24|-24.00m 30m|30|30.00
LOC 42 21 54.123 S 71 0 0 E 10.05m 1m 200m 3m
LOC 42 N 71 W 1m
LOC 90 N 180 E 42849672.95 90000000m 0 0.01
NXT name A MX SIG NXT
EID hex
NIMLOC hex
SRV u16 u16 u16 name
ATMA +61200000000
ATMA 47.0005.80.005a00.0000.0001.e133.ffffff000161.00|47000580005a0000000001e133ffffff00016100
NAPTR u16 u16 "S"|S|\S SIP+D2U|"SIP+D2U"|SI\080+D2U "!^.*$!sip:a@example.com!" name
NAPTR u16 u16 "" "" "" name
KX u16 name
CERT 1|PKIX|pkix u16 8|RSASHA256|rsasha256 base64
CERT 65000 u16 0 base64
A6 64 ::1:2:3:4|::0001:2:3:4 name
A6 0 ip6
A6 128 name
DNAME name
SINK u8 1 u8 base64
APL 1:192.168.32.0/21 !1:192.168.38.0/28|!1:192.168.38.0/028
APL 2:2001:db8::/32|2:2001:DB8:0:0::/32 1:0.0.0.0/0
APL
DS u16 8|RSASHA256 2 hex32
DS u16 5|RSASHA1 1 hex20
SSHFP u8 1 hex20
SSHFP u8 2 hex32
IPSECKEY u8 0 2 . base64
IPSECKEY u8 1 2 ip4 base64
IPSECKEY u8 2 2 ip6 base64
IPSECKEY u8 3 2 a.example.|a base64
IPSECKEY u8 3 2 B\057.c.|B9.c. base64
RRSIG A|TYPE1|a 5|RSASHA1 3 60 20030322173103|1048354263 20030220173103 u16 a.example.|a base64
NSEC name types
DNSKEY 256|0256 3 5|RSASHA1|rsasha1 base64
DHCID base64
NSEC3 1 u8 u16 salt base32 types
NSEC3 1 u8 u16 - base32
NSEC3PARAM 1 0 u16 salt
NSEC3PARAM 1 0 u16 -
TLSA u8 u8 u8 hex
SMIMEA u8 u8 u8 hex
HIP 2 200100107B1A74DF365639CC39F1D578|200100107b1a74df365639cc39f1d578 AwEAAQ==
HIP 2 200100107B1A74DF365639CC39F1D578 AwEAAQ== name name
NINFO string
RKEY 0 255 1 base64
TALINK name name
CDS u16 8|RSASHA256 2 hex32
CDS 0 0 0 00
CDNSKEY 257 3 8|RSASHA256 base64
CDNSKEY 0 3 0 AA==
OPENPGPKEY base64
CSYNC u32 u16 types
ZONEMD u32 1 1 hex48
ZONEMD u32 u8 240 hex32
SVCB 0 name
SVCB 1 . alpn=h2,h3|alpn="h2,h3" port=443|port="443"|port=0443
SVCB u16p name key667=hello|key667="hello"|key667=h\101llo key65000
HTTPS 16 . alpn=h2 ipv4hint=192.0.2.1,192.0.2.2|ipv4hint="192.0.2.1,192.0.2.2"
HTTPS 1 name ipv6hint=2001:db8::1,2001:db8::2|ipv6hint="2001:DB8::1,2001:db8:0::2"
HTTPS 1 name mandatory=port,alpn|mandatory="alpn,port" alpn=f\\\\oo\\,bar,h2|alpn="f\\\\oo\\,bar,h2" no-default-alpn port=53
HTTPS 1 . port=1 alpn=h2|alpn=h\050
HTTPS 1 . ech=AEX+DQBBpQAgACB/RU5hAC5mXe3uOZtNY58Bc8UU1cQBLzKYGVRLZQw=|ech="AEX+DQBBpQAgACB/RU5hAC5mXe3uOZtNY58Bc8UU1cQBLzKYGVRLZQw="
DSYNC CDS|TYPE59 1|NOTIFY u16 name
HHIT base64
BRID base64
SPF string
UINFO string
UID u32
GID u32
NID u16 0014:4fff:ff20:ee64|14:4FFF:ff20:ee64
L32 u16 ip4
L64 u16 2001:0db8:1140:1000|2001:db8:1140:1000
LP u16 name
EUI48 00-00-5e-00-53-2a|00-00-5E-00-53-2A
EUI64 00-00-5e-ef-10-00-00-2a|00-00-5E-EF-10-00-00-2A
URI u16 u16 quoted
CAA u8 issue quoted
CAA u8 iodef string
AVC string string
DOA u32 u32 u8 string base64
DOA u32 u32 u8 string -
AMTRELAY u8 0 0 .
AMTRELAY u8 1 1 ip4
AMTRELAY u8 0 2 ip6
AMTRELAY u8 1 3 name
RESINFO string
WALLET string string
CLA string
IPN u64
TA u16 8 2 hex32
DLV u16 8 2 hex32
TYPE65280 generic
`), "\n")

// speller spells records in ways that the RFCs allow.
type speller struct {
	*rand.Rand
	reader *oracle // for this program's dialect
}

const origin = "example." // of relative names

func newSpeller(seed uint64, reader *oracle) *speller {
	return &speller{rand.New(rand.NewPCG(seed, 15)), reader}
}

// one reports true once in n times.
func (s *speller) one(n int) bool { return s.IntN(n) == 0 }

func (s *speller) pick(of ...string) string { return of[s.IntN(len(of))] }

func (s *speller) number(bits int) string {
	n := s.Uint64() >> (64 - bits)
	switch s.IntN(5) {
	case 0:
		n = 0
	case 1:
		n = 1<<bits - 1
	}
	return s.pick("", "", "", "0") + fmt.Sprint(n)
}

func (s *speller) octets(n int) []byte {
	octets := make([]byte, n)
	for i := range octets {
		octets[i] = byte(s.Uint32())
	}
	return octets
}

// data returns the words of a line of dataGrammar.
func (s *speller) data(line string) (words []string) {
	for _, rule := range strings.Fields(line)[1:] {
		words = append(words, s.value(rule)...)
	}
	return words
}

// value returns the words of one field.
func (s *speller) value(rule string) []string {
	switch rule {
	case "u8":
		return []string{s.number(8)}
	case "u16":
		return []string{s.number(16)}
	case "u16p": // not 0
		return []string{fmt.Sprint(1 + s.IntN(65535))}
	case "u32":
		return []string{s.number(32)}
	case "u64":
		return []string{fmt.Sprint(s.Uint64())}
	case "ip4":
		return []string{netip.AddrFrom4([4]byte(s.octets(4))).String()}
	case "ip6":
		return []string{s.address()}
	case "name":
		return []string{s.name()}
	case "string":
		return []string{s.string(s.octets(s.IntN(12)), s.one(2))}
	case "quoted":
		return []string{s.string(s.octets(s.IntN(12)), true)}
	case "longstring":
		return []string{s.string(s.octets(255), s.one(2))}
	case "base64":
		return s.split(base64.StdEncoding.EncodeToString(s.octets(3 + s.IntN(40))))
	case "base32":
		return []string{s.pick("2vptu5timamqttgl4luu9kg21e0aor3s", "2VPTU5TIMAMQTTGL4LUU9KG21E0AOR3S")}
	case "salt":
		return []string{s.mixCase(hex.EncodeToString(s.octets(1 + s.IntN(8))))}
	case "hex":
		return s.hex(12 + s.IntN(40))
	case "hex20":
		return s.hex(20)
	case "hex32":
		return s.hex(32)
	case "hex48":
		return s.hex(48)
	case "generic":
		return s.generic(s.octets(s.IntN(20)))
	case "types":
		types := []string{"A", "NS", "TXT", "RRSIG", "TYPE1234", "CAA", "TYPE65535", "AAAA"}
		s.Shuffle(len(types), func(i, j int) { types[i], types[j] = types[j], types[i] })
		types = types[:1+s.IntN(len(types))]
		for i := range types {
			types[i] = s.mixCase(types[i])
		}
		return types
	}
	return strings.Split(s.pick(strings.Split(rule, "|")...), "_")
}

// mixCase changes the upper and lower case of some letters.
func (s *speller) mixCase(text string) string {
	switch s.IntN(4) {
	case 0:
		return strings.ToLower(text)
	case 1:
		return strings.ToUpper(text)
	}
	return text
}

// split cuts a text into words.
func (s *speller) split(text string) (words []string) {
	for len(text) > 1 && s.one(2) {
		n := 1 + s.IntN(len(text)-1)
		if s.reader.wholeOctets {
			n -= n % 4
		}
		if n == 0 {
			break
		}
		words, text = append(words, text[:n]), text[n:]
	}
	return append(words, text)
}

func (s *speller) hex(n int) []string { return s.split(s.mixCase(hex.EncodeToString(s.octets(n)))) }

// generic spells data in the form of RFC 3597.
func (s *speller) generic(data []byte) []string {
	words := []string{`\#`, fmt.Sprint(len(data))}
	if len(data) == 0 {
		return words
	}
	return append(words, s.split(s.mixCase(hex.EncodeToString(data)))...)
}

func (s *speller) address() string {
	octets := s.octets(16)
	switch s.IntN(4) {
	case 0: // an IPv4 address within
		copy(octets, "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff")
	case 1: // zeros in a row
		clear(octets[4:12])
	case 2:
		clear(octets[:15])
	}
	address := netip.AddrFrom16([16]byte(octets))
	if s.one(3) {
		return address.StringExpanded()
	}
	return s.mixCase(address.String())
}

// name spells a name of one to four labels, or the root or the origin.
func (s *speller) name() string {
	switch s.IntN(12) {
	case 0:
		return "."
	case 1:
		return "@"
	}
	var name string
	for range 1 + s.IntN(4) {
		var label []byte
		for range 1 + s.IntN(8) {
			label = append(label, "abcdefxyzABCXYZ0123456789-_"[s.IntN(27)])
		}
		switch s.IntN(12) {
		case 0:
			for i := range label {
				label[i] = ".;()@$ \x00\xe9\xff*/"[s.IntN(12)] // NSD writes a quote without a backslash
			}
		case 1:
			label = []byte(strings.Repeat("l", 61+s.IntN(2)))
		}
		name += s.escape(label, `.;()"\@$ `) + "."
	}
	switch s.IntN(3) {
	case 0:
		return strings.TrimSuffix(name, ".")
	case 1:
		return name + origin
	}
	return name
}

// escape spells the octets of a label or a string. Special octets, octets that are not printable,
// and some others are escaped.
func (s *speller) escape(octets []byte, special string) string {
	var text strings.Builder
	for _, c := range octets {
		printable := c >= ' ' && c <= '~'
		switch {
		case !printable || c == ' ' && strings.Contains(special, " ") || s.one(20):
			fmt.Fprintf(&text, `\%03d`, c)
		case strings.IndexByte(special, c) >= 0 || s.one(20) && (c < '0' || c > '9'):
			text.WriteString(`\` + string(c))
		default:
			text.WriteByte(c)
		}
	}
	return text.String()
}

func (s *speller) string(octets []byte, quoted bool) string {
	if quoted || len(octets) == 0 {
		return `"` + s.escape(octets, `"\`) + `"`
	}
	return s.escape(octets, `.;()"\@$ `)
}

// record spells a record. Its owner ends with the origin, and the record ends with a new line.
func (s *speller) record(owner, rtype string, data []string) string {
	t, _ := rdata.Type(rtype)
	relative := strings.TrimSuffix(owner, "."+origin)
	first := s.pick(relative, relative, owner, strings.ToUpper(relative), fmt.Sprintf(`\%03d%s`, relative[0], relative[1:]))
	if s.one(8) && rtype != "CNAME" { // the owner of the record before
		first = relative + " 60 TYPE65000 \\# 1 " + s.pick("ab", "AB") + "\n"
	}
	var words []string
	ttl, class := s.pick("60", "1m", "1M", "60s", "060"), s.pick("IN", "in", "CLASS1", "class1")
	switch s.IntN(5) {
	case 0:
		words = []string{ttl}
	case 1:
		words = []string{class}
	case 2:
		words = []string{ttl, class}
	case 3:
		words = []string{class, ttl}
	}
	words = append(words, s.mixCase(s.pick(rtype, rtype, rtype, fmt.Sprintf("TYPE%d", t))))
	return first + s.layout(slices.Concat(words, data))
}

// layout puts words on one line, or on several lines within parentheses.
func (s *speller) layout(words []string) string {
	var text strings.Builder
	open := false
	for _, word := range words {
		switch {
		case !open && s.one(12):
			open = true
			text.WriteString(s.pick(" (", "\t( ", " (\n", " ( ; a \"comment\" (\n\t"))
		case open && s.one(6):
			open = false
			text.WriteString(s.pick(" ) ", "\n)\t", "; ( \"\n ) "))
		case open && s.one(3):
			text.WriteString(s.pick("\n", "\n\n\t", " ; )\n ", "\r\n "))
		default:
			text.WriteString(s.pick(" ", " ", "\t", "   "))
		}
		text.WriteString(word)
	}
	if open {
		text.WriteString(s.pick(")", " )", "\n)"))
	}
	return text.String() + s.pick("", "", " ", "\t; comment )", ";\"") + s.pick("\n", "\n", "\r\n", "\n\n")
}
