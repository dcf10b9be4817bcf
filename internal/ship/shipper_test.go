package ship_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/udpshard/udpshard/internal/ship"
	"github.com/udpshard/udpshard/internal/spool"
	"github.com/udpshard/udpshard/metrics"
)

// fakeTarget is a target whose answers a test sets.
type fakeTarget struct {
	mu     sync.Mutex
	got    []string
	ids    []string
	answer func(b *ship.Batch) error // nil: acknowledged
	stored func(b *ship.Batch) int
}

func (f *fakeTarget) Send(ctx context.Context, b *ship.Batch) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ids = append(f.ids, b.ID())
	var result *ship.Error
	if f.answer != nil {
		err := f.answer(b)
		if err != nil && !errors.As(err, &result) {
			return err
		}
	}
	n := len(b.Records)
	if result != nil && result.Err != nil {
		n = result.Acknowledged
	}
	rejected := make(map[int]bool)
	if result != nil {
		for _, r := range result.Rejected {
			rejected[r.Index] = true
		}
	}
	for i, r := range b.Records[:n] {
		if !rejected[i] {
			f.got = append(f.got, string(r))
		}
	}
	if result != nil {
		return result
	}
	return nil
}

func (f *fakeTarget) Close() error { return nil }

func (f *fakeTarget) records() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.got...)
}

// askedTarget is a fakeTarget that can tell what it has.
type askedTarget struct{ fakeTarget }

func (f *askedTarget) Stored(_ context.Context, b *ship.Batch) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stored(b), nil
}

// rig is a spool with a writer and a shipper.
type rig struct {
	*ship.Shipper
	spool    *spool.Spool
	listener *spool.Listener
	writer   *spool.Writer
	counters *metrics.Shard
	next     int

	mu     sync.Mutex
	events []ship.Event
}

func newRig(t *testing.T, folder string, format ship.Format, targets ...ship.Target) *rig {
	t.Helper()
	r := &rig{counters: metrics.NewShard(0, 0)}
	var err error
	settings := spool.Settings{Path: folder, MaxSize: 1 << 30}
	if r.spool, err = spool.Open(settings, func(spool.Event) {}); err != nil {
		t.Fatal(err)
	}
	if r.listener, err = r.spool.Listener("syslog"); err != nil {
		t.Fatal(err)
	}
	r.writer = r.listener.Writer(0, r.counters)
	r.Shipper = ship.New(r.spool, "token", func(e ship.Event) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.events = append(r.events, e)
	})
	for i, target := range targets {
		u, err := url.Parse(fmt.Sprintf("tcp://127.0.0.1:%d", i+1))
		if err != nil {
			t.Fatal(err)
		}
		s := &ship.Settings{URL: u, Listener: "syslog", Format: format,
			Options: map[string]string{"password": "hunter2"}}
		if err := r.Add(r.listener, s, target); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(r.close)
	r.Start()
	return r
}

func (r *rig) close() {
	r.Stop(context.Background(), false)
	r.writer.Close()
	r.spool.Close()
}

func (r *rig) write(t *testing.T, lines ...string) {
	t.Helper()
	data := []byte(strings.Join(lines, "\n") + "\n")
	for r.writer.NeedsReopen() {
		if _, err := r.writer.Reopen(); err != nil {
			t.Fatal(err)
		}
	}
	r.writer.Begin(r.counters, len(data), len(lines))
	n, err := r.writer.Write(data)
	r.writer.End(n)
	if err != nil {
		t.Fatal(err)
	}
}

// writeNumbered writes n records that tell their number.
func (r *rig) writeNumbered(t *testing.T, n int) {
	t.Helper()
	lines := make([]string, n)
	for i := range lines {
		lines[i] = number(r.next + i)
	}
	r.next += n
	r.write(t, lines...)
}

func number(i int) string { return fmt.Sprintf(`{"message":"%d"}`, i) }

func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func (r *rig) output(i int) metrics.Output { return r.Outputs("syslog")[i] }

// acknowledged waits until a target has n records.
func (r *rig) acknowledged(t *testing.T, target int, n uint64) {
	t.Helper()
	await(t, fmt.Sprintf("%d records", n), func() bool {
		o := r.output(target)
		if o.Spooled != o.Acknowledged+o.Waiting+o.Rejected+o.Expired {
			t.Fatalf("%+v", o)
		}
		return o.Acknowledged == n
	})
}

func wantInOrder(t *testing.T, got []string, n int) {
	t.Helper()
	if len(got) != n {
		t.Fatalf("%d records, want %d", len(got), n)
	}
	for i, r := range got {
		if r != number(i) {
			t.Fatalf("record %d is %s", i, r)
		}
	}
}

// A target that fails delays no other, and gets everything in order when it works again; the log
// has one line at the beginning and one at the end.
func TestDeadTargetStopsNoOther(t *testing.T) {
	works := false
	dead := &fakeTarget{answer: func(*ship.Batch) error {
		if works {
			return nil
		}
		return errors.New("connection refused by hunter2")
	}}
	well := &fakeTarget{}
	r := newRig(t, t.TempDir(), ship.JSON, dead, well)
	for range 20 {
		r.writeNumbered(t, 500)
	}
	r.acknowledged(t, 1, 10000)
	wantInOrder(t, well.records(), 10000)
	await(t, "a retry", func() bool { return r.output(0).Retries >= 2 })
	o := r.output(0)
	if o.Waiting != 10000 || o.Spooled != 10000 || o.LastError != "connection refused by ***" || o.OldestWaiting <= 0 {
		t.Errorf("%+v", o)
	}
	dead.mu.Lock()
	works = true
	first := dead.ids[0]
	dead.mu.Unlock()
	r.acknowledged(t, 0, 10000)
	wantInOrder(t, dead.records(), 10000)
	if dead.ids[1] != first || dead.ids[2] != first {
		t.Errorf("the batch changed its identity: %q", dead.ids[:3])
	}
	if e := r.output(0).LastError; e != "" {
		t.Errorf("last error %q", e)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.events) != 2 || r.events[0].Err == nil || r.events[1].Err != nil {
		t.Errorf("%+v", r.events)
	}
}

func TestPartlyAcknowledgedBatch(t *testing.T) {
	calls := 0
	target := &fakeTarget{answer: func(b *ship.Batch) error {
		if calls++; len(b.Records) > 7 {
			return &ship.Error{Err: errors.New("reset"), Acknowledged: 7}
		}
		return nil
	}}
	r := newRig(t, t.TempDir(), ship.JSON, target)
	r.writeNumbered(t, 20)
	r.acknowledged(t, 0, 20)
	wantInOrder(t, target.records(), 20)
}

func TestRejectedRecords(t *testing.T) {
	target := &fakeTarget{answer: func(b *ship.Batch) error {
		e := &ship.Error{}
		for i, r := range b.Records {
			if string(r) == number(3) || string(r) == "\xff" {
				e.Rejected = append(e.Rejected, ship.Rejection{Index: i, Reason: "no " + string(r[:1])})
			}
		}
		if e.Rejected == nil {
			return nil
		}
		return e
	}}
	folder := t.TempDir()
	r := newRig(t, folder, ship.JSON, target)
	r.writeNumbered(t, 10)
	r.write(t, "\xff")
	r.acknowledged(t, 0, 9)
	await(t, "two rejected records", func() bool { return r.output(0).Rejected == 2 })
	if o := r.output(0); o.Waiting != 0 {
		t.Errorf("%+v", o)
	}
	content, err := os.ReadFile(filepath.Join(folder, "rejected.json"))
	if err != nil {
		t.Fatal(err)
	}
	var line struct{ To, ID, Reason, Record string }
	first, rest, _ := strings.Cut(string(content), "\n")
	if err := json.Unmarshal([]byte(first), &line); err != nil || line.Record != number(3) || line.Reason != "no {" ||
		line.To != "tcp://127.0.0.1:1" || !strings.HasSuffix(line.ID, "-syslog-1-0-3") {
		t.Errorf("%s: %+v", first, line)
	}
	if !strings.Contains(rest, `"record_base64":"/w=="`) {
		t.Error(rest)
	}
}

// After a failure, a target that can tell what it has is asked, and gets only the rest.
func TestTargetIsAsked(t *testing.T) {
	target := &askedTarget{}
	failed := false
	target.answer = func(b *ship.Batch) error {
		if failed {
			return nil
		}
		failed = true
		for _, r := range b.Records[:8] { // stored, and the answer is lost
			target.got = append(target.got, string(r))
		}
		return errors.New("reset")
	}
	target.stored = func(b *ship.Batch) int { return len(target.got) }
	r := newRig(t, t.TempDir(), ship.JSON, target)
	r.writeNumbered(t, 20)
	r.acknowledged(t, 0, 20)
	wantInOrder(t, target.records(), 20)
}

func TestOriginalIsUnescaped(t *testing.T) {
	target := &fakeTarget{}
	r := newRig(t, t.TempDir(), ship.Original, target)
	r.write(t, "a#012b", "#043", "")
	r.acknowledged(t, 0, 3)
	if got := fmt.Sprintf("%q", target.records()); got != `["a\nb" "#" ""]` {
		t.Error(got)
	}
}

// A record is at a target that works within 200 ms, also if the records come one by one.
func TestRecordsAreShippedAtOnce(t *testing.T) {
	target := &fakeTarget{}
	r := newRig(t, t.TempDir(), ship.JSON, target)
	var slow int
	for i := range 50 {
		began := time.Now()
		r.writeNumbered(t, 1)
		r.acknowledged(t, 0, uint64(i+1))
		if time.Since(began) > 200*time.Millisecond {
			slow++
		}
	}
	if slow > 5 { // of a busy machine
		t.Errorf("%d of 50 records took more than 200 ms", slow)
	}
}

// Stop with drain ships what waits, and does not wait for a target that fails.
func TestStopShipsTheRest(t *testing.T) {
	well := &fakeTarget{}
	dead := &fakeTarget{answer: func(*ship.Batch) error { return errors.New("away") }}
	folder := t.TempDir()
	r := newRig(t, folder, ship.JSON, well, dead)
	await(t, "the lock", r.spool.Held)
	for range 10 {
		r.writeNumbered(t, 1000)
	}
	late, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	r.Stop(late, true)
	if late.Err() != nil {
		t.Error("Stop waited for the dead target")
	}
	wantInOrder(t, well.records(), 10000)
	r.close()
	again := &fakeTarget{}
	next := newRig(t, folder, ship.JSON, well, again)
	next.acknowledged(t, 1, 10000)
	wantInOrder(t, again.records(), 10000)
	wantInOrder(t, well.records(), 10000)
}

// A target that does not answer does not delay Stop for long.
func TestStopLeavesHangingTarget(t *testing.T) {
	hanging := &hangingTarget{called: make(chan struct{}, 100)}
	r := newRig(t, t.TempDir(), ship.JSON, hanging)
	r.writeNumbered(t, 10)
	<-hanging.called
	late, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	r.Stop(late, true)
	if late.Err() != nil {
		t.Error("Stop waited for the hanging target")
	}
	if o := r.output(0); o.Waiting != 10 || o.Spooled != 10 {
		t.Errorf("%+v", o)
	}
}

// hangingTarget answers at the end of the context.
type hangingTarget struct{ called chan struct{} }

func (h *hangingTarget) Send(ctx context.Context, _ *ship.Batch) error {
	h.called <- struct{}{}
	<-ctx.Done()
	return ctx.Err()
}

func (h *hangingTarget) Close() error { return nil }

// A target that ignores the end of its context does not keep the process from its end.
func TestStopLeavesDeafTarget(t *testing.T) {
	deaf := &deafTarget{called: make(chan struct{}), release: make(chan struct{})}
	r := newRig(t, t.TempDir(), ship.JSON, deaf)
	r.writeNumbered(t, 1)
	<-deaf.called
	r.Stop(context.Background(), false)
	if r.spool.Held() {
		t.Error("the spool is still locked")
	}
	close(deaf.release)
}

// deafTarget answers when the test ends.
type deafTarget struct{ called, release chan struct{} }

func (d *deafTarget) Send(context.Context, *ship.Batch) error {
	close(d.called)
	<-d.release
	return nil
}

func (d *deafTarget) Close() error { return nil }

// A process that has lost the lock of the spool sends nothing more.
func TestReplacedShipperIsFenced(t *testing.T) {
	folder := t.TempDir()
	old, target := &fakeTarget{}, &fakeTarget{}
	first := newRig(t, folder, ship.JSON, old)
	first.writeNumbered(t, 100)
	first.acknowledged(t, 0, 100)
	second := newRig(t, folder, ship.JSON, target) // waits for the lock, and seizes it
	await(t, "the lock", second.spool.Held)
	first.writeNumbered(t, 50)
	second.acknowledged(t, 0, 150)
	if n := len(old.records()); n != 100 {
		t.Errorf("the replaced process has sent %d records", n)
	}
	if got := target.records(); len(got) != 50 || got[0] != number(100) {
		t.Errorf("%d records", len(got))
	}
}

// A process that loses the lock of the spool, as to somebody who removes the file, says so once.
func TestLostLockIsReported(t *testing.T) {
	folder := t.TempDir()
	r := newRig(t, folder, ship.JSON, &fakeTarget{}, &fakeTarget{})
	r.writeNumbered(t, 10)
	r.acknowledged(t, 0, 10)
	r.acknowledged(t, 1, 10)
	if err := os.Remove(filepath.Join(folder, "lock")); err != nil {
		t.Fatal(err)
	}
	reported := func() (n int) {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, e := range r.events {
			if e.Target == "" && e.Err != nil {
				n++
			}
		}
		return n
	}
	await(t, "the event", func() bool { return reported() > 0 })
	r.close()
	if n := reported(); n != 1 {
		t.Errorf("%d events", n)
	}
}

// Failures leave no goroutines.
func TestFailuresLeaveNoGoroutines(t *testing.T) {
	before := runtime.NumGoroutine()
	calls := 0
	target := &fakeTarget{answer: func(b *ship.Batch) error {
		if calls++; calls%2 == 1 {
			return &ship.Error{Err: errors.New("reset"), Acknowledged: min(1, len(b.Records))}
		}
		return nil
	}}
	r := newRig(t, t.TempDir(), ship.JSON, target)
	for range 5 {
		r.writeNumbered(t, 2)
		r.acknowledged(t, 0, uint64(r.next))
	}
	r.close()
	await(t, "the goroutines to end", func() bool { return runtime.NumGoroutine() <= before })
}
