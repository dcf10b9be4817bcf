package steer_test

import (
	"fmt"
	"net/netip"

	"github.com/udpshard/udpshard/internal/steer"
)

// A plan chooses the shard of a flow. The kernel runs its program.
func ExamplePlan() {
	plan := steer.Plan{Mode: steer.Auto, Shards: 4, Seed: 1}
	flows := []netip.AddrPort{
		netip.MustParseAddrPort("192.0.2.1:514"),
		netip.MustParseAddrPort("192.0.2.2:514"),
		netip.MustParseAddrPort("[2001:db8::1]:514"),
	}
	show := func() {
		for _, flow := range flows {
			if shard, one := plan.Shard(flow); one {
				fmt.Printf("%s -> shard %d\n", flow, shard)
			} else {
				fmt.Printf("%s -> any shard\n", flow)
			}
		}
	}
	show()

	first, _ := plan.Shard(flows[0])
	plan.Avoid = []int{first}                                // stalled
	plan.Sprayed = []uint32{steer.Flow(plan.Seed, flows[2])} // too much for one shard
	fmt.Printf("avoiding shard %d, spraying %s:\n", first, flows[2])
	show()

	program, err := plan.Program()
	fmt.Println(len(program) > 0, err)
	// Output:
	// 192.0.2.1:514 -> shard 2
	// 192.0.2.2:514 -> shard 1
	// [2001:db8::1]:514 -> shard 1
	// avoiding shard 2, spraying [2001:db8::1]:514:
	// 192.0.2.1:514 -> shard 1
	// 192.0.2.2:514 -> shard 1
	// [2001:db8::1]:514 -> any shard
	// true <nil>
}

// A sketch keeps the heaviest sender beside any number of small senders.
func ExampleSketch() {
	sketch := steer.NewSketch(steer.Plan{Mode: steer.Auto, Shards: 4, Seed: 1})
	heavy := netip.MustParseAddrPort("192.0.2.1:514")
	for i := range 10_000 {
		sketch.Add(heavy, 1)
		if i%10 == 0 {
			other := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
			sketch.Add(netip.AddrPortFrom(other, 514), 1)
		}
	}
	most := sketch.Heaviest(nil, 1)[0]
	fmt.Printf("%s sent %.0f%% of %d\n", most.Key, 100*float64(most.AtLeast())/float64(sketch.Total), sketch.Total)
	// Output: 192.0.2.1:514 sent 91% of 11000
}
