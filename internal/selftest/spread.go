package selftest

import (
	"math"
	"math/rand/v2"
)

// fairShare returns the share of the fullest shard under a fair hash, with flows of equal rate:
// mean and standard deviation. The largest part of a multinomial distribution has no simple
// formula, so fairShare draws samples, always with the same random numbers.
func fairShare(flows, shards int) (mean, deviation float64) {
	draws := min(max(2_000_000/flows, 100), 4000)
	source := rand.New(rand.NewPCG(5426, 5424))
	counts := make([]int, shards)
	var sum, squares float64
	for range draws {
		clear(counts)
		fullest := 0
		for range flows {
			shard := source.IntN(shards)
			counts[shard]++
			fullest = max(fullest, counts[shard])
		}
		share := float64(fullest) / float64(flows)
		sum += share
		squares += share * share
	}
	mean = sum / float64(draws)
	return mean, math.Sqrt(max(squares/float64(draws)-mean*mean, 0))
}
