// Package rate limits the rate of events per key, in memory of fixed size and without locks.
//
// A Table uses the generic cell rate algorithm (ITU-T I.371): for each key the Table holds the time
// at which the key's bucket would be full again. All threads of a process share a Table. An update
// is one compare-and-swap on the key's own word. Keys are hashes that the caller makes, with a
// random seed if clients choose the hashed data.
package rate

import (
	"sync/atomic"
	"time"
)

// Capacity is the number of keys in a Table, which needs 1 MiB. A key's slot is free again when the
// key's bucket is full. An event keeps a bucket from being full for one interval: with n events a
// second at a limit of r, at most n/r keys have a slot on average. If more keys than ways compete
// for a set, the key closest to a full bucket is forgotten, and gets a new burst. So a key at its
// limit stays while another key of the set is further from its limit.
const (
	Capacity = sets * ways

	sets = 8192
	ways = 8 // two cache lines
)

// MaxPerSecond is one event a nanosecond, the unit of the Table.
const MaxPerSecond = 1_000_000_000

// The low bits of a word count refusals. The other bits hold the time, up to 2^59 ns: a Table works
// until the clock has run for 18 years.
const (
	refusalBits = 4
	refusalMask = 1<<refusalBits - 1
)

// MaxNth is the largest n of AllowNth, limited by refusalBits.
const MaxNth = refusalMask + 1

// Table limits the rate of each key. Any thread may call the methods.
type Table struct {
	interval int64 // ns between events
	burst    int64 // ns
	sets     *[sets]set
}

type set [ways]slot

type slot struct {
	key  atomic.Uint64
	word atomic.Int64 // time at which the bucket is full again, and number of refusals
}

// NewTable returns a Table that allows perSecond events a second for each key, 1 to MaxPerSecond,
// after a burst of the same number.
func NewTable(perSecond int) *Table {
	interval := max(int64(time.Second)/int64(perSecond), 1)
	return &Table{
		interval: interval,
		burst:    interval * int64(perSecond),
		sets:     new([sets]set),
	}
}

// Allow reports whether an event of the key is allowed now, and counts the event. now is the time
// on a monotonic clock that all callers share.
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

// AllowNth is Allow with a count of refusals: nth is true at every n-th refusal of the key. n is 1
// to MaxNth, and the same in every call.
func (t *Table) AllowNth(key uint64, now time.Duration, n int) (allowed, nth bool) {
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

// nextWord returns the word after one more event, if the event is allowed.
func (t *Table) nextWord(word, now int64) (next int64, ok bool) {
	full := max(word>>refusalBits, now) + t.interval
	return full<<refusalBits | word&refusalMask, full-now <= t.burst
}

// findSlot returns the key's slot, or gives the key a slot. Two threads with the same new key
// choose the same slot, unless other keys change the set at the same time. A slot's word is read
// before the slot's key: so if another thread has given the slot to the key, and counts there
// already, the key is found.
func (t *Table) findSlot(key uint64, now int64) *slot {
	set := &t.sets[key>>32%sets]
	key |= 1 // key 0 marks a free slot
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
		if oldestWord>>refusalBits > now || oldestWord&refusalMask != 0 { // a word with a time in the past needs no reset
			oldest.word.CompareAndSwap(oldestWord, now<<refusalBits)
		}
		return oldest
	}
}
