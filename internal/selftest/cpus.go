package selftest

import "slices"

// DivideCPUs divides the usable CPUs between the shards and the senders of a test: half of the
// CPUs for shards, or as many as there are shards. CPUs that are chosen for shards stay, and the
// rest is for senders. With no CPU left, the senders share all CPUs with the shards.
func DivideCPUs(usable, chosen []int, shards int) (shardCPUs, senderCPUs []int) {
	if shardCPUs = chosen; len(chosen) == 0 {
		n := max(len(usable)/2, 1)
		if shards > 0 {
			n = min(shards, len(usable))
		}
		shardCPUs = usable[len(usable)-n:] // interrupts and other work mostly run on the first CPUs
	}
	for _, cpu := range usable {
		if !slices.Contains(shardCPUs, cpu) {
			senderCPUs = append(senderCPUs, cpu)
		}
	}
	if len(senderCPUs) == 0 {
		senderCPUs = usable
	}
	return shardCPUs, senderCPUs
}
