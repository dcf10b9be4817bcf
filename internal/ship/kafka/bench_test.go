package kafka

import (
	"syscall"
	"testing"
	"time"

	"github.com/udpshard/udpshard/internal/ship/shiptest"
)

// BenchmarkSend measures a record in a batch of 3000: all CPU of the process, in microseconds.
func BenchmarkSend(b *testing.B) {
	for _, per := range []string{"record", "batch"} {
		b.Run(per, func(b *testing.B) {
			target := startBroker(b).open(b, "per", per)
			batch := shiptest.Numbered(0, 3000)
			if err := target.Send(b.Context(), batch); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			before := cpu(b)
			b.ResetTimer()
			for n := 0; n < b.N; n += len(batch.Records) {
				batch.First += uint64(len(batch.Records))
				if err := target.Send(b.Context(), batch); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric((cpu(b)-before).Seconds()*1e6/float64(b.N), "cpu-us/op")
		})
	}
}

// cpu returns the CPU time of the process.
func cpu(t testing.TB) time.Duration {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		t.Fatal(err)
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}
