package selftest

import (
	"slices"
	"testing"
)

func TestDivideCPUs(t *testing.T) {
	for _, test := range []struct {
		usable, chosen []int
		shards         int
		shardCPUs      []int
		senderCPUs     []int
	}{
		{usable: []int{0, 1, 2, 3}, shardCPUs: []int{2, 3}, senderCPUs: []int{0, 1}},
		{usable: []int{0, 1, 2}, shardCPUs: []int{2}, senderCPUs: []int{0, 1}},
		{usable: []int{0, 1, 2, 3}, shards: 3, shardCPUs: []int{1, 2, 3}, senderCPUs: []int{0}},
		{usable: []int{0, 1}, shards: 5, shardCPUs: []int{0, 1}, senderCPUs: []int{0, 1}},
		{usable: []int{7}, shardCPUs: []int{7}, senderCPUs: []int{7}},
		{usable: []int{0, 1, 2, 3}, chosen: []int{1}, shards: 2, shardCPUs: []int{1}, senderCPUs: []int{0, 2, 3}},
	} {
		shards, senders := DivideCPUs(test.usable, test.chosen, test.shards)
		if !slices.Equal(shards, test.shardCPUs) || !slices.Equal(senders, test.senderCPUs) {
			t.Errorf("%+v: shards get %v, senders %v", test, shards, senders)
		}
	}
}
