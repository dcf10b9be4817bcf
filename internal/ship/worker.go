package ship

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/udpshard/udpshard/internal/spool"
	"github.com/udpshard/udpshard/metrics"
	"github.com/udpshard/udpshard/packet/record"
)

const (
	// firstPause and longestPause are between two attempts at a target that fails; each pause is
	// twice the pause before, with a jitter of half a pause, so that many instances do not send
	// again at the same moment.
	firstPause   = 200 * time.Millisecond
	longestPause = 30 * time.Second
	// permanentPause is the least pause after an error that only a change of the configuration
	// can remove.
	permanentPause = 10 * time.Second
	remindInterval = time.Minute
	// gatherTime is the least time between two small batches: a batch for each receive call would
	// cost more than the records. A record is at a target that works within gatherTime and the time
	// of two batches.
	gatherTime = 50 * time.Millisecond
	// fullBatch: with this many waiting bytes, a worker sends a batch without waiting for gatherTime.
	fullBatch = 256 << 10
	// sendTimeout ends an attempt. Targets have limits of their own, which are shorter.
	sendTimeout = 10 * time.Minute
	// slowAfter is how long an attempt may take before the log mentions the target.
	slowAfter = 10 * time.Second
	// settleTime is how long a batch rests that another process was sending when that process ended.
	// In this time the kernel sends the remaining bytes of that process to the target, and the target
	// stores them. Then Stored finds the records.
	settleTime = 500 * time.Millisecond
	// idleInterval is how often a worker looks for records without being woken.
	idleInterval = time.Second
)

var errNoAnswer = fmt.Errorf("no acknowledgement for %s", slowAfter)

// worker brings the records of a listener to one target. run is the only goroutine of the target.
type worker struct {
	shipper  *Shipper
	settings *Settings
	target   Target
	consumer *spool.Consumer

	mu        sync.Mutex
	retries   uint64
	lastError string
	failing   time.Time // begin of the outage; zero: the target works

	told time.Time // when the last event of the outage was reported; guarded by mu

	sent       time.Time // begin of the last batch
	rejected   int       // since the last event of rejected records
	rejectedAt time.Time // of that event
	note       string    // of the last acknowledged batch
	batch      Batch     // for Send
	plain      []byte    // records of format Original without escapes
}

// status returns the target's ledger.
func (w *worker) status() metrics.Output {
	is := w.consumer.Status()
	out := metrics.Output{To: w.settings.Name(), Acknowledged: is.Acknowledged, Waiting: is.Waiting,
		Rejected: is.Rejected, Expired: is.Expired, Resent: is.Resent, WaitingBytes: is.WaitingBytes,
		LastRejected: milliseconds(is.LastRejected), LastExpired: milliseconds(is.LastExpired)}
	out.Spooled = is.Acknowledged + is.Waiting + is.Rejected + is.Expired
	if !is.OldestWaiting.IsZero() {
		out.OldestWaiting = max(0, time.Since(is.OldestWaiting).Seconds())
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	out.Retries, out.LastError = w.retries, w.lastError
	return out
}

// milliseconds returns a time as the status has it; a zero time stays zero.
func milliseconds(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// run ships until Stop, or until another process has the spool.
func (w *worker) run() {
	w.note = w.consumer.Note()
	for w.shipper.spool.Held() {
		if !w.gather() {
			return
		}
		b, err := w.consumer.Next()
		switch {
		case err != nil: // the spool can't be read or written
			w.fail(&Error{Err: err})
			if !w.wait(&Error{}, firstPause) {
				return
			}
		case b != nil:
			if !w.send(b) {
				w.consumer.Save()
				return
			}
			w.consumer.Trim()
		case !w.idle():
			return
		}
	}
	w.shipper.reportLost()
}

// idle saves the position, waits for records, and reports whether records may wait.
func (w *worker) idle() bool {
	if err := w.consumer.Save(); err != nil {
		w.fail(&Error{Err: err})
		return w.wait(&Error{}, firstPause)
	}
	select {
	case <-w.consumer.Wake():
	case <-time.After(idleInterval):
	case <-w.shipper.finish: // records may have come since Next
		return w.consumer.Status().Waiting > 0
	case <-w.shipper.stop:
		return false
	}
	return true
}

// gather waits until gatherTime has passed since the last batch, if little waits.
func (w *worker) gather() bool {
	wait := gatherTime - time.Since(w.sent)
	if wait <= 0 || w.consumer.Status().WaitingBytes >= fullBatch {
		return true
	}
	select {
	case <-time.After(wait):
	case <-w.shipper.finish:
	case <-w.shipper.stop:
		return false
	}
	return true
}

// send sends a batch until all of it is acknowledged or rejected, and reports whether the worker
// goes on.
func (w *worker) send(b *spool.Batch) bool {
	w.sent = time.Now()
	doubt := b.InDoubt // the target may have a part of the batch
	if doubt && !w.rest(settleTime) {
		return false
	}
	for pause := firstPause; b != nil; {
		if w.mustEnd() {
			return false
		}
		w.fill(b)
		result := w.attempt(doubt)
		doubt = result.Err != nil && !errors.Is(result.Err, errStored)
		if result.Acknowledged > 0 || w.batch.Resent > 0 {
			pause = firstPause
			if err := w.done(result); err != nil {
				result.Err, doubt = err, true
			}
			b = w.consumer.Rest()
		}
		switch {
		case !doubt:
			w.recovered()
		case w.shipper.ctx.Err() != nil:
			return false
		default:
			w.fail(result)
			if !w.wait(result, pause) {
				return false
			}
			pause = min(2*pause, longestPause)
		}
	}
	return true
}

// rest waits, and reports whether the worker goes on.
func (w *worker) rest(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-w.shipper.stop:
		return false
	}
}

// mustEnd reports whether no batch may be begun: the process ends, or another process ships.
func (w *worker) mustEnd() bool {
	select {
	case <-w.shipper.stop:
		return true
	default:
		return !w.shipper.spool.Held()
	}
}

// errStored: an earlier attempt has stored the first records of the batch.
var errStored = errors.New("stored before")

// attempt sends the batch once. With doubt, attempt asks an Asker first, and does not send the
// records that are stored. Without Err, all records are done.
func (w *worker) attempt(doubt bool) *Error {
	ctx, cancel := context.WithTimeout(w.shipper.ctx, sendTimeout)
	defer cancel()
	defer time.AfterFunc(slowAfter, func() { w.fail(&Error{Err: errNoAnswer}) }).Stop()
	if asker, can := w.target.(Asker); can && doubt {
		stored, err := asker.Stored(ctx, &w.batch)
		if err != nil {
			return asError(err)
		}
		if stored >= len(w.batch.Records) {
			return &Error{Acknowledged: len(w.batch.Records)}
		}
		if stored > 0 {
			return &Error{Err: errStored, Acknowledged: stored}
		}
	}
	err := w.target.Send(ctx, &w.batch)
	result := asError(err)
	if result.Err == nil {
		result.Acknowledged = len(w.batch.Records)
	}
	return result
}

// asError returns the result of Send as an *Error.
func asError(err error) *Error {
	var result *Error
	switch {
	case err == nil:
		return &Error{}
	case errors.As(err, &result):
		copied := *result
		return &copied
	}
	return &Error{Err: err}
}

// done counts the acknowledged and rejected records, and moves the position behind them.
func (w *worker) done(r *Error) error {
	if len(r.Rejected) > 0 {
		if err := w.shipper.rejected.add(w.settings.Name(), &w.batch, r.Rejected); err != nil {
			return fmt.Errorf("rejected records: %w", err) // the batch is sent again
		}
		w.reportRejected(r.Rejected)
	}
	w.note = w.batch.Note
	return w.consumer.Done(spool.Result{Acknowledged: r.Acknowledged, Rejected: len(r.Rejected),
		Resent: w.batch.Resent, Note: w.note})
}

// fill sets w.batch, which Send gets, to the records of a batch of the spool.
func (w *worker) fill(b *spool.Batch) {
	records := w.batch.Records[:0]
	w.batch = Batch{Spool: w.shipper.spool.ID, Listener: w.settings.Listener, Series: b.Series,
		Shard: b.Shard, First: b.First, Format: w.settings.Format, SpooledAt: b.Written, Note: w.note}
	if w.batch.Format != Original {
		w.batch.Records = b.Lines
		return
	}
	w.plain = w.plain[:0]
	for _, line := range b.Lines {
		start := len(w.plain)
		w.plain = append(w.plain, line...)
		data := record.Unescape(w.plain[start:])
		w.plain = w.plain[:start+len(data)]
		records = append(records, data)
	}
	w.batch.Records = records
}

// wait waits before the next attempt, and reports whether the worker goes on.
func (w *worker) wait(r *Error, pause time.Duration) bool {
	pause = max(pause/2+rand.N(pause/2), r.RetryAfter)
	if r.Permanent {
		pause = max(pause, permanentPause)
	}
	w.mu.Lock()
	w.retries++
	w.mu.Unlock()
	select {
	case <-time.After(pause):
		return true
	case <-w.shipper.stop:
	case <-w.shipper.finish: // the target fails: no reason to wait
	}
	return false
}

// fail reports the first failure of an outage, and then one a minute.
func (w *worker) fail(r *Error) {
	waiting := w.consumer.Status().Waiting
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	if w.failing.IsZero() {
		w.failing = now
	}
	err := w.settings.Redact(r.Err)
	w.lastError = err.Error()
	if now.Sub(w.told) < remindInterval {
		return
	}
	w.told = now
	w.shipper.report(Event{Listener: w.settings.Listener, Target: w.settings.Name(), Err: err,
		Failing: now.Sub(w.failing), Waiting: waiting})
}

// recovered reports the end of an outage.
func (w *worker) recovered() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failing.IsZero() {
		return
	}
	w.shipper.report(Event{Listener: w.settings.Listener, Target: w.settings.Name(),
		Failing: time.Since(w.failing)})
	w.failing, w.told, w.lastError = time.Time{}, time.Time{}, ""
}

// reportRejected reports rejected records, at most once a minute.
func (w *worker) reportRejected(rejected []Rejection) {
	w.rejected += len(rejected)
	if time.Since(w.rejectedAt) < remindInterval {
		return
	}
	w.shipper.report(Event{Listener: w.settings.Listener, Target: w.settings.Name(),
		Rejected: w.rejected, Reason: rejected[len(rejected)-1].Reason})
	w.rejected, w.rejectedAt = 0, time.Now()
}
