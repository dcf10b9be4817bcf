package metrics_test

import (
	"fmt"
	"log"

	"github.com/udpshard/udpshard/metrics"
)

// A successor inherits the counters of a process that was killed. The successor has the descriptors
// of the shared counters from that process.
func ExampleSharedCounters() {
	layout := metrics.Layout{Listener: "syslog", Shards: 1, Batch: 64}
	dead, err := metrics.NewSharedCounters(layout)
	if err != nil {
		log.Fatal(err)
	}
	shard, err := dead.Shard("syslog", 0, 0)
	if err != nil {
		log.Fatal(err)
	}
	shard.Received.Add(1000)
	shard.Delivered.Add(990)

	successor, err := metrics.NewSharedCounters(layout)
	if err != nil {
		log.Fatal(err)
	}
	if !dead.AdvanceEpoch(dead.Epoch()) {
		log.Fatal("another process has taken over")
	}
	// The records in files: file.Recover counts them.
	nothing := func(metrics.Write) (int, error) { return 0, nil }
	final, err := successor.Inherit(dead, nil).Finalize(nothing)
	if err != nil {
		log.Fatal(err)
	}
	r := successor.Listeners()[0].Shards[0].Read()
	fmt.Println("lost", final.Lost)
	fmt.Println(r.Received, "=", r.Delivered, "+", r.InFlight, "+", r.Dropped.LostInCrash)
	// Output:
	// lost 10
	// 1000 = 990 + 0 + 10
}
