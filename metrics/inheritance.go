package metrics

import (
	"errors"
	"fmt"

	"github.com/udpshard/udpshard/internal/sys"
)

// Inheritance is what a process leaves to its successor: the totals in its book go
// on in the successor's, by the names of listeners, see Inherit. Shard i continues shard i;
// where there are fewer now, what is left over is added to the shard with that
// index modulo their number, so that no sum of a listener goes back; where
// there are more, the new ones begin at 0. A listener that there no longer is
// ends with its totals.
//
// Shards that keep their very socket go on from what was last seen of its
// drops, so that each is counted once; those of other sockets are added, see
// Surplus.
//
// Its methods are for one goroutine at a time. Whoever is to see the
// successor's book, as its own standby, should get it after Settle.
type Inheritance struct {
	old     *SharedCounters
	heirs   []heir // by the old pages' numbers
	tallies []tallyHeir
}

// heir is what becomes of one old page.
type heir struct {
	name  string // of the page, for people
	page  *Counters
	keeps bool   // its socket is one of b's: nobody adds its drops, they are seen
	taken totals // so far

	seen uint64 // drops of its socket, by Surplus: the old process may not have seen all; 0: it was not called
}

// Inherit begins to continue the totals of old in b, and takes what there is.
// renamed says which listeners of old are called otherwise in b, and may be nil;
// one that is called "" there ends, though b has one of its name.
// The shards of b have their sockets by then (Shard.Attach). Neither book may
// be closed before Settle.
func (b *SharedCounters) Inherit(old *SharedCounters, renamed map[string]string) *Inheritance {
	e := &Inheritance{old: old, tallies: b.tallyHeirs(old, renamed)}
	if lineage := old.ID(); lineage != 0 {
		b.header.lineage.Store(lineage)
	}
	b.Takeovers().inherit(old.Takeovers())
	for i := range old.rows {
		name := old.rows[i].text()
		first, shards, ok := b.find(nameIn(renamed, name))
		for index := range int(old.rows[i].shards) {
			h := heir{name: fmt.Sprintf("listener %s shard %d", name, index)}
			was := old.counters(len(e.heirs))
			if ok {
				h.page = b.counters(first + index%shards)
				if keeper := b.keeper(was.cookie.Load(), first, shards); keeper != nil {
					h.keeps = true
					keeper.keep(was.kernel.Load())
				}
			}
			e.heirs = append(e.heirs, h)
		}
	}
	e.Sync()
	return e
}

func nameIn(renamed map[string]string, name string) string {
	if now, ok := renamed[name]; ok {
		return now
	}
	return name
}

// keeper returns which of a listener's pages has a socket, nil if none has.
func (b *SharedCounters) keeper(cookie uint64, first, shards int) *Counters {
	for number := first; cookie != 0 && number < first+shards; number++ {
		if c := b.counters(number); c.cookie.Load() == cookie {
			return c
		}
	}
	return nil
}

// Sync takes what the old process has counted since: it may still have
// records on their way, or sockets to empty.
func (e *Inheritance) Sync() {
	for number := range e.heirs {
		e.heirs[number].take(e.now(number))
	}
	for i := range e.tallies {
		e.tallies[i].follow(e.old)
	}
}

// now returns the totals of an old page. The drops of a socket that is kept are none of them.
// What its last receive call has brought is received, whether the thread has come to count it
// or not: a process that is stopped, or dead, has it. Where the thread runs, that is no more
// than what it has received by now, since the totals are read first.
func (e *Inheritance) now(number int) totals {
	h, was := &e.heirs[number], e.old.counters(number)
	t := was.total()
	t[received] += e.old.uncounted(number)
	if h.keeps {
		t[kernel] = was.inherited[kernel].Load()
	} else if own := was.kernel.Load(); h.seen > own {
		t[kernel] += h.seen - own
	}
	return t
}

// take adds what is more than before. Totals do not go back.
func (h *heir) take(now totals) {
	var more totals
	for kind := range now {
		if now[kind] > h.taken[kind] {
			more[kind] = now[kind] - h.taken[kind]
			h.taken[kind] = now[kind]
		}
	}
	if h.page != nil {
		h.page.inherit(more)
	}
}

// AddSurplusDrops counts what a socket of the old process has dropped that no shard
// here keeps, up to now: before it is closed, and when the old process asks it
// no more. Others are none of its business, and change nothing.
func (e *Inheritance) AddSurplusDrops(socket Socket) error {
	cookie := socket.Cookie()
	for number := range e.heirs {
		h := &e.heirs[number]
		was := e.old.counters(number)
		if h.keeps || cookie == 0 || was.cookie.Load() != cookie {
			continue
		}
		_, _, dropped, err := socket.Memory()
		if err != nil {
			return fmt.Errorf("drops of %s: %w", h.name, err)
		}
		own := was.kernel.Load()
		h.seen = own + uint64(dropped-uint32(own))
		h.take(e.now(number))
	}
	return nil
}

// FinalCounts is what Settle found.
type FinalCounts struct {
	Lost      uint64 // datagrams that were counted as LostInCrash
	Received  uint64 // of these, taken off the queue but not counted any more
	Delivered uint64 // records that were written but not counted any more
}

// Finalize takes the last totals of a process of which no thread runs any more:
// its pidfd is readable (pidfd_open(2)), or a connection whose other end only
// it had has ended. A process that some thread still runs in may have system calls
// under way, whose results would be missed. It is the same whether the process
// left in order, when nothing is lost, or was killed.
//
// What it had received, and had neither delivered nor dropped, becomes
// LostInCrash; exactly, wherever it was killed: datagrams that recvmmsg had
// taken off the queue are counted from their headers, and look is asked how many
// records a write that was under way has brought to its file: file.Recover. It
// is called for each destination, and its answer counts only where the write is
// Open. Its errors are returned, joined, and do not keep anything else from
// being settled.
//
// Records that the successor's own outputs write to a file meanwhile can't be
// told from the dead one's: Settle before they begin.
func (e *Inheritance) Finalize(look func(Write) (records int, err error)) (FinalCounts, error) {
	var s FinalCounts
	var errs []error
	last := make([]totals, len(e.heirs))
	for number := range e.heirs {
		last[number] = e.now(number)
		s.Received += e.old.uncounted(number)
	}
	for i := range e.old.pages {
		w, page, ok := e.old.last(i)
		if !ok {
			continue
		}
		records, err := look(w)
		if err != nil {
			errs = append(errs, fmt.Errorf("output %s: %w", w.Path, err))
		}
		if w.Uncounted && records > 0 {
			n := min(uint64(records), uint64(w.Records), last[page].inFlight())
			last[page][delivered] += n
			s.Delivered += n
		}
	}
	for number := range last {
		t := &last[number]
		lost := t.inFlight()
		t[lostInCrash] += lost
		s.Lost += lost
		e.heirs[number].take(*t)
	}
	for i := range e.tallies {
		e.tallies[i].follow(e.old)
	}
	return s, errors.Join(errs...)
}

// uncounted returns the datagrams that the last receive call of a page's shard has brought and
// that Received does not have yet.
func (b *SharedCounters) uncounted(number int) uint64 {
	if !b.counters(number).uncounted() {
		return 0
	}
	return sys.Arrived(b.receiver(number))
}

// LastWrites returns the last write to each destination, of a process that does
// not run.
func (b *SharedCounters) LastWrites() []Write {
	var writes []Write
	for i := range b.pages {
		if w, _, ok := b.last(i); ok {
			writes = append(writes, w)
		}
	}
	return writes
}
