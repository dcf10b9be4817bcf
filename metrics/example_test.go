package metrics_test

import (
	"fmt"
	"log"

	"github.com/udpshard/udpshard/metrics"
)

// A process that was killed leaves its book to its successor, which has got
// the book's descriptor from it.
func ExampleSharedCounters() {
	layout := metrics.Layout{Listener: "syslog", Shards: 1, Batch: 64}
	dead, err := metrics.NewSharedCounters(layout)
	if err != nil {
		log.Fatal(err)
	}
	page, err := dead.Shard("syslog", 0, 0)
	if err != nil {
		log.Fatal(err)
	}
	page.Received.Add(1000)
	page.Delivered.Add(990)

	heir, err := metrics.NewSharedCounters(layout)
	if err != nil {
		log.Fatal(err)
	}
	if !dead.AdvanceEpoch(dead.Epoch()) {
		log.Fatal("another one was first")
	}
	nothing := func(metrics.Write) (int, error) { return 0, nil } // file.Recover looks into files
	settled, err := heir.Inherit(dead, nil).Finalize(nothing)
	if err != nil {
		log.Fatal(err)
	}
	r := heir.Listeners()[0].Shards[0].Read()
	fmt.Println("lost", settled.Lost)
	fmt.Println(r.Received, "=", r.Delivered, "+", r.InFlight, "+", r.Dropped.LostInCrash)
	// Output:
	// lost 10
	// 1000 = 990 + 0 + 10
}
