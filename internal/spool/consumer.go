package spool

import (
	"errors"
	"fmt"
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
		c.state.LastExpired = time.Now()
	}
	c.mu.Unlock()
	s.markDamaged(c.reader.segment)
	c.listener.spool.report(Event{Listener: c.listener.name, Target: c.Target, Damage: d})
}

// expire moves the position of a series to a record, and returns how many records are skipped. The
// ledger is saved before the records are removed, unless the disk is full because of them.
func (c *Consumer) expire(s *Series, next uint64) (records uint64) {
	at, list := c.position(s), c.listener.ordered()
	c.mu.Lock()
	defer c.mu.Unlock()
	if at.Record >= next {
		return 0
	}
	records = next - at.Record
	c.state.Expired += records
	c.state.LastExpired = time.Now()
	c.state.Series[s.Name] = position{Record: next, Segment: next}
	c.saved = false
	c.save(list)
	return records
}

// reportInterval is the least time between two events of expired records: a full spool drops a
// segment every few milliseconds at a high rate.
const reportInterval = time.Minute

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
