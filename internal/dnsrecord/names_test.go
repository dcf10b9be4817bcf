package dnsrecord

import (
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func TestAppendName(t *testing.T) {
	for _, tt := range []struct{ wire, want string }{
		{"\x00", "."},
		{"\x03www\x04test\x00", "www.test."},
		{"\x03wWw\x00", "wWw."},
		{"\x09a.b\\c\"d;@\x00", `a\.b\\c\"d\;\@.`},
		{"\x05\x00 \x7f\xff~\x00", `\000\032\127\255~.`},
		{"\x04(x)$\x00", `\(x\)\$.`},
		{"", ""},
		{"\x05cut", "cut."},
	} {
		got := string(AppendName([]byte("<"), []byte(tt.wire)))
		if got != "<"+tt.want {
			t.Errorf("%x: got %s, want %s", tt.wire, got, tt.want)
		}
		if strings.HasSuffix(tt.wire, "\x00") {
			buf := make([]byte, 300)
			if n, err := dns.PackDomainName(tt.want, buf, 0, nil, false); err != nil || string(buf[:n]) != tt.wire {
				t.Errorf("%s is %x, %v", tt.want, buf[:n], err)
			}
		}
	}
}

func TestNames(t *testing.T) {
	for _, tt := range []struct {
		got  []byte
		want string
	}{
		{AppendType(nil, 28), "AAAA"}, {AppendType(nil, 65), "HTTPS"}, {AppendType(nil, 255), "ANY"}, {AppendType(nil, 0), "TYPE0"},
		{AppendType(nil, 65280), "TYPE65280"}, {AppendType(nil, 65535), "TYPE65535"},
		{AppendClass(nil, 1), "IN"}, {AppendClass(nil, 3), "CH"}, {AppendClass(nil, 2), "CLASS2"}, {AppendClass(nil, 65535), "CLASS65535"},
		{AppendOpcode(nil, 0), "QUERY"}, {AppendOpcode(nil, 5), "UPDATE"}, {AppendOpcode(nil, 3), "OPCODE3"}, {AppendOpcode(nil, 15), "OPCODE15"},
		{AppendRcode(nil, 3), "NXDOMAIN"}, {AppendRcode(nil, 16), "BADVERS"}, {AppendRcode(nil, 23), "BADCOOKIE"}, {AppendRcode(nil, 12), "RCODE12"}, {AppendRcode(nil, 4095), "RCODE4095"},
	} {
		if string(tt.got) != tt.want {
			t.Errorf("got %s, want %s", tt.got, tt.want)
		}
	}
}
