package rdata

import (
	"encoding/hex"
	"strings"
	"testing"
)

// serviceRecords are records with their wire data: the test vectors of RFC 9460 appendix D.2, and others.
var serviceRecords = []struct{ text, wire, canonical string }{
	{"HTTPS 0 foo.example.com.", "0000 03666f6f076578616d706c6503636f6d00", ""},
	{"SVCB 1 .", "0001 00", ""},
	{"SVCB 16 foo.example.com. port=53", "0010 03666f6f076578616d706c6503636f6d00 0003 0002 0035", ""},
	{`SVCB 1 foo.example.com. key667=hello`, "0001 03666f6f076578616d706c6503636f6d00 029b 0005 68656c6c6f", `SVCB 1 foo.example.com. key667="hello"`},
	{`SVCB 1 foo.example.com. key667="hello\210qoo"`, "0001 03666f6f076578616d706c6503636f6d00 029b 0009 68656c6c6fd2716f6f", ""},
	{`SVCB 1 foo.example.com. ipv6hint="2001:db8::1,2001:db8::53:1"`, "0001 03666f6f076578616d706c6503636f6d00 0006 0020 20010db8000000000000000000000001 20010db8000000000000000000530001",
		"SVCB 1 foo.example.com. ipv6hint=2001:db8::1,2001:db8::53:1"},
	{`SVCB 1 example.com. ipv6hint="2001:db8:122:344::192.0.2.33"`, "0001 076578616d706c6503636f6d00 0006 0010 20010db80122034400000000c0000221",
		"SVCB 1 example.com. ipv6hint=2001:db8:122:344::c000:221"},
	{"SVCB 16 foo.example.org. alpn=h2,h3-19 mandatory=ipv4hint,alpn ipv4hint=192.0.2.1",
		"0010 03666f6f076578616d706c65036f726700 0000 0004 0001 0004 0001 0009 02 6832 05 68332d3139 0004 0004 c0000201",
		`SVCB 16 foo.example.org. mandatory=alpn,ipv4hint alpn="h2,h3-19" ipv4hint=192.0.2.1`},
	{`SVCB 16 foo.example.org. alpn="f\\\\oo\\,bar,h2"`, "0010 03666f6f076578616d706c65036f726700 0001 000c 08 665c6f6f2c626172 02 6832", ""},
	{`SVCB 16 foo.example.org. alpn=f\\\092oo\092,bar,h2`, "0010 03666f6f076578616d706c65036f726700 0001 000c 08 665c6f6f2c626172 02 6832",
		`SVCB 16 foo.example.org. alpn="f\\\\oo\\,bar,h2"`},
	{"SVCB 1 . ipv6hint=::ffff:192.0.2.1", "0001 00 0006 0010 00000000000000000000ffffc0000201", ""},
	{`SVCB 1 . alpn="h2" no-default-alpn`, "0001 00 0001 0003 026832 0002 0000", ""},
	{`SVCB 1 . key1="\002h2"`, "0001 00 0001 0003 026832", `SVCB 1 . alpn="h2"`},
	{`SVCB 1 . port="53"`, "0001 00 0003 0002 0035", "SVCB 1 . port=53"},
	{"SVCB 1 . ech=AQAB", "0001 00 0005 0003 010001", ""},
	{`SVCB 1 . dohpath="/q{?dns}" ohttp`, "0001 00 0007 0008 2f717b3f646e737d 0008 0000", ""},
	{"SVCB 1 . key8", "0001 00 0008 0000", "SVCB 1 . ohttp"},
	{"SVCB 1 . key65534", "0001 00 fffe 0000", ""},
	{`SVCB 1 . no-default-alpn= alpn=h2`, "0001 00 0001 0003 026832 0002 0000", `SVCB 1 . alpn="h2" no-default-alpn`},
	{`SVCB 1 . key9=""`, "0001 00 0009 0000", "SVCB 1 . key9"},
	{"SVCB 0 foo. port=53", "0000 03666f6f00 0003 0002 0035", ""}, // clients ignore the parameters of an alias
}

func TestParseServices(t *testing.T) {
	for _, tt := range serviceRecords {
		rtype, data, err := parseText(tt.text)
		wire := strings.ReplaceAll(tt.wire, " ", "")
		if err != nil || hex.EncodeToString(data) != wire {
			t.Errorf("%s: %x, %v, want %s", tt.text, data, err, wire)
			continue
		}
		if tt.canonical == "" {
			tt.canonical = tt.text
		}
		if got := TypeName(rtype) + " " + string(AppendText(nil, rtype, data)); got != tt.canonical {
			t.Errorf("got %s, want %s", got, tt.canonical)
		}
		checkRoundTrip(t, rtype, data)
	}
}

// badServices are the failure cases of RFC 9460 appendix D.3, and others.
var badServices = []struct{ text, want string }{
	{"SVCB 1 foo.example.com. key123=abc key123=def", "key123 twice"},
	{"SVCB 1 foo.example.com. mandatory", "mandatory"},
	{"SVCB 1 foo.example.com. alpn", "alpn"},
	{"SVCB 1 foo.example.com. port", "port"},
	{"SVCB 1 foo.example.com. ipv4hint", "ipv4hint"},
	{"SVCB 1 foo.example.com. ipv6hint", "ipv6hint"},
	{"SVCB 1 foo.example.com. no-default-alpn=abc", "no value"},
	{"SVCB 1 foo.example.com. mandatory=key123", "key123 is missing"},
	{"SVCB 1 foo.example.com. mandatory=mandatory", "mandatory itself"},
	{"SVCB 1 foo.example.com. mandatory=key123,key123 key123=abc", "twice"},
	{"SVCB 1", "SVCB: target: missing"},
	{"SVCB 1 . ALPN=h2", "no key"},
	{"SVCB 1 . key09=a", "no key"},
	{"SVCB 1 . key65536", "no key"},
	{"SVCB 1 . key1=h2", "the data ends"},
	{"SVCB 1 . alpn=", "empty protocol"},
	{"SVCB 1 . alpn=h2,,h3", "empty protocol"},
	{"SVCB 1 . alpn=" + strings.Repeat("a", 256), "more than 255 octets"},
	{`SVCB 1 . alpn=h\\2`, "a backslash"},
	{`SVCB 1 . alpn="h2`, "quote"},
	{`SVCB 1 . alpn="h2"x`, "quote"},
	{`SVCB 1 . "alpn=h2"`, "without quotes"},
	{"SVCB 1 . no-default-alpn", "without alpn"},
	{"SVCB 1 . port=65536", "above 65535"},
	{"SVCB 1 . ipv4hint=192.0.2.1,", "not an IPv4"},
	{"SVCB 1 . ipv6hint=192.0.2.1", "not an IPv6"},
	{"SVCB 1 . ech=", "ech"},
	{"SVCB 1 . ech=AQ", "not base64"},
	{"SVCB 1 . dohpath=/q", "no variable dns"},
	{"SVCB 1 . dohpath=q{?dns}", "begins with /"},
	{"SVCB 1 . dohpath=/\\255{?dns}", "begins with /"},
	{"SVCB 1 . ohttp=1", "no value"},
	{"SVCB 1 . key667=" + strings.Repeat("a", 65536), "more than 65535"},
	{`SVCB \# 13 0001 00 0004 0000 0003 0002 0035`, "SVCB"},
	{`SVCB \# 15 0001 00 0008 0000 0003 0002 0035 0000`, "SVCB"},
	{`SVCB \# 14 0001 00 0003 0002 0035 0003 0001 00`, "port twice"},
	{`SVCB \# 13 0001 00 0008 0000 0003 0002 0035`, "out of order"},
	{`SVCB \# 8 0001 00 0003 0001 00`, "port: a value of 1 octets"},
	{`SVCB \# 5 0001 00 0003`, "the data ends"},
}

func TestParseRefusesServices(t *testing.T) {
	for _, tt := range badServices {
		if rtype, data, err := parseText(tt.text); err == nil {
			t.Errorf("%.100s is read as %.100s", tt.text, AppendText(nil, rtype, data))
		} else if !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.100s: %v, want %s", tt.text, err, tt.want)
		}
	}
}
