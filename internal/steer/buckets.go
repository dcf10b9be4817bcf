package steer

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

const (
	// capacityMargin is the share of a shard's known capacity up to which the shard gets buckets.
	capacityMargin = 0.8
	// returnInterval is the time between returns of a shard's buckets: a quarter each.
	returnInterval = time.Second
)

type bucketRate struct {
	bucket int
	rate   float64
}

// moveBuckets moves buckets with a sum of rate from a shard to targets, the fullest buckets first,
// so that few flows move. It returns the number of buckets.
func (b *Balancer) moveBuckets(now time.Time, from int, targets []int, rate float64) (moved int) {
	load := make(map[int]float64)
	for _, t := range targets {
		load[t] = b.shards[t].arrived
	}
	enough := rate / 20
	for _, candidate := range b.bucketsOf(from) {
		if rate <= enough {
			break
		}
		if candidate.rate > rate && moved > 0 || candidate.rate <= 0 {
			continue
		}
		to := slices.MinFunc(targets, func(x, y int) int { return cmp.Compare(load[x], load[y]) })
		t := &b.shards[to]
		if t.capacity > 0 && now.Before(t.capacityUntil) && load[to]+candidate.rate > capacityMargin*t.capacity {
			continue
		}
		if !b.assign(candidate.bucket, to) {
			break
		}
		load[to] += candidate.rate
		rate -= candidate.rate
		moved++
	}
	return moved
}

// bucketsOf returns the buckets of a shard, the fullest first. Sketches are late, and count
// received datagrams only: the rates are scaled to the shard's arrivals.
func (b *Balancer) bucketsOf(shard int) []bucketRate {
	var buckets []bucketRate
	var known float64
	for bucket, rate := range b.buckets {
		if b.shardOfBucket(bucket) == shard {
			buckets = append(buckets, bucketRate{bucket, rate})
			known += rate
		}
	}
	for i := range buckets {
		if known > 0 {
			buckets[i].rate *= b.shards[shard].arrived / known
		} else {
			buckets[i].rate = b.shards[shard].arrived / float64(len(buckets))
		}
	}
	slices.SortFunc(buckets, func(x, y bucketRate) int {
		return cmp.Or(cmp.Compare(y.rate, x.rate), x.bucket-y.bucket)
	})
	return buckets
}

func (b *Balancer) shardOfBucket(bucket int) int {
	if to, moved := b.plan.Moved[bucket]; moved {
		return to
	}
	return b.plan.Home(bucket)
}

// assign gives a bucket to a shard. It returns false if the plan has no room.
func (b *Balancer) assign(bucket, shard int) bool {
	if shard == b.plan.Home(bucket) {
		delete(b.plan.Moved, bucket)
		return true
	}
	if _, moved := b.plan.Moved[bucket]; !moved && len(b.plan.Moved) == maxMoved {
		return false
	}
	b.plan.Moved[bucket] = shard
	return true
}

// restoreHome returns a quarter of the buckets that were moved away from a shard.
func (b *Balancer) restoreHome(now time.Time, home int) {
	s := &b.shards[home]
	returned := b.returnBuckets(home, 4)
	if returned == 0 {
		return
	}
	s.returnedAt = now
	b.record(Returning, Change{Shard: home, Buckets: returned,
		Reason: fmt.Sprintf("queue quiet for %s", now.Sub(s.pressedAt).Round(time.Second))})
}

// returnBuckets returns one of so many of the buckets that were moved away from a shard, at least
// one bucket, and their number.
func (b *Balancer) returnBuckets(home, oneOf int) int {
	var away []int
	for bucket := range b.plan.Moved {
		if b.plan.Home(bucket) == home {
			away = append(away, bucket)
		}
	}
	if len(away) == 0 {
		return 0
	}
	slices.Sort(away)
	away = away[:max(1, len(away)/oneOf)]
	for _, bucket := range away {
		delete(b.plan.Moved, bucket)
	}
	return len(away)
}
