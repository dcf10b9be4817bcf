package ship_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/udpshard/udpshard/internal/output"
	"github.com/udpshard/udpshard/internal/ship"
	"github.com/udpshard/udpshard/internal/spool"
	"github.com/udpshard/udpshard/metrics"
	"github.com/udpshard/udpshard/packet"
)

// Shards that have filled a part of a segment each, and get nothing more, leave the spool to the
// shard that does: their segments are closed and removed, though all together are max_size.
func TestIdleShardsLeaveRoom(t *testing.T) {
	for _, policy := range []spool.WhenFull{spool.Wait, spool.DropOldest} {
		t.Run(string(policy), func(t *testing.T) {
			const size, shards = 1 << 20, 6
			s, err := spool.Open(spool.Settings{Path: t.TempDir(), MaxSize: size, SegmentSize: size / 4,
				WhenFull: policy}, func(spool.Event) {})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			l, err := s.Listener("syslog")
			if err != nil {
				t.Fatal(err)
			}
			shipper := ship.New(s, "token", func(ship.Event) {})
			defer shipper.Stop(context.Background(), false)
			u, err := url.Parse("tcp://127.0.0.1:1")
			if err != nil {
				t.Fatal(err)
			}
			settings := &ship.Settings{URL: u, Listener: "syslog", Format: ship.JSON}
			if err := shipper.Add(l, settings, &fakeTarget{}); err != nil {
				t.Fatal(err)
			}
			shipper.Start()
			await(t, "the lock", s.Held)
			outputs := output.NewSet(func(output.Event) {})
			defer func() {
				late, cancel := context.WithTimeout(context.Background(), 10*time.Second)
				defer cancel()
				if err := outputs.Close(late); err != nil {
					t.Error(err)
				}
			}()
			sinks, counters := make([]packet.Sink, shards), make([]*metrics.Shard, shards)
			for i := range sinks {
				counters[i] = metrics.NewShard(i, 0)
				open := func() output.Destination { return l.Writer(i, counters[i]) }
				sinks[i] = outputs.OpenDestination(fmt.Sprint(i), open, counters[i], 4096, false)
			}
			line := `{"message":"` + strings.Repeat("x", 1000) + "\"}\n"
			var sent uint64
			write := func(shard int) { // one write of 215 KB, less than a segment
				before := counters[shard].Delivered.Load()
				for range 212 {
					sinks[shard].Commit(append(sinks[shard].Buffer(), line...))
				}
				sinks[shard].Flush()
				sent += 212
				await(t, fmt.Sprintf("the records of shard %d", shard), func() bool {
					return counters[shard].Delivered.Load() == before+212
				})
			}
			for shard := range shards {
				write(shard)
			}
			for range 6 {
				write(5)
			}
			await(t, "the target", func() bool {
				o := shipper.Outputs("syslog")[0]
				return o.Acknowledged+o.Expired == sent && o.Waiting == 0
			})
		})
	}
}
