package masterfile

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/udpshard/udpshard/internal/rdata"
)

const start = "$TTL 60\n@ SOA ns host 1 2 3 4 5\n"

// read returns the records after the SOA record of t., one a line: owner, TTL, type and data. The
// owners have no t. at the end. Warnings and the error are lines too.
func read(text string) string {
	var lines []string
	warn := func(p Position, err error) { lines = append(lines, fmt.Sprintf("warning: %v: %v", p, err)) }
	err := Read("f", strings.NewReader(text), Options{Origin: "\x01t\x00", NoIncludes: true, Warn: warn}, func(r Record) error {
		if r.Type != typeSOA {
			lines = append(lines, formatRecord(r))
		}
		return nil
	})
	if err != nil {
		lines = append(lines, err.Error())
	}
	return strings.Join(lines, "\n")
}

func formatRecord(r Record) string {
	line := rdata.AppendName(nil, r.Owner)
	line = fmt.Appendf(line, " %d %s ", r.TTL, rdata.TypeName(r.Type))
	return string(rdata.AppendText(line, r.Type, r.Data))
}

var entryTests = []struct{ name, text, want string }{
	{"owners", "a A 192.0.2.1\n A 192.0.2.2\n\tA 192.0.2.3\n@ A 192.0.2.4\nB.u. A 192.0.2.5\n\\@ A 192.0.2.6\nx\\.y\\046 A 192.0.2.7\n",
		"a.t. 60 A 192.0.2.1\na.t. 60 A 192.0.2.2\na.t. 60 A 192.0.2.3\nt. 60 A 192.0.2.4\nB.u. 60 A 192.0.2.5\n\\@.t. 60 A 192.0.2.6\nx\\.y\\..t. 60 A 192.0.2.7"},
	{"owners that spell types, classes and TTLs", "mx MX 1 a\nin IN A 192.0.2.1\n60 A 192.0.2.2\ntype1 TXT a\n",
		"mx.t. 60 MX 1 a.t.\nin.t. 60 A 192.0.2.1\n60.t. 60 A 192.0.2.2\ntype1.t. 60 TXT \"a\""},
	{"a quoted owner", `"a" A 192.0.2.1`, "a.t. 60 A 192.0.2.1"},
	{"quotes in an owner", "a\"b\" A 192.0.2.1\n", `f:3: "a\"b\"": `},
	{"an owner of an empty label", "a..b A 192.0.2.1\n", `f:3: "a..b": `},
	{"an escape above 255", `x\300 A 192.0.2.1`, `f:3: "x\\300": `},
	{"half an escape", `x\25 A 192.0.2.1`, `f:3: "x\\25": `},
	{"an escape above 255 in data", `x TXT "\999"`, `f:3: TXT: `},
	{"class and TTL in both orders", "a 5 IN A 192.0.2.1\nb in 6 A 192.0.2.1\nc CLASS1 A 192.0.2.1\nd 0 A 192.0.2.1\n",
		"a.t. 5 A 192.0.2.1\nb.t. 6 A 192.0.2.1\nc.t. 60 A 192.0.2.1\nd.t. 0 A 192.0.2.1"},
	{"the class twice", "a IN IN A 192.0.2.1\n", `f:3: "IN": not a type, TTL or class`},
	{"the TTL twice", "a 5 IN 6 A 192.0.2.1\n", `f:3: "6": not a type, TTL or class`},
	{"class CH", "a CH TXT x\n", "f:3: class CH: only class IN is supported"},
	{"class hs", "a 5 hs TXT x\n", "f:3: class HS: only class IN is supported"},
	{"a class by number", "a CLASS3 TXT x\n", "f:3: class CLASS3: only class IN is supported"},
	{"units", "a 1w2D3h4M5s A 192.0.2.1\nb 5s1h A 192.0.2.1\n", "a.t. 788645 A 192.0.2.1\nb.t. 3605 A 192.0.2.1"},
	{"a number without its unit", "a 1h30 A 192.0.2.1\n", `f:3: TTL "1h30": not a time`},
	{"an unknown unit", "a 1y A 192.0.2.1\n", `f:3: TTL "1y": not a time`},
	{"two units", "a 1hm A 192.0.2.1\n", `f:3: TTL "1hm": not a time`},
	{"a TTL of 33 bits", "a 4294967296 A 192.0.2.1\n", `f:3: TTL "4294967296": above 4294967295 seconds`},
	{"weeks of 33 bits", "a 7102w A 192.0.2.1\n", `f:3: TTL "7102w": above 4294967295 seconds`},
	{"a TTL of 32 bits", "a 2147483648 A 192.0.2.1\nb 2147483647 A 192.0.2.1\n$TTL 4294967295\nc A 192.0.2.1\n",
		"warning: f:3: TTL 2147483648: more than 2147483647, and therefore 0 (RFC 2181 section 8)\na.t. 0 A 192.0.2.1\nb.t. 2147483647 A 192.0.2.1\n" +
			"warning: f:5: TTL 4294967295: more than 2147483647, and therefore 0 (RFC 2181 section 8)\nc.t. 0 A 192.0.2.1"},
	{"an unknown type", "a FOO bar\n", `f:3: "FOO": not a type, TTL or class (an unknown type is written as TYPE and a number, RFC 3597)`},
	{"a type by number", "a type65280 \\# 2 ab cd\nb TYPE1 192.0.2.1\nc A \\# 4 c0000201\n", "a.t. 60 TYPE65280 \\# 2 ABCD\nb.t. 60 A 192.0.2.1\nc.t. 60 A 192.0.2.1"},
	{"a quoted type", "a \"A\" 192.0.2.1\n", `f:3: "A": a quoted string before the type`},
	{"no type", "a 60 IN\nb A 192.0.2.1\n", "f:3: the line ends before the type of the record"},
	{"an owner alone", "a\nb A 192.0.2.1\n", "f:3: the line ends before the type of the record"},
	{"no data", "a A\nb A 192.0.2.1\n", "f:3: A: "},
	{"a field too many", "a A 192.0.2.1 b\n", "f:3: A: "},
	{"a line that ends early", "a IPSECKEY 10 1\nb A 192.0.2.1\n", "f:3: IPSECKEY: "},
	{"a record behind IPSECKEY", "a IPSECKEY 10 0 2 . AQNRU3mG7TVTO2BkR47usntb102uFJtugbo6BSGvgqt4AQ==\nb A 192.0.2.1\n",
		"a.t. 60 IPSECKEY 10 0 2 . AQNRU3mG7TVTO2BkR47usntb102uFJtugbo6BSGvgqt4AQ==\nb.t. 60 A 192.0.2.1"},
	{"comments", "; \"a ( \\\na A 192.0.2.1;b\n\t; c\n ;\nb TXT a;b\nc TXT a\\;b \"c;d\" ; e\n;", "a.t. 60 A 192.0.2.1\nb.t. 60 TXT \"a\"\nc.t. 60 TXT \"a;b\" \"c;d\""},
	{"parentheses", "( a A 192.0.2.1 )\n (TXT\n x ; )\ny\n)\nb ((\nA) 192.0.2.1\n)\n \n\tTXT(z)\n",
		"a.t. 60 A 192.0.2.1\na.t. 60 TXT \"x\" \"y\"\nb.t. 60 A 192.0.2.1\nb.t. 60 TXT \"z\""},
	{"the first line of an entry", "a (\nA\n192.0.2.256 )\n", "f:3: A: "},
	{"the line behind an entry", "a (\nA\n192.0.2.1 )\nb\n", "a.t. 60 A 192.0.2.1\nf:6: the line ends before the type of the record"},
	{"an open parenthesis", "a A (\n192.0.2.1\nb A 192.0.2.1\n", "f:3: an opening parenthesis without a closing one"},
	{"a closed parenthesis", "a (\nA 192.0.2.1 ))\n", "f:4: a closing parenthesis without an opening one"},
	{"strings", `a TXT a "b c" "" "\"\\\;\000" d"e"f "g"h"i"` + "\n", `a.t. 60 TXT "a" "b c" "" "\"\\;\000" "d" "e" "f" "g" "h" "i"`},
	{"parameters", `a HTTPS 1 . alpn="h2,h3" port=53` + "\n", `a.t. 60 HTTPS 1 . alpn="h2,h3" port=53`},
	{"an open string", "a TXT \"b\nc TXT \"d\n", "f:3: a quoted string without its end on the line"},
	{"an open string in parentheses", "a TXT ( \"b\nc\"\n)\n", "f:3: a quoted string without its end on the line"},
	{"an open string at the end", `a TXT "b`, "f:3: the file ends within a quoted string, or behind a backslash"},
	{"an open parameter", "a SVCB 1 . alpn=\"h2\nb A 192.0.2.1\n", "f:3: a quoted string without its end on the line"},
	{"a backslash at the end of a line", "a TXT b\\\nc A 192.0.2.1\n", "f:3: a backslash at the end of a line"},
	{"a backslash in a string at the end of a line", "a TXT \"b\\\n\"\n", "f:3: a backslash at the end of a line"},
	{"a backslash at the end", "a TXT b\\", "f:3: the file ends within a quoted string, or behind a backslash"},
	{"CRLF", "a A 192.0.2.1\r\nb TXT ( x ; y\r\n\"z\"\r\n)\r\n\r\nc\r\n", "a.t. 60 A 192.0.2.1\nb.t. 60 TXT \"x\" \"z\"\nf:8: the line ends before the type of the record"},
	{"CR", "a A 192.0.2.1\rb A 192.0.2.2\n", "f:3: a carriage return without a line feed"},
	{"no line feed at the end", "a A 192.0.2.1", "a.t. 60 A 192.0.2.1"},
	{"$ORIGIN", "$ORIGIN mx\na MX 1 b\n$origin a.u. ; c\n@ NS a\n$ORIGIN t.\n MX 1 t\n$ORIGIN .\nb A 192.0.2.1\n",
		"a.mx.t. 60 MX 1 b.mx.t.\na.u. 60 NS a.a.u.\na.u. 60 MX 1 t.t.\nb. 60 A 192.0.2.1"},
	{"the same owner of another origin", "a A 192.0.2.1\n$ORIGIN b\na A 192.0.2.1\na TXT x\n", "a.t. 60 A 192.0.2.1\na.b.t. 60 A 192.0.2.1\na.b.t. 60 TXT \"x\""},
	{"$ORIGIN without a name", "$ORIGIN\n", "f:3: $ORIGIN needs a name, and nothing else"},
	{"$ORIGIN with two names", "$ORIGIN a b\n", "f:3: $ORIGIN needs a name, and nothing else"},
	{"$ORIGIN with a wrong name", "$ORIGIN a..b\n", `f:3: "a..b": `},
	{"$TTL", "a A 192.0.2.1\n$TTL 1h\nb A 192.0.2.1\nc 5 A 192.0.2.1\nd A 192.0.2.1\n$ttl ( 0 )\ne A 192.0.2.1\n",
		"a.t. 60 A 192.0.2.1\nb.t. 3600 A 192.0.2.1\nc.t. 5 A 192.0.2.1\nd.t. 3600 A 192.0.2.1\ne.t. 0 A 192.0.2.1"},
	{"$TTL without a TTL", "$TTL ; 60\n", "f:3: $TTL needs a TTL, and nothing else"},
	{"$TTL with two TTLs", "$TTL 60 70\n", "f:3: $TTL needs a TTL, and nothing else"},
	{"$TTL with a wrong TTL", "$TTL x\n", `f:3: TTL "x": not a time`},
	{"$INCLUDE", "$INCLUDE /etc/hostname\n", "f:3: $INCLUDE is not allowed"},
	{"another directive", "$DATE 5\n", `f:3: "$DATE": an unknown directive`},
	{"a name with a dollar", "\\$ORIGIN A 192.0.2.1\nb$ A 192.0.2.1\n", "\\$ORIGIN.t. 60 A 192.0.2.1\nb\\$.t. 60 A 192.0.2.1"},
	{"a directive behind white space", "a A 192.0.2.1\n $ORIGIN x\n", "a.t. 60 A 192.0.2.1\nf:4: \"$ORIGIN\": not a type, TTL or class"},
}

func TestEntries(t *testing.T) {
	for _, tt := range entryTests {
		t.Run(tt.name, func(t *testing.T) { expect(t, read(start+tt.text), tt.want) })
	}
}

// expect compares lines. The last line, which may be an error, only begins with what is wanted.
func expect(t *testing.T, got, want string) {
	t.Helper()
	if !strings.HasPrefix(got, want) || strings.Contains(got[len(want):], "\n") {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// ttlTests are texts without $TTL at the beginning.
var ttlTests = []struct{ name, text, want string }{
	{"the minimum of the SOA record", "@ SOA ns host 1 2 3 4 5\nt. MX 1 ns\na 7 NS ns\nb NS ns\n",
		"warning: f:1: no TTL: the minimum of the SOA record, 5 s, is used\nt. 5 MX 1 ns.t.\na.t. 7 NS ns.t.\nb.t. 5 NS ns.t."},
	{"a minimum of 32 bits", "@ IN SOA ns host 1 2 3 4 4294967295\na NS ns\n",
		"warning: f:1: TTL 4294967295: more than 2147483647, and therefore 0 (RFC 2181 section 8)\nwarning: f:1: no TTL: the minimum of the SOA record, 0 s, is used\na.t. 0 NS ns.t."},
	{"the last stated TTL", "@ 7 SOA ns host 1 2 3 4 5\na NS ns\nb 9 NS ns\nc NS ns\n$TTL 8\nd NS ns\ne 3 NS ns\nf NS ns\n",
		"a.t. 7 NS ns.t.\nb.t. 9 NS ns.t.\nc.t. 9 NS ns.t.\nd.t. 8 NS ns.t.\ne.t. 3 NS ns.t.\nf.t. 8 NS ns.t."},
	{"no TTL before the SOA record", "\n@ NS ns\n@ SOA ns host 1 2 3 4 5\n", "f:2: no TTL: write $TTL before the record"},
}

func TestTTLs(t *testing.T) {
	for _, tt := range ttlTests {
		t.Run(tt.name, func(t *testing.T) { expect(t, read(tt.text), tt.want) })
	}
}

// Files larger than a chunk, with every byte of a record at the end of a chunk.
func TestChunks(t *testing.T) {
	record := "\"n\\097me\"(; x\r\n)TXT a\\\"b\"c\\\"d\" ; e\r\nb A 192.0.2.1\n"
	want := read(start + record)
	if !strings.Contains(want, `name.t. 60 TXT "a\"b" "c\"d"`) {
		t.Fatal(want)
	}
	for cut := range len(record) + 1 {
		comment := ";" + strings.Repeat("x", chunkSize-len(start)-2-cut) + "\n"
		expect(t, read(start+comment+record), want)
	}
	long := "a TXT ( ; " + strings.Repeat("x", 5*chunkSize) + "\n b ) ; \nb\n"
	expect(t, read(start+long), "a.t. 60 TXT \"b\"\nf:5: the line ends")
}

func TestByteOrderMark(t *testing.T) {
	expect(t, read(byteOrderMark+start+"a A 192.0.2.1\n"), "a.t. 60 A 192.0.2.1")
	expect(t, read(""), "")
	expect(t, read(byteOrderMark), "")
	expect(t, read(start+byteOrderMark+" A 192.0.2.1\n"), `\239\187\191.t. 60 A 192.0.2.1`)
}

var generateTests = []struct{ name, text, want string }{
	{"a range", "$GENERATE 9-11 h$ A 192.0.2.$ ; c\n", "h9.t. 60 A 192.0.2.9\nh10.t. 60 A 192.0.2.10\nh11.t. 60 A 192.0.2.11"},
	{"a step", "$generate 0-5/2 $ A 192.0.2.$\n", "0.t. 60 A 192.0.2.0\n2.t. 60 A 192.0.2.2\n4.t. 60 A 192.0.2.4"},
	{"a range of one", "$GENERATE 7-7/9 a A 192.0.2.$\n", "a.t. 60 A 192.0.2.7"},
	{"the TTL of $TTL", "$TTL 7\na 5 A 192.0.2.1\n$GENERATE 1-1 $ A 192.0.2.$\n", "a.t. 5 A 192.0.2.1\n1.t. 7 A 192.0.2.1"},
	{"a TTL and a class", "$GENERATE 1-1 $ 1h IN A 192.0.2.$\n$GENERATE 2-2 $ IN 5 A 192.0.2.$\na A 192.0.2.3\n", "1.t. 3600 A 192.0.2.1\n2.t. 5 A 192.0.2.2\na.t. 60 A 192.0.2.3"},
	{"the owner behind", "a A 192.0.2.1\n$GENERATE 1-1 $ A 192.0.2.$\n TXT x\n", "a.t. 60 A 192.0.2.1\n1.t. 60 A 192.0.2.1\na.t. 60 TXT \"x\""},
	{"an offset and a width", "$GENERATE 8-9 ${-8}.${1,3}.${2,1}.${0,0} CNAME h${5}\n", "0.009.10.8.t. 60 CNAME h13.t.\n1.010.11.9.t. 60 CNAME h14.t."},
	{"bases", "$GENERATE 171-171 ${0,5,d}.${1,4,o}.${0,3,x}.${0,0,X} CNAME a\n", "00171.0254.0ab.AB.t. 60 CNAME a.t."},
	{"nibbles", "$GENERATE 0-171/171 ${0,0,n}.a${0,3,N}b${0,4,N}c PTR d\n", "0.a0.0b0.0.c.t. 60 PTR d.t.\nb.a.aB.AbB.A.c.t. 60 PTR d.t."},
	{"dollars", `$GENERATE 1-1 $$.\$.\\$.a TXT \$ "$$ $"` + "\n", `\$.\$.\\1.a.t. 60 TXT "$" "$ 1"`},
	{"data in quotes, as in BIND", `$GENERATE 1-1 a MX "$ m$"` + "\n" + `$GENERATE 2-2 a TXT "\"$ x\""` + "\n" + `$GENERATE 2-2 a TXT "\"$ x\" y"` + "\n",
		"a.t. 60 MX 1 m1.t.\na.t. 60 TXT \"2 x\"\nwarning: f:5: $GENERATE: 2 strings, as in BIND: a string with spaces is written as \"\\\"text\\\"\"\na.t. 60 TXT \"2 x\" \"y\""},
	{"data without quotes", "$GENERATE 1-1 a MX $ m$\n$GENERATE 1-1 a TXT \"$ x\" $\n", "a.t. 60 MX 1 m1.t.\na.t. 60 TXT \"1 x\" \"1\""},
	{"generated parameters", "$GENERATE 1-1 a HTTPS $ . alpn=\"h$\"\n", "a.t. 60 HTTPS 1 . alpn=\"h1\""},
	{"quotes within a word", "$GENERATE 1-1 a TXT a$\"b $\"\n", "a.t. 60 TXT \"a1\" \"b 1\""},
	{"several lines", "$GENERATE 1-1 (\n a\n A 192.0.2.$ )\nb\n", "a.t. 60 A 192.0.2.1\nf:6: the line ends"},
	{"a wrong record", "\n$GENERATE (\n254-256 a A 192.0.2.$ )\n", "a.t. 60 A 192.0.2.254\na.t. 60 A 192.0.2.255\nf:4: A: "},
	{"a wrong owner", "$GENERATE 1-1 ${0,64} A 192.0.2.$\n", `f:3: "0000000000000000000000000000000000000000000000000000000000000001": `},
	{"no range", "$GENERATE\n", "f:3: $GENERATE needs a range, an owner, a type and data"},
	{"no type", "$GENERATE 1-2 a\n", "f:3: $GENERATE: the line ends before the type of the record"},
	{"an empty string", "$GENERATE 1-2 a A \"\"\n", "f:3: A: "},
	{"a range that is none", "$GENERATE 1-x a A 192.0.2.$\n", `f:3: $GENERATE: "1-x": not a range`},
	{"a range without its end", "$GENERATE 1 a A 192.0.2.$\n", `f:3: $GENERATE: "1": not a range`},
	{"a range backward", "$GENERATE 2-1 a A 192.0.2.$\n", `f:3: $GENERATE: "2-1": not a range`},
	{"a step of 0", "$GENERATE 1-2/0 a A 192.0.2.$\n", `f:3: $GENERATE: "1-2/0": not a range`},
	{"a range of 32 bits", "$GENERATE 1-2147483648 a A 192.0.2.$\n", `f:3: $GENERATE: "1-2147483648": not a range`},
	{"too many records", "$GENERATE 0-1000000 a A 192.0.2.1\n", `f:3: $GENERATE: "0-1000000": 1000001 records, of at most 1000000`},
	{"a negative number", "$GENERATE 0-1 a${-1} A 192.0.2.1\n", `f:3: $GENERATE: "a${-1}": numbers outside 0 to 2147483647`},
	{"a number of 32 bits", "$GENERATE 0-1 a A 192.0.2.${2147483647}\n", `f:3: $GENERATE: "192.0.2.${2147483647}": numbers outside 0 to 2147483647`},
	{"an open brace", "$GENERATE 0-1 a${0,2 A 192.0.2.1\n", `f:3: $GENERATE: "${0,2": not ${OFFSET,WIDTH,BASE}`},
	{"another base", "$GENERATE 0-1 a${0,2,q} A 192.0.2.1\n", `f:3: $GENERATE: "${0,2,q}": not ${OFFSET,WIDTH,BASE}`},
	{"no offset", "$GENERATE 0-1 a${} A 192.0.2.1\n", `f:3: $GENERATE: "${}": not ${OFFSET,WIDTH,BASE}`},
	{"a negative width", "$GENERATE 0-1 a${0,-1} A 192.0.2.1\n", `f:3: $GENERATE: "${0,-1}": not ${OFFSET,WIDTH,BASE}`},
	{"a large width", "$GENERATE 0-1 a${0,256} A 192.0.2.1\n", `f:3: $GENERATE: "${0,256}": not ${OFFSET,WIDTH,BASE}`},
	{"class CH", "$GENERATE 0-1 a CH TXT x\n", "f:3: $GENERATE: class CH: only class IN is supported"},
	{"a wrong string", `$GENERATE 0-1 a TXT "a )"` + "\n", "f:3: $GENERATE: a closing parenthesis without an opening one"},
}

func TestGenerate(t *testing.T) {
	for _, tt := range generateTests {
		t.Run(tt.name, func(t *testing.T) { expect(t, read(start+tt.text), tt.want) })
	}
}

// Without $TTL, $GENERATE has the last stated TTL or the minimum of the SOA record.
func TestGenerateTTLs(t *testing.T) {
	expect(t, read("@ 7 SOA ns host 1 2 3 4 5\n$GENERATE 1-1 $ A 192.0.2.$\n"), "1.t. 7 A 192.0.2.1")
	expect(t, read("@ SOA ns host 1 2 3 4 5\n$GENERATE 1-1 $ A 192.0.2.$\n"), "warning: f:1: no TTL: the minimum of the SOA record, 5 s, is used\n1.t. 5 A 192.0.2.1")
	expect(t, read("$GENERATE 1-1 $ A 192.0.2.$\n"), "f:1: no TTL: write $TTL before the record")
}

func TestOrigins(t *testing.T) {
	for _, tt := range []struct{ file, text, want string }{
		{"example.org", "@ 5 SOA ns host 1 2 3 4 5\n", "example.org."},
		{"dir/example.org.zone", "@ 5 SOA ns host 1 2 3 4 5\n", "example.org."},
		{"dir/Example.org.db", "@ 5 SOA ns host 1 2 3 4 5\n", "Example.org."},
		{"example.zone", "@ 5 SOA ns host 1 2 3 4 5\n", "example."},
		{"2.0.192.in-addr.arpa", "@ 5 SOA ns host 1 2 3 4 5\n", "2.0.192.in-addr.arpa."},
		{"_tcp.example.org.", "@ 5 SOA ns host 1 2 3 4 5\n", "_tcp.example.org."},
		{"example.zone", "$ORIGIN u.\n@ 5 SOA ns host 1 2 3 4 5\n", "u."},
		{"example.zone", "$ORIGIN u\n@ 5 SOA ns host 1 2 3 4 5\n", "u.example."},
		{"example.zone", "u. 5 SOA ns host 1 2 3 4 5\n", "u."},
		{"zone", "u. 5 SOA ns host 1 2 3 4 5\n", "u."},
		{"zone", "@ 5 SOA ns host 1 2 3 4 5\n", `zone:1: "@": a relative name needs an origin`},
		{"db.example.org", "@ 5 SOA ns host 1 2 3 4 5\n", `db.example.org:1: "@": a relative name needs an origin`},
		{"a zone.db", "@ 5 SOA ns host 1 2 3 4 5\n", `a zone.db:1: "@": a relative name needs an origin`},
		{".zone", "$ORIGIN u\n", `.zone:1: "u": a relative name needs an origin`},
		{"..zone", "$ORIGIN u\n", `..zone:1: "u": a relative name needs an origin`},
	} {
		var got string
		err := Read(tt.file, strings.NewReader(tt.text+"a NS b\n"), Options{}, func(r Record) error {
			if r.Type == typeSOA {
				got = string(rdata.AppendName(nil, r.Owner))
			} else if a, b := formatRecord(r), fmt.Sprintf("a.%s 5 NS b.%[1]s", got); a != b {
				t.Errorf("%s: %q: %s, want %s", tt.file, tt.text, a, b)
			}
			return nil
		})
		if err != nil {
			got = err.Error()
		}
		expect(t, got, tt.want)
	}
}

func TestInclude(t *testing.T) {
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
	readFile := func(name string) string {
		var lines []string
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		err = Read(name, strings.NewReader(string(text)), Options{Origin: "\x01t\x00"}, func(r Record) error {
			at, err := filepath.Rel(dir, r.Position.String())
			lines = append(lines, at+" "+formatRecord(r))
			return err
		})
		if err != nil {
			lines = append(lines, strings.ReplaceAll(err.Error(), dir+"/", ""))
		}
		return strings.Join(lines, "\n")
	}
	write("sub/hosts", " A 192.0.2.1\nb A 192.0.2.2\n$INCLUDE \"with space\" mx\n")
	write("sub/with space", "$ORIGIN txt\n@ A 192.0.2.3\n$TTL 9\n")
	expect(t, readFile(write("main", "$TTL 60\na A 192.0.2.0\n$INCLUDE sub/hosts\n TXT a\n$include sub/hosts a ; c\nc A 192.0.2.9\n")), trim(`
		main:2 a.t. 60 A 192.0.2.0
		sub/hosts:1 a.t. 60 A 192.0.2.1
		sub/hosts:2 b.t. 60 A 192.0.2.2
		sub/with space:2 txt.mx.t. 60 A 192.0.2.3
		main:4 a.t. 9 TXT "a"
		sub/hosts:1 a.t. 9 A 192.0.2.1
		sub/hosts:2 b.a.t. 9 A 192.0.2.2
		sub/with space:2 txt.mx.a.t. 9 A 192.0.2.3
		main:6 c.t. 9 A 192.0.2.9`))

	write("wrong", "\n\na 5 A x\n")
	for _, tt := range []struct{ name, text, want string }{
		{"a missing file", "$INCLUDE none\n", "x:1: $INCLUDE: open none: no such file"},
		{"no file", "$INCLUDE\n", "x:1: $INCLUDE needs a file"},
		{"too many fields", "$INCLUDE a b c\n", "x:1: $INCLUDE needs a file"},
		{"a folder", "$INCLUDE sub\n", "x:1: $INCLUDE: sub: not a regular file"},
		{"a device", "$INCLUDE /dev/null\n", "x:1: $INCLUDE: /dev/null: not a regular file"},
		{"a wrong origin", "$INCLUDE wrong a..b\n", `x:1: "a..b": `},
		{"a wrong record", "$INCLUDE wrong\n", "wrong:3: A: "},
		{"a record behind", "$INCLUDE sub/../main\na A x\n", "x:2: A: "},
		{"a loop", "\n$INCLUDE x\n", `x:2: $INCLUDE "x": more than 16 files that include one another`},
	} {
		got := readFile(write("x", tt.text))
		t.Run(tt.name, func(t *testing.T) { expect(t, got[strings.LastIndexByte(got, '\n')+1:], tt.want) })
	}

	t.Chdir(dir)
	err := Read("x", strings.NewReader("$INCLUDE wrong\n"), Options{}, nil)
	if err == nil || !strings.HasPrefix(err.Error(), `wrong:3: "a": a relative name`) {
		t.Errorf("got %v", err)
	}
}

func trim(text string) string { return strings.ReplaceAll(strings.TrimSpace(text), "\t", "") }

// An SOA record in an included file sets the origin of the including file too.
func TestIncludedSOA(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "soa"), []byte("u. 5 SOA ns host 1 2 3 4 5\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var last string
	err := Read(filepath.Join(dir, "zone"), strings.NewReader("$INCLUDE soa\na A 192.0.2.1\n"), Options{}, func(r Record) error {
		last = formatRecord(r)
		return nil
	})
	if err != nil || last != "a.u. 5 A 192.0.2.1" {
		t.Errorf("got %s, %v", last, err)
	}
}

// The limit for the size of a zone counts included files and the text of generated records. The
// error has the position where the limit was exceeded.
func TestSizeLimit(t *testing.T) {
	dir := t.TempDir()
	const line = "www 3600 IN A 192.0.2.1\n"
	if err := os.WriteFile(filepath.Join(dir, "line"), []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		text  string
		limit int
		want  string
	}{
		{line + line, 2 * len(line), ""},
		{line + line, 2*len(line) - 1, "zone:1: the zone has more than 1073741824 bytes"},
		{"$INCLUDE line\n$INCLUDE line\n", 28 + 2*len(line), ""},
		{"$INCLUDE line\n$INCLUDE line\n", 27 + 2*len(line), "line:1: the zone has more than"},
		{"\n$GENERATE 1-9 a 5 TXT xxx$\n", 28 + 9*5, ""},
		{"\n$GENERATE 1-9 a 5 TXT xxx$\n", 27 + 9*5, "zone:2: $GENERATE: the zone has more than"},
	} {
		rd := reader{statedOrigin: "\x00", bytesLeft: int64(tt.limit), each: func(Record) error { return nil }}
		err := rd.readFile(filepath.Join(dir, "zone"), strings.NewReader(tt.text), 0)
		if (err == nil) != (tt.want == "") || err != nil && !strings.HasPrefix(err.Error(), filepath.Join(dir, tt.want)) {
			t.Errorf("%q: %v, want %s", tt.text, err, tt.want)
		}
	}
}
