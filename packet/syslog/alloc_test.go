package syslog

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/udpshard/udpshard/packet"
)

func TestNoAllocation(t *testing.T) {
	batch := packet.NewBatch(1024, 0, nil)
	batch.Reset(receivedAt)
	source := netip.MustParseAddrPort("192.0.2.1:514")
	zoned := netip.MustParseAddrPort("[fe80::1%eth0]:514")
	for _, line := range benchMix() {
		batch.Datagrams = append(batch.Datagrams,
			packet.Datagram{Payload: line, Source: source}, packet.Datagram{Payload: line, Source: zoned})
	}
	for _, s := range samples() {
		batch.Datagrams = append(batch.Datagrams, packet.Datagram{Payload: []byte(s.in), Source: source, Truncated: true})
	}
	datagrams := batch.Datagrams
	for _, where := range []*time.Location{time.UTC, nil, location(t, "Europe/Berlin")} {
		h := NewHandler("syslog", 0)
		h.Location = where
		for format, handler := range map[string]packet.Handler{"JSON": h, "RFC 5424": &RFC5424Handler{Location: where}} {
			at := receivedAt
			if n := testing.AllocsPerRun(50, func() {
				at = at.Add(time.Second)
				batch.Reset(at)
				batch.Datagrams = datagrams
				handler.Handle(batch)
			}); n != 0 {
				t.Errorf("%s, %v: %v allocations for %d datagrams", format, where, n, len(datagrams))
			}
		}
	}
}

// hostileDatagrams are the largest datagrams with structured data.
func hostileDatagrams() map[string][]byte {
	fill := func(head, tail string, part func(i int) string) []byte {
		var b strings.Builder
		b.WriteString(head)
		for i := 0; b.Len() < 65507-40; i++ { // the longest payload over IPv4
			b.WriteString(part(i))
		}
		b.WriteString(tail)
		return []byte(b.String())
	}
	return map[string][]byte{
		"params":          fill("<1>1 - - - - - [a", "]", func(i int) string { return fmt.Sprintf(` %x=""`, i) }),
		"params that are": fill("<1>1 - - - - - [a", "]", func(i int) string { return ` a=""` }),
		"elements":        fill("<1>1 - - - - - ", "", func(i int) string { return fmt.Sprintf(`[%x]`, i) }),
		"nine params":     fill("<1>1 - - - - - ", "", func(i int) string { return fmt.Sprintf(`[%x a="" b="" c="" d="" e="" f="" g="" h="" i=""]`, i) }),
		"escapes":         fill(`<1>1 - - - - - [a b="`, `"]`, func(i int) string { return `\"` }),
		"control bytes":   fill(`<1>`, ``, func(i int) string { return "\x01" }),
		"not UTF-8":       fill(`<1>`, ``, func(i int) string { return "\xff" }),
		"sequence":        fill(`<1>`, ``, func(i int) string { return "1: " }),
		"key and value":   fill(`<1>date=2023-10-11 time=22:14:15`, ``, func(i int) string { return ` a=""` }),
		"no end":          fill(`<1>1 - - - - - `, ``, func(i int) string { return fmt.Sprintf(`[%x]`, i/2) }),
	}
}

func TestHostile(t *testing.T) {
	for name, text := range hostileDatagrams() {
		t.Run(name, func(t *testing.T) {
			d := Decoder{Location: time.UTC}
			var m Message
			d.Decode(&m, text, receivedAt)
			out := m.AppendJSON(nil)
			checkJSON(t, append(bytes.Clone(out), '}'))
			if n := testing.AllocsPerRun(10, func() {
				d.Decode(&m, text, receivedAt)
				out = m.AppendJSON(out[:0])
			}); n != 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
}

// BenchmarkHostile shows that the time for a datagram is proportional to its length.
func BenchmarkHostile(b *testing.B) {
	for name, text := range hostileDatagrams() {
		b.Run(strings.ReplaceAll(name, " ", "_"), func(b *testing.B) {
			d, m, buf := Decoder{Location: time.UTC}, Message{}, make([]byte, 0, 1<<20)
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				d.Decode(&m, text, receivedAt)
				buf = m.AppendJSON(buf[:0])
			}
		})
	}
}
