// Package rate limits how often things happen, per key, in memory that does
// not grow and without locks.
//
// A Table counts with the generic cell rate algorithm (ITU-T I.371): for each
// key one time, at which its bucket would be full again. All threads of a
// process share a Table; an update is one compare-and-swap on the key's own
// word. Keys are hashes that the caller makes, with a seed of its own where
// strangers choose what is hashed.
package rate

import (
	"sync/atomic"
	"time"
)

// A Table has room for this many keys at once, in 1 MiB, however many there
// are. A key's place is free again once its bucket is full, and whatever
// happens keeps one bucket from that for one interval: of n events a second
// at a limit of r, n/r keys at most hold a place on average. Where more than a set's ways
// compete, the one closest to its full bucket is forgotten, which gives that
// one its burst again. A key that is at its limit thus stays while any other
// of its set is further from its own.
const (
	Capacity = sets * ways

	sets = 8192
	ways = 8 // two cache lines
)

// MaxPerSecond is one event a nanosecond, the Table's unit.
const MaxPerSecond = 1_000_000_000

// Refusals are counted in the low bits of the word that holds the time, which
// leaves the time 2^59 ns: a clock that has run for 18 years ends the Table.
const (
	refusalBits = 4
	refusalMask = 1<<refusalBits - 1
)

// MaxNth is the largest n of AllowNth, for the bits that count it.
const MaxNth = refusalMask + 1

// Table limits the rate of each key. Any thread may call its methods.
type Table struct {
	interval int64 // of one event, ns
	burst    int64 // ns
	sets     *[sets]set
}

type set [ways]slot

type slot struct {
	key  atomic.Uint64
	word atomic.Int64 // when the bucket is full again, and how often it was empty
}

// NewTable returns a Table that takes perSecond events a second of each key,
// 1 to MaxPerSecond, after a burst of as many.
func NewTable(perSecond int) *Table {
	interval := max(int64(time.Second)/int64(perSecond), 1)
	return &Table{
		interval: interval,
		burst:    interval * int64(perSecond),
		sets:     new([sets]set),
	}
}

// Allow says whether one more event of the key may happen now, a time on a
// monotonic clock that every caller shares.
func (t *Table) Allow(key uint64, now time.Duration) bool {
	slot := t.findSlot(key, int64(now))
	for {
		word := slot.word.Load()
		next, ok := t.nextWord(word, int64(now))
		if !ok {
			return false
		}
		if slot.word.CompareAndSwap(word, next) {
			return true
		}
	}
}

// AllowNth is Allow that counts its refusals: nth is true at every n-th refusal
// of the key. n is 1 to MaxNth, and the same in every call.
func (t *Table) AllowNth(key uint64, now time.Duration, n int) (taken, nth bool) {
	slot := t.findSlot(key, int64(now))
	for {
		word := slot.word.Load()
		next, ok := t.nextWord(word, int64(now))
		nth := false
		if !ok {
			next = word + 1
			if nth = int(word&refusalMask) == n-1; nth {
				next = word &^ refusalMask
			}
		}
		if slot.word.CompareAndSwap(word, next) {
			return ok, nth
		}
	}
}

// next is the word after one more event, if there may be one.
func (t *Table) nextWord(word, now int64) (next int64, ok bool) {
	full := max(word>>refusalBits, now) + t.interval
	return full<<refusalBits | word&refusalMask, full-now <= t.burst
}

// slot finds the key's place, or makes one. Two threads that see a key for
// the first time at once agree on one place: both take the same, unless
// others' keys change the set meanwhile. A place's word is read before its
// key, and so is never that of a place which the other thread has taken and
// counts in by now: where the word is new, the key is found.
func (t *Table) findSlot(key uint64, now int64) *slot {
	set := &t.sets[key>>32%sets]
	key |= 1 // no key is an empty place's
	for {
		var oldest *slot
		var oldestKey uint64
		var oldestWord int64
		for i := range set {
			slot := &set[i]
			word, holder := slot.word.Load(), slot.key.Load()
			if holder == key {
				return slot
			}
			if oldest == nil || word < oldestWord {
				oldest, oldestKey, oldestWord = slot, holder, word
			}
		}
		if !oldest.key.CompareAndSwap(oldestKey, key) {
			continue
		}
		if oldestWord>>refusalBits > now || oldestWord&refusalMask != 0 { // a time that has passed is as good as none
			oldest.word.CompareAndSwap(oldestWord, now<<refusalBits)
		}
		return oldest
	}
}
