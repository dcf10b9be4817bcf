package rdata

import (
	"strings"
	"testing"
)

func BenchmarkParse(b *testing.B) {
	for _, text := range []string{"A 192.0.2.1", "AAAA 2001:db8::1", "NS ns1", "MX 10 mail.example.net.", `TXT "v=spf1 -all"`, "SOA ns host 1 3600 600 604800 300"} {
		name, data, _ := strings.Cut(text, " ")
		rtype, _ := Type(name)
		fields := split(data)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Parse(rtype, fields, testOrigin); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
