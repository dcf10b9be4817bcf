package dnsrecord

import "testing"

func TestNames(t *testing.T) {
	for _, tt := range []struct {
		got  []byte
		want string
	}{
		{AppendClass(nil, 1), "IN"}, {AppendClass(nil, 3), "CH"}, {AppendClass(nil, 2), "CLASS2"}, {AppendClass(nil, 65535), "CLASS65535"},
		{AppendOpcode(nil, 0), "QUERY"}, {AppendOpcode(nil, 5), "UPDATE"}, {AppendOpcode(nil, 3), "OPCODE3"}, {AppendOpcode(nil, 15), "OPCODE15"},
		{AppendRcode(nil, 3), "NXDOMAIN"}, {AppendRcode(nil, 16), "BADVERS"}, {AppendRcode(nil, 23), "BADCOOKIE"}, {AppendRcode(nil, 12), "RCODE12"}, {AppendRcode(nil, 4095), "RCODE4095"},
	} {
		if string(tt.got) != tt.want {
			t.Errorf("got %s, want %s", tt.got, tt.want)
		}
	}
}
