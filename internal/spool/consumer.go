package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Consumer is the position of a target in the series of a listener, and the target's ledger:
// spooled = acknowledged + waiting + rejected + expired. Any goroutine may call Status and Wake,
// and read Target. One goroutine calls the other methods.
type Consumer struct {
	Target string

	listener *Listener
	wake     chan struct{}
	unsaved  atomic.Bool

	mu     sync.Mutex
	state  state
	saved  bool // the cursor file has the present state
	loaded bool // Reload has read the state
	closed bool
	file   *cursor
	oldest time.Time // when the oldest waiting record was written, or the record read last

	unreported uint64    // expired records without an event
	reported   time.Time // the last event of expired records

	reader reader
	shard  int // of the last batch
	batch  *Batch
}

// Batch is consecutive lines of one series, for one call of Send.
type Batch struct {
	Series   string
	Shard    int
	First    uint64   // number of the first record
	Lines    [][]byte // without newlines; valid until the next call of Next
	Written  time.Time
	InDoubt  bool // a process began to send the batch, and ended before the acknowledgement
	segment  uint64
	offset   int64
	inSeries *Series
}

// Consumer returns the consumer of a target. A new target begins with the oldest record of the
// spool, so all consumers of a listener are opened before the process ships. The process with the
// lock writes the state, so Reload reads the state again when this process has got the lock.
func (l *Listener) Consumer(target string) (*Consumer, error) {
	path := filepath.Join(l.folder, consumersFolder, consumerName(target))
	c := &Consumer{Target: target, listener: l, wake: make(chan struct{}, 1)}
	var err error
	if c.file, c.state, err = openCursor(path); err != nil && !errors.Is(err, errDamagedCursor) {
		return nil, fmt.Errorf("spool %s: %s: %w", l.spool.Path, target, err)
	}
	c.prepare()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.consumers = append(l.consumers, c)
	return c, nil
}

func (c *Consumer) prepare() {
	c.state.Target = c.Target
	if c.state.Series == nil {
		c.state.Series = make(map[string]position)
	}
}

// Reload reads the state that the previous process with the lock has saved, and keeps that process
// from changing the state. A damaged cursor file is set aside: the target gets all records of the
// spool again.
func (c *Consumer) Reload() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var err error
	c.state, err = c.file.reopen()
	if errors.Is(err, errDamagedCursor) {
		c.listener.spool.report(Event{Listener: c.listener.name, Target: c.Target,
			Damage: &Damage{File: c.file.path, Reason: err.Error()}})
		err = c.file.setAside()
	}
	c.prepare()
	c.loaded = err == nil
	if c.loaded && c.listener.spool.Held() {
		c.file.replace(&c.state) // an error, as on a full disk: the file stays in use
	}
	return err
}

// Note returns the note of the last acknowledged batch.
func (c *Consumer) Note() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state.Note
}

// Wake receives a value when there may be more records.
func (c *Consumer) Wake() <-chan struct{} { return c.wake }

func (c *Consumer) notify() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Next returns the next batch, and saves that the batch is being sent; nil if no record waits.
// Earlier epochs come first; the series of an epoch take turns.
func (c *Consumer) Next() (*Batch, error) {
	c.listener.refreshIfDue()
	if b, err := c.nextInDoubt(); b != nil || err != nil {
		return b, err
	}
	for {
		s := c.choose()
		if s == nil {
			c.setOldest(time.Time{})
			return nil, nil
		}
		b, err := c.read(s, maxRecords)
		if b != nil || err != nil {
			return b, err
		}
	}
}

// nextInDoubt returns the batch that a process was sending when it ended, if there is one.
func (c *Consumer) nextInDoubt() (*Batch, error) {
	c.mu.Lock()
	is := c.state.Sending
	c.mu.Unlock()
	if is == nil || c.batch != nil {
		return nil, nil
	}
	c.listener.mu.Lock()
	s := c.listener.series[is.Series]
	c.listener.mu.Unlock()
	if s == nil || c.position(s).Record != is.First {
		return nil, nil
	}
	b, err := c.read(s, is.Count)
	if b != nil {
		b.InDoubt = len(b.Lines) == is.Count
	}
	return b, err
}

// choose returns the series of the next batch; nil: nothing waits.
func (c *Consumer) choose() *Series {
	var first *Series
	for _, s := range c.listener.ordered() {
		if first != nil && s.epoch != first.epoch {
			break
		}
		if c.passed(s) >= s.extent().end {
			continue
		}
		if s.Shard > c.shard {
			return s
		}
		if first == nil {
			first = s
		}
	}
	return first
}

// read returns lines of a series. Damage is counted and skipped: then the result is nil.
func (c *Consumer) read(s *Series, most int) (*Batch, error) {
	at := c.position(s)
	c.reader.use(s)
	p, after, err := c.reader.next(at, most)
	switch {
	case err != nil:
		return nil, err
	case p.damage != nil:
		c.skip(s, after, p.damage)
		return nil, nil
	case len(p.lines) == 0:
		return nil, nil
	}
	b := &Batch{Series: s.Name, Shard: s.Shard, First: p.at.Record, Lines: p.lines, Written: p.began,
		segment: p.at.Segment, offset: p.at.Offset, inSeries: s}
	if b.Written.IsZero() {
		b.Written = time.Now()
	}
	c.batch, c.shard = b, s.Shard
	c.setOldest(b.Written)
	return b, c.begin(b)
}

// begin saves that a batch is being sent.
func (c *Consumer) begin(b *Batch) error {
	list := c.listener.ordered()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state.Sending = &sending{b.Series, b.First, len(b.Lines)}
	return c.save(list)
}

// save writes the state. The caller holds mu. list is all series.
func (c *Consumer) save(list []*Series) error {
	c.state.Waiting, c.state.WaitingBytes = c.state.countWaiting(list)
	c.unsaved.Store(true)
	if err := c.file.save(&c.state); err != nil {
		return fmt.Errorf("position of %s: %w", c.Target, err)
	}
	c.saved = true
	return nil
}

// Result is what became of the first records of a batch.
type Result struct {
	Acknowledged int // number of first records that are acknowledged or rejected
	Rejected     int // of Acknowledged
	Resent       int // acknowledged records that were sent again: ship.Batch.Resent
	Note         string
}

// Done counts the first records of the batch that Next has returned, and moves the position behind
// these records. Rest returns the other records.
func (c *Consumer) Done(r Result) error {
	b := c.batch
	after := position{b.First + uint64(r.Acknowledged), b.segment, b.offset}
	for _, line := range b.Lines[:r.Acknowledged] {
		after.Offset += int64(len(line)) + 1
	}
	list := c.listener.ordered()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.saved = false
	c.state.Resent += uint64(r.Resent)
	c.state.Note = r.Note
	at := c.state.Series[b.Series]
	if at.Record > b.First { // expired meanwhile
		expired := int(min(at.Record-b.First, uint64(r.Acknowledged)))
		r.Rejected = min(r.Rejected, r.Acknowledged-expired)
		r.Acknowledged -= expired
	}
	c.state.Acknowledged += uint64(r.Acknowledged - r.Rejected)
	c.state.Rejected += uint64(r.Rejected)
	if after.Record > at.Record {
		c.state.Series[b.Series] = after
	}
	c.state.Sending = nil
	b.Lines, b.First, b.offset = b.Lines[after.Record-b.First:], after.Record, after.Offset
	if len(b.Lines) == 0 {
		c.batch = nil
	} else {
		c.state.Sending = &sending{b.Series, b.First, len(b.Lines)}
	}
	return c.save(list) // before Status shows the counts: they never go back
}

// Rest returns the records of the batch that are not done yet; nil: all are done.
func (c *Consumer) Rest() *Batch { return c.batch }

// Save writes the state if it has changed, and removes segments that every target has passed.
func (c *Consumer) Save() error {
	err := c.saveChanges(c.listener.ordered())
	c.Trim()
	return err
}

// saveChanges writes the state if the state has changed. Any goroutine may call saveChanges.
func (c *Consumer) saveChanges(list []*Series) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.loaded || c.saved || c.closed {
		return nil
	}
	return c.save(list)
}

// isLoaded reports whether Reload has returned.
func (c *Consumer) isLoaded() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.loaded
}

// Trim removes segments that every target has passed.
func (c *Consumer) Trim() {
	c.listener.trim()
	c.reader.closeRemoved()
}

// skip counts damaged records as expired, and moves the position behind the damage.
func (c *Consumer) skip(s *Series, after position, d *Damage) {
	c.mu.Lock()
	at := c.state.Series[s.Name]
	c.saved = false
	if after.Record > at.Record || after.Offset > at.Offset {
		c.state.Series[s.Name] = after
		c.state.Expired += d.Records
	}
	c.mu.Unlock()
	s.markDamaged(c.reader.segment)
	c.listener.spool.report(Event{Listener: c.listener.name, Target: c.Target, Damage: d})
}

// expire moves the position of a series to a record, and returns how many records are skipped. The
// ledger is saved before the records are removed, so that a crash forgets none. An error of that is
// ignored: the disk may be full because of these records.
func (c *Consumer) expire(s *Series, next uint64) (records uint64) {
	at, list := c.position(s), c.listener.ordered()
	c.mu.Lock()
	defer c.mu.Unlock()
	if at.Record >= next {
		return 0
	}
	records = next - at.Record
	c.state.Expired += records
	c.state.Series[s.Name] = position{Record: next, Segment: next}
	c.saved = false
	c.save(list)
	return records
}

// reportInterval is the least time between two events of expired records: a full spool drops a
// segment every few milliseconds at a high rate.
const reportInterval = time.Minute

// reportExpired reports n and all expired records without an event, at once at the end, and at most
// once each reportInterval before.
func (c *Consumer) reportExpired(n uint64, atEnd bool) {
	c.mu.Lock()
	c.unreported += n
	n = c.unreported
	if n == 0 || !atEnd && time.Since(c.reported) < reportInterval {
		c.mu.Unlock()
		return
	}
	c.unreported, c.reported = 0, time.Now()
	c.mu.Unlock()
	c.listener.spool.report(Event{Listener: c.listener.name, Target: c.Target, Expired: n})
}

// position returns the position in a series. A new target begins with the first record there is.
func (c *Consumer) position(s *Series) position {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.locked(s)
}

func (c *Consumer) locked(s *Series) position {
	at, known := c.state.Series[s.Name]
	if !known {
		if has := s.extent(); len(has.segments) > 0 {
			at = position{Record: has.segments[0].first, Segment: has.segments[0].first}
			c.state.Series[s.Name] = at
		}
	}
	return at
}

// passed returns the number of the next record of a series.
func (c *Consumer) passed(s *Series) uint64 { return c.position(s).Record }

// forget removes the position of a series that is gone.
func (c *Consumer) forget(s *Series) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.state.Series, s.Name)
}

func (c *Consumer) setOldest(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.oldest = at
}

// Status is the ledger of a target at one moment.
type Status struct {
	Acknowledged, Waiting, Rejected, Expired, Resent uint64
	WaitingBytes                                     int64
	OldestWaiting                                    time.Time // zero: no record waits
}

// Status returns the ledger. In a process that does not ship, or not yet, the ledger is made of the
// state that the shipping process has saved last, and of the segments that are there.
func (c *Consumer) Status() (s Status) {
	held := c.listener.spool.Held()
	c.mu.Lock()
	ships := held && c.loaded || c.closed
	c.mu.Unlock()
	var list []*Series // complete: read after Reload
	if ships {
		list = c.listener.ordered()
	} else {
		list = c.listener.present() // before the state is read: the state may pass the end of a series
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	is := c.state
	if !ships && !c.closed {
		if saved, err := c.file.readState(); err == nil && saved.Series != nil {
			is = saved
		}
	}
	if !c.closed {
		is.Waiting, is.WaitingBytes = is.countWaiting(list)
	}
	s = Status{Acknowledged: is.Acknowledged, Waiting: is.Waiting, Rejected: is.Rejected,
		Expired: is.Expired, Resent: is.Resent, WaitingBytes: is.WaitingBytes}
	if s.Waiting > 0 {
		if s.OldestWaiting = c.oldest; c.oldest.IsZero() {
			s.OldestWaiting = time.Now()
		}
	}
	return s
}

// countWaiting returns the records and bytes that wait. In a series without position all records
// wait, unless the series was removed meanwhile.
func (s *state) countWaiting(list []*Series) (records uint64, bytes int64) {
	for _, series := range list {
		has := series.extent()
		at, known := s.Series[series.Name]
		if !known {
			if _, err := os.Stat(series.folder); err != nil || len(has.segments) == 0 {
				continue
			}
			at = position{Record: has.segments[0].first, Segment: has.segments[0].first}
		}
		if at.Record >= has.end {
			continue
		}
		records += has.end - at.Record
		i := max(0, has.find(at.Record))
		for j := i; j < len(has.segments); j++ {
			bytes += has.bytes(j)
		}
		if len(has.segments) > 0 && at.Segment == has.segments[i].first {
			bytes -= at.Offset
		}
	}
	return records, bytes
}

// sync writes the position to the disk.
func (c *Consumer) sync() {
	if !c.unsaved.Swap(false) {
		return
	}
	c.mu.Lock()
	raw, err := c.file.file.SyscallConn()
	c.mu.Unlock()
	if err == nil {
		raw.Control(func(fd uintptr) { unix.Fdatasync(int(fd)) }) // an error: the file is closed
	}
}

// Close saves the ledger, if this process has the lock, and closes the files. After Close, Status
// returns the saved ledger.
func (c *Consumer) Close() error {
	c.reportExpired(0, true)
	list, held := c.listener.ordered(), c.listener.spool.Held()
	c.reader.close()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	c.closed = true
	var err error
	if held && c.loaded {
		err = c.save(list)
	}
	return errors.Join(err, c.file.file.Close())
}
