package metrics

import (
	"sync/atomic"

	"github.com/udpshard/udpshard/internal/sys"
)

// ProtocolCounters are what a listener counts beside the ledger, for its protocol, which
// says what each of them is: queries by type. A protocol that gives one another
// meaning changes layoutVersion, or their number: they go on in a successor's book
// where the listener has as many, and else begin anew.

// ProtocolCounters returns those of a shard: one writer, any number of readers.
func (b *SharedCounters) ProtocolCounters(listener string, shard int) []atomic.Uint64 {
	at, shards, ok := b.tallied(listener)
	if !ok || shard < 0 || shard >= shards {
		return nil
	}
	return b.tallies(at, shard)
}

// ListenerProtocolCounters returns those of no shard: what a listener's predecessors have
// counted is there. Anybody may add to them.
func (b *SharedCounters) ListenerProtocolCounters(listener string) []atomic.Uint64 {
	at, shards, ok := b.tallied(listener)
	if !ok {
		return nil
	}
	return b.tallies(at, shards)
}

// tallied finds a listener's row.
func (b *SharedCounters) tallied(listener string) (at, shards int, ok bool) {
	found, ok := b.places[listener]
	if !ok {
		return 0, 0, false
	}
	r := &b.rows[found.row]
	return found.row, int(r.shards), r.tallies > 0
}

// tallies returns those of a row's slot; the last, after its shards', is the
// shared one.
func (b *SharedCounters) tallies(at, slot int) []atomic.Uint64 {
	r := &b.rows[at]
	return sys.Slice[atomic.Uint64](b.memory, b.tallyAt[at]+slot*r.tallySize(), int(r.tallies))
}

// tallyHeir is what becomes of a row's tallies.
type tallyHeir struct {
	row   int
	to    []atomic.Uint64
	taken []uint64 // so far
}

func (b *SharedCounters) tallyHeirs(old *SharedCounters, renamed map[string]string) (heirs []tallyHeir) {
	for i := range old.rows {
		to := b.ListenerProtocolCounters(nameIn(renamed, old.rows[i].text()))
		if n := int(old.rows[i].tallies); n > 0 && len(to) == n {
			heirs = append(heirs, tallyHeir{i, to, make([]uint64, n)})
		}
	}
	return heirs
}

// follow takes what was counted since.
func (h *tallyHeir) follow(old *SharedCounters) {
	now := make([]uint64, len(h.taken))
	for slot := range int(old.rows[h.row].shards) + 1 {
		counted := old.tallies(h.row, slot)
		for i := range counted {
			now[i] += counted[i].Load()
		}
	}
	for i := range now {
		if now[i] > h.taken[i] {
			h.to[i].Add(now[i] - h.taken[i])
			h.taken[i] = now[i]
		}
	}
}
