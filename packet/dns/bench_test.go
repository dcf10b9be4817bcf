package dns

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/udpshard/udpshard/packet"
)

// questionKinds has a question for each way to an answer.
var questionKinds = []struct{ name, question string }{
	{"A", "www.test. A"},
	{"NXDOMAIN", "none.test. A"},
	{"NXDOMAIN_deep", strings.Repeat("a.", 120) + "test. A"},
	{"NODATA", "www.test. MX"},
	{"wildcard", "a.b.wild.test. A"},
	{"wildcard_MX", "a.b.wild.test. MX"},
	{"referral", "x.sub.test. A"},
	{"CNAME", "alias2.test. A"},
	{"MX", "test. MX"},
	{"DNAME", "c.d.test. A"},
	{"REFUSED", "www.example. A"},
	{"NOTIMP", "test. AXFR"},
	{"truncated", "big.test. TXT"},
	{"partial", "bigcut.test. A"},
}

// BenchmarkAnswer decodes a query with an OPT record and appends the reply.
func BenchmarkAnswer(b *testing.B) {
	z := mustZones(b, testZone)
	for _, kind := range questionKinds {
		b.Run(kind.name, func(b *testing.B) { benchmarkAnswer(b, z, [][]byte{packQuestion(b, kind.question, true, MaxUDPSize)}) })
	}
}

func benchmarkAnswer(b *testing.B, z *Zones, messages [][]byte) {
	var q query
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		rcode, _ := q.decode(messages[i])
		buf, _ = z.appendReply(buf[:0], &q, rcode, MaxUDPSize, nil)
		if i++; i == len(messages) {
			i = 0
		}
	}
}

// BenchmarkDeep measures the most expensive lookup: a name with the maximum of labels, below
// nothing but the apex, in a zone with an equally long name, so that each label is looked up.
func BenchmarkDeep(b *testing.B) {
	z := mustZones(b, testZone+strings.Repeat("b.", 124)+"test. A 192.0.2.1\n")
	benchmarkAnswer(b, z, [][]byte{packQuestion(b, strings.Repeat("a.", 124)+"test. A", true, MaxUDPSize)})
}

// largeZone has n names with an address each.
func largeZone(n int) string {
	var text strings.Builder
	text.WriteString("$ORIGIN large.test.\n$TTL 3600\n@ SOA ns1 hostmaster 1 7200 3600 1209600 300\n@ NS ns1\n")
	for i := range n {
		fmt.Fprintf(&text, "host-%d A 10.%d.%d.%d\n", i, byte(i>>16), byte(i>>8), byte(i))
	}
	return text.String()
}

// BenchmarkLarge asks for names all over a zone that is larger than the CPU caches.
func BenchmarkLarge(b *testing.B) {
	const names = 1_000_000
	z := mustZones(b, largeZone(names))
	var messages [][]byte
	for i := range 100_000 {
		messages = append(messages, packQuestion(b, fmt.Sprintf("host-%d.large.test. A", i*7919%names), true, MaxUDPSize))
	}
	benchmarkAnswer(b, z, messages)
}

// BenchmarkHandle answers batches of 64 queries as a shard does, without records and with records in
// each format: ns/op is of a query.
func BenchmarkHandle(b *testing.B) {
	var messages [][]byte
	for _, kind := range questionKinds {
		messages = append(messages, packQuestion(b, kind.question, true, MaxUDPSize))
	}
	for name, o := range recordOptions {
		b.Run(name, func(b *testing.B) {
			s := NewServer(mustZones(b, testZone), o)
			h, sink := s.Handler(0), new(records)
			batch := packet.NewBatch(64, MaxUDPSize, sink)
			b.ReportAllocs()
			b.ResetTimer()
			for i := 0; i < b.N; i += cap(batch.Datagrams) {
				sink.buf = sink.buf[:0]
				batch.Reset(time.Now())
				for j := range cap(batch.Datagrams) {
					batch.Datagrams = append(batch.Datagrams, packet.Datagram{Payload: messages[j%len(messages)],
						Source: netip.MustParseAddrPort(client), Destination: netip.MustParseAddr("192.0.2.53")})
				}
				h.Handle(batch)
			}
		})
	}
}
