package metrics

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// Inheritance adds the totals of a predecessor to the shared counters of a successor, by the names
// of listeners: see Inherit. Shard i continues shard i. If the successor has fewer shards, the
// totals of the rest are added to the shard with their index modulo the number of shards, so that
// no sum of a listener goes back. If the successor has more shards, the new ones begin at 0. The
// totals of a listener that the successor does not have are dropped.
//
// A shard that keeps its socket continues from the kernel drops that the predecessor has seen, so
// that each drop counts once. The drops of other sockets are added: see AddSurplusDrops.
//
// The methods are for one goroutine at a time. A process that needs final totals, such as a standby
// of the successor, gets the successor's shared counters after Finalize.
//
// If a listener with losses is dropped, Finalize moves SharedCounters.Began to the present time:
// the totals of the other listeners do not say that nothing was lost before.
type Inheritance struct {
	next     *SharedCounters
	old      *SharedCounters
	shards   []inheritedShard // by the numbers of the old shards
	protocol []inheritedProtocol
}

// inheritedShard is a shard of the predecessor.
type inheritedShard struct {
	name  string    // for errors
	to    *Counters // that continue the totals; nil: none do
	keeps bool      // a shard of the successor has the socket, and counts its kernel drops
	added totals    // to the successor so far

	drops uint64 // at the socket, by AddSurplusDrops: maybe more than the predecessor has seen
}

// inheritedProtocol are the protocol counters of a listener of the predecessor.
type inheritedProtocol struct {
	from  *listenerMemory
	to    []atomic.Uint64
	added []uint64 // so far
}

// Inherit begins to continue the totals of old in sc, and adds the present ones. renamed, which
// may be nil, has the names in sc of listeners with another name than in old. The name "" ends the
// listener, even if sc has a listener of the old name. The shards of sc must have their sockets
// (Shard.Attach). Keep both shared counters open until Finalize.
func (sc *SharedCounters) Inherit(old *SharedCounters, renamed map[string]string) *Inheritance {
	in := &Inheritance{next: sc, old: old}
	sc.counting.Store(true)
	if id := old.ID(); id != 0 {
		sc.header.id.Store(id)
	}
	sc.header.began.Store(old.header.began.Load())
	sc.Takeovers().inherit(old.Takeovers())
	for i := range old.listeners {
		from := &old.listeners[i]
		name, ok := renamed[from.text()]
		if !ok {
			name = from.text()
		}
		to := sc.byName[name]
		for index := range int(from.shards) {
			s := inheritedShard{name: fmt.Sprintf("listener %s shard %d", from.text(), index)}
			if to != nil {
				was := old.counters(from.firstShard + index)
				s.to = sc.counters(to.firstShard + index%int(to.shards))
				if keeper := sc.socketOwner(to, was.cookie.Load()); keeper != nil {
					s.keeps = true
					keeper.continueKernel(was)
				}
			}
			in.shards = append(in.shards, s)
		}
		if to != nil && to.protocolCounters == from.protocolCounters {
			in.protocol = append(in.protocol, inheritedProtocol{
				from, sc.ListenerProtocolCounters(name), make([]uint64, from.protocolCounters)})
		}
	}
	in.Sync()
	return in
}

// socketOwner returns the counters of the listener's shard that has a socket, nil if none has.
func (sc *SharedCounters) socketOwner(l *listenerMemory, cookie uint64) *Counters {
	for index := range int(l.shards) {
		if c := sc.counters(l.firstShard + index); cookie != 0 && c.cookie.Load() == cookie {
			return c
		}
	}
	return nil
}

// Sync adds the counts of the predecessor since the last call: the predecessor may still have
// records to write, or sockets to empty.
func (in *Inheritance) Sync() {
	for number := range in.shards {
		in.shards[number].add(in.totals(number))
		in.syncDropTimes(number)
	}
	in.syncProtocol()
}

// syncDropTimes raises the times of the last drops to those of an old shard.
func (in *Inheritance) syncDropTimes(number int) {
	s, was := &in.shards[number], in.old.counters(number)
	for reason := range was.drops.last {
		if s.to != nil {
			s.to.drops.raise(reason, was.drops.last[reason].Load())
		}
	}
}

func (in *Inheritance) syncProtocol() {
	for _, p := range in.protocol {
		now := make([]uint64, len(p.added))
		for slot := range int(p.from.shards) + 1 {
			counters := in.old.protocolCounters(p.from, slot)
			for i := range counters {
				now[i] += counters[i].Load()
			}
		}
		addGrowth(p.to, p.added, now)
	}
}

// totals returns the totals of an old shard, without the drops of a socket that the successor
// keeps. Received includes what the last receive call has read, even if the thread has not counted
// the datagrams yet: a process that is stopped or dead has them. If the thread runs, Received is
// not more than the thread has received by now, since the totals are read first.
func (in *Inheritance) totals(number int) totals {
	s, was := &in.shards[number], in.old.counters(number)
	t := was.total()
	t[received] += in.old.uncounted(number)
	if s.keeps {
		t[kernel] = was.inherited[kernel].Load()
	} else if own := was.kernel.Load(); s.drops > own {
		t[kernel] += s.drops - own
	}
	return t
}

func (s *inheritedShard) add(now totals) {
	if s.to != nil {
		addGrowth(s.to.inherited[:], s.added[:], now[:])
	}
}

// dropped sets the present time as the time of the last drop for a reason.
func (s *inheritedShard) dropped(reason int) {
	if s.to != nil {
		s.to.drops.raise(reason, time.Now().UnixNano())
	}
}

// addGrowth adds to each counter how much now is larger than added, and updates added. No counter
// goes back. The last counter is first: in totals, received grows before delivered and dropped.
func addGrowth(to []atomic.Uint64, added, now []uint64) {
	for i := len(now) - 1; i >= 0; i-- {
		if now[i] > added[i] {
			to[i].Add(now[i] - added[i])
			added[i] = now[i]
		}
	}
}

// AddSurplusDrops adds the kernel drops at a surplus socket: a socket of the predecessor that no
// shard of the successor has. Call AddSurplusDrops before the socket is closed, when the
// predecessor does not read its drops any more. Other sockets change nothing.
func (in *Inheritance) AddSurplusDrops(socket Socket) error {
	cookie := socket.Cookie()
	for number := range in.shards {
		s, was := &in.shards[number], in.old.counters(number)
		if s.keeps || cookie == 0 || was.cookie.Load() != cookie {
			continue
		}
		_, _, dropped, err := socket.Memory()
		if err != nil {
			return fmt.Errorf("drops of %s: %w", s.name, err)
		}
		own := was.kernel.Load()
		if s.drops = own + uint64(dropped-uint32(own)); s.drops > own {
			s.dropped(kernelReason)
		}
		s.add(in.totals(number))
	}
	return nil
}

// FinalCounts are the datagrams that Finalize had to account for.
type FinalCounts struct {
	Lost      uint64 // counted as LostInCrash
	Received  uint64 // read, and not counted as received by the predecessor
	Delivered uint64 // records that were written, and not counted as delivered by the predecessor
}

// Finalize adds the last totals of a predecessor of which no thread runs any more: the pidfd is
// readable (pidfd_open(2)), or a connection has ended whose other end only the predecessor had. A
// thread that still runs may be in a system call, whose result Finalize would miss. Finalize is the
// same for a predecessor that has ended in order, without losses, and for a killed one.
//
// Datagrams that the predecessor had received and neither delivered nor dropped become LostInCrash.
// The number is exact at whatever instruction the predecessor was killed: datagrams that recvmmsg
// had taken off the queue are counted from their headers, and countRecords, such as file.Recover,
// returns how many records an uncounted write has brought to its file. Finalize calls countRecords
// for each destination; the result counts only if the write is Uncounted. Finalize returns the
// errors of countRecords, joined, after all else is finalized.
//
// Call Finalize before an output of the successor writes to the same file: countRecords cannot
// tell records of both apart.
func (in *Inheritance) Finalize(countRecords func(Write) (int, error)) (FinalCounts, error) {
	var f FinalCounts
	var errs []error
	last := make([]totals, len(in.shards))
	for number := range last {
		last[number] = in.totals(number)
		f.Received += in.old.uncounted(number)
	}
	for i := range in.old.shards {
		w, shard, ok := in.old.lastWrite(i)
		if !ok {
			continue
		}
		records, err := countRecords(w)
		if err != nil {
			errs = append(errs, fmt.Errorf("output %s: %w", w.Path, err))
		}
		if w.Uncounted && records > 0 {
			n := min(uint64(records), uint64(w.Records), last[shard].inFlight())
			last[shard][delivered] += n
			f.Delivered += n
		}
	}
	for number := range last {
		lost := last[number].inFlight()
		last[number][lostInCrash] += lost
		f.Lost += lost
		in.shards[number].add(last[number])
		in.syncDropTimes(number)
		if in.shards[number].to == nil && last[number].lost() > 0 {
			in.next.header.began.Store(time.Now().UnixNano())
		}
		in.dateLastDrops(number, lost)
	}
	in.syncProtocol()
	return f, errors.Join(errs...)
}

// dateLastDrops sets the present time as the time of the drops of an old shard that have none: those
// that Finalize has found, and those of the predecessor's last second. Versions before 0.1.0 set no
// times.
func (in *Inheritance) dateLastDrops(number int, lostInCrash uint64) {
	s, was := &in.shards[number], in.old.counters(number)
	if lostInCrash > 0 {
		s.dropped(crashReason)
	}
	for reason := range was.drops.dated {
		if !in.old.Began().IsZero() && was.hasUndatedDrops(reason) {
			s.dropped(reason)
		}
	}
}
