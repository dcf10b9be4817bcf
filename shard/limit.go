package shard

import (
	"hash/maphash"
	"net/netip"
	"sync/atomic"
	"time"
)

// The limiter's table has room for this many sources at once, in 1 MiB,
// however many there are. A source's place is free again once it could send a
// full burst, so only sources that are active within the same second compete;
// when more than a set's ways do, the one closest to its full burst is
// forgotten, which lets it send more than its limit.
const (
	limiterSets = 8192
	limiterWays = 8
)

// limiter counts datagrams per source address over all shards, with the
// generic cell rate algorithm (ITU-T I.371): for each source one time, at
// which its bucket would be full again. Shards share it, without locks: an
// update is one compare-and-swap on the source's own word.
type limiter struct {
	perSecond int
	interval  time.Duration // of one datagram
	burst     time.Duration
	seed      maphash.Seed
	sets      [][limiterWays]limiterSlot
}

type limiterSlot struct {
	key  atomic.Uint64 // the source's hash
	full atomic.Int64  // when the bucket is full again
}

func newLimiter(perSecond int) *limiter {
	interval := max(time.Second/time.Duration(perSecond), 1)
	return &limiter{
		perSecond: perSecond,
		interval:  interval,
		burst:     interval * time.Duration(perSecond),
		seed:      maphash.MakeSeed(),
		sets:      make([][limiterWays]limiterSlot, limiterSets),
	}
}

// take says whether source may send one more datagram now.
func (l *limiter) take(source netip.Addr, now time.Duration) bool {
	addr := source.As16()
	hash := maphash.Bytes(l.seed, addr[:])
	slot := l.slot(hash|1, hash>>32%limiterSets, now)
	for {
		full := slot.full.Load()
		next := max(full, int64(now)) + int64(l.interval)
		if next-int64(now) > int64(l.burst) {
			return false
		}
		if slot.full.CompareAndSwap(full, next) {
			return true
		}
	}
}

// slot finds the source's place, or makes one. Two threads that see a source
// for the first time at once agree on one place, since both take the same.
func (l *limiter) slot(key, set uint64, now time.Duration) *limiterSlot {
	ways := &l.sets[set]
	for {
		oldest := &ways[0]
		for i := range ways {
			slot := &ways[i]
			if slot.key.Load() == key {
				return slot
			}
			if slot.full.Load() < oldest.full.Load() {
				oldest = slot
			}
		}
		was, full := oldest.key.Load(), oldest.full.Load()
		if !oldest.key.CompareAndSwap(was, key) {
			continue
		}
		if full > int64(now) { // it was in use; a time that has passed is as good as none
			oldest.full.CompareAndSwap(full, int64(now))
		}
		return oldest
	}
}
