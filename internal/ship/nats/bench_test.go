package nats

import (
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/udpshard/udpshard/internal/ship/shiptest"
)

// cpu returns the time that this process has used, without nats-server.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkSend sends batches of 3000 records of 290 bytes. cpu-ns/record is the time of this
// process.
func BenchmarkSend(b *testing.B) {
	for _, per := range []string{"record", "batch"} {
		b.Run(per, func(b *testing.B) {
			const size = 3000
			s := start(b)
			s.makeStream(jetstream.StreamConfig{Name: "LOGS", Subjects: []string{"logs"}})
			n := open(b, "nats://"+s.address+"/logs", "per", per)
			batch := shiptest.Numbered(0, size)
			if err := n.Send(b.Context(), batch); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.SetBytes(int64(batch.Size()))
			before := cpu(b)
			for b.Loop() {
				batch.First += size
				if err := n.Send(b.Context(), batch); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(cpu(b)-before)/float64(b.N*size), "cpu-ns/record")
		})
	}
}
