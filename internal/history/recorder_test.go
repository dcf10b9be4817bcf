package history

import (
	"context"
	"fmt"
	"math"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/udpshard/udpshard/metrics"
	engine "github.com/udpshard/udpshard/shard"
)

// socket is a socket and a thread of which the test sets the values.
type socket struct {
	queued, buffer, dropped uint32
	used                    time.Duration
}

func (s *socket) Memory() (queued, buffer, dropped uint32, err error) {
	return s.queued, s.buffer, s.dropped, nil
}
func (s *socket) Cookie() uint64                  { return 1 }
func (s *socket) CPUTime() (time.Duration, error) { return s.used, nil }

// newListener returns a listener with n shards without sockets.
func newListener(name string, n int) *metrics.Listener {
	l := &metrics.Listener{Name: name}
	for i := range n {
		l.Shards = append(l.Shards, metrics.NewShard(i, 0))
	}
	return l
}

// clock is a Recorder with the time of the test.
type clock struct {
	*Recorder
	now time.Time
}

// newClock takes the first sample of a ledger with the listeners.
func newClock(listeners ...*metrics.Listener) *clock {
	ledger := metrics.NewLedger("x")
	for _, l := range listeners {
		ledger.Add(l)
	}
	c := &clock{New(ledger), time.Date(2026, 11, 29, 1, 12, 0, 0, time.UTC)}
	c.sample(c.now)
	return c
}

// after takes a sample when d has passed.
func (c *clock) after(d time.Duration) {
	c.now = c.now.Add(d)
	c.sample(c.now)
}

func want[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// Each counter is in its list, as a rate or as a count; the base of the first sample is in none.
func TestNumbersOfAStep(t *testing.T) {
	s, o := metrics.NewShard(0, 0), &socket{buffer: 1000, dropped: 9, used: time.Second}
	l := &metrics.Listener{Name: "a", Shards: []*metrics.Shard{s, metrics.NewShard(1, 0)}}
	output := metrics.Output{To: "tcp://a:1", Acknowledged: 500, Waiting: 1}
	l.Outputs = func() []metrics.Output { return []metrics.Output{output} }
	s.Attach(o)
	s.StartThread(1, 0)
	s.Received.Add(1000)
	s.Delivered.Add(900)
	c := newClock(l)
	if h := c.Snapshot(0, true); !h.Now.IsZero() || len(h.Listeners) != 1 || len(h.Listeners[0].Received) != 0 {
		t.Errorf("after the first sample: %+v", h)
	}

	s.Received.Add(111)
	s.Bytes.Add(5 << 32)
	s.Delivered.Add(90)
	s.Handled.Add(1)
	s.NotAllowed.Add(3)
	s.RateLimited.Add(4)
	s.Malformed.Add(5)
	s.OutputLost.Add(2)
	*o = socket{queued: 500, buffer: 1000, dropped: 14, used: 1250 * time.Millisecond}
	l.Shards[1].Received.Add(10)
	output.Acknowledged, output.Waiting = 550, 7
	c.after(time.Second)
	*o = socket{queued: 250, buffer: 1000, dropped: 14, used: 2250 * time.Millisecond}
	c.after(time.Second)

	h := c.Snapshot(0, true)
	first := Series{Received: []uint64{111, 0}, Delivered: []uint64{91, 0}, Bytes: []uint64{5 << 32, 0}, Lost: []uint64{7, 0},
		Refused: []uint64{12, 0}, CPUPercent: []uint64{25, 100}, QueuePercent: []uint64{50, 25}}
	none := []uint64{0, 0}
	sum := first
	sum.Received = []uint64{121, 0}
	want(t, "history", h, History{Now: c.now, StepSeconds: 1, Listeners: []Listener{{Name: "a", Series: sum,
		Shards:  []Shard{{0, first}, {1, Series{[]uint64{10, 0}, none, none, none, none, none, none}}},
		Outputs: []Output{{To: "tcp://a:1", Acknowledged: []uint64{50, 0}, Waiting: []uint64{7, 7}}}}}})
	if h := c.Snapshot(0, false); h.Listeners[0].Shards != nil {
		t.Error("the snapshot has shards")
	}
}

// The CPU time of a listener is the sum of its shards, each of which may need less than a percent.
func TestCPUOfManyShards(t *testing.T) {
	l, used := newListener("a", 50), new(socket)
	for _, s := range l.Shards {
		s.Attach(used)
		s.StartThread(1, 0)
	}
	c := newClock(l)
	used.used = 4 * time.Millisecond
	c.after(time.Second)
	h := c.Snapshot(0, true).Listeners[0]
	want(t, "listener", h.CPUPercent, []uint64{20})
	want(t, "shard", h.Shards[0].CPUPercent, []uint64{0})
}

// A rate is over the time between two readings, and a loss is a count.
func TestLateTicks(t *testing.T) {
	l := newListener("a", 1)
	s := l.Shards[0]
	c := newClock(l)
	count := func(n uint64) { s.Received.Add(n); s.OutputLost.Add(n / 100) }
	count(100)
	c.after(1800 * time.Millisecond) // the tick of second 1
	count(20)
	c.after(200 * time.Millisecond) // the tick of second 2, in time
	count(50)
	c.after(100 * time.Millisecond) // in the middle of second 3
	count(50)
	c.after(900 * time.Millisecond)
	count(900)
	c.after(3 * time.Second) // ticks were dropped
	h := c.Snapshot(0, false).Listeners[0]
	want(t, "received", h.Received, []uint64{56, 100, 100, 0, 0, 300})
	want(t, "lost", h.Lost[:3], []uint64{1, 0, 0})
	want(t, "lost in the pause", h.Lost[5], 9)
	count(600)
	c.after(time.Hour)
	h = c.Snapshot(0, false).Listeners[0]
	if n := len(h.Received); n != span || slices.Max(h.Received) > 0 || h.Lost[span-1] != 6 || slices.Max(h.Lost[:span-1]) > 0 {
		t.Errorf("after an hour: %d steps, received %v, lost %v", n, h.Received, h.Lost)
	}
}

// The history has the newest 600 steps, oldest first.
func TestRing(t *testing.T) {
	l := newListener("a", 1)
	c := newClock(l)
	for i := range span + 7 {
		want(t, "length", len(c.Snapshot(0, false).Listeners[0].Received), min(i, span))
		l.Shards[0].Received.Add(uint64(i))
		c.after(time.Second)
	}
	all := c.Snapshot(0, true).Listeners[0]
	for i, n := range all.Received {
		want(t, fmt.Sprintf("step %d", i), n, uint64(i+7))
	}
	want(t, "shard", all.Shards[0].Received, all.Received)
	for _, last := range []int{1, 10, span, span + 1, math.MaxInt} {
		got := c.Snapshot(last, false).Listeners[0].Received
		want(t, fmt.Sprintf("last %d", last), got, all.Received[span-min(last, span):])
	}
}

// Listeners and targets come and go. Counters that go on in a new object are no traffic.
func TestListenersChange(t *testing.T) {
	a := newListener("a", 2)
	c := newClock(a)
	step := func(n uint64) {
		for _, l := range c.ledger.Listeners() {
			for _, s := range l.Shards {
				s.Received.Add(n)
			}
		}
		c.after(time.Second)
	}
	replace := func(listeners ...*metrics.Listener) {
		c.ledger = metrics.NewLedger("x")
		for _, l := range listeners {
			c.ledger.Add(l)
		}
	}
	step(5)
	again := newListener("a", 3)
	for i, s := range again.Shards {
		s.Received.Add(1000 * uint64(i+1))
	}
	b := newListener("b", 1)
	b.Shards[0].Received.Add(7000)
	b.Outputs = func() []metrics.Output { return []metrics.Output{{To: "u", Acknowledged: 80, Waiting: 1}} }
	replace(again, b)
	step(6)
	step(7)
	h := c.Snapshot(0, true)
	want(t, "listeners", len(h.Listeners), 2)
	want(t, "a", h.Listeners[0].Received, []uint64{10, 0, 21})
	want(t, "third shard of a", h.Listeners[0].Shards[2].Received, []uint64{0, 0, 7})
	want(t, "b", h.Listeners[1].Received, []uint64{0, 0, 7})
	want(t, "target of b", h.Listeners[1].Outputs, []Output{{To: "u", Acknowledged: []uint64{0, 0, 0}, Waiting: []uint64{0, 1, 1}}})

	b.Outputs, a = nil, newListener("a", 1)
	replace(b, a)
	step(8)
	h = c.Snapshot(0, true)
	want(t, "names", []string{h.Listeners[0].Name, h.Listeners[1].Name}, []string{"b", "a"})
	want(t, "targets of b", len(h.Listeners[0].Outputs), 0)
	want(t, "shards of a", len(h.Listeners[1].Shards), 1)
	replace(a)
	step(9)
	replace(a, b)
	step(9)
	h = c.Snapshot(0, false)
	want(t, "b is new", h.Listeners[1].Received, []uint64{0, 0, 0, 0, 0, 0})
}

// memory returns the size of all rings.
func (c *clock) memory() (bytes, steps int) {
	point, targetPoint := int(reflect.TypeFor[point]().Size()), int(reflect.TypeFor[targetPoint]().Size())
	for _, l := range c.listeners {
		for _, s := range l.shards {
			bytes += cap(s.ring) * point
			steps = len(s.ring)
		}
		for _, t := range l.targets {
			bytes += cap(t.ring) * targetPoint
		}
	}
	return bytes, steps
}

// The memory is bounded: with many shards a step is longer.
func TestMemory(t *testing.T) {
	for _, test := range []struct{ listeners, shards, targets, step, limit int }{
		{1, 64, 2, 1, 2 << 20},
		{1, 218, 0, 1, maxMemory},
		{1, 219, 0, 2, maxMemory},
		{1000, 2, 0, 10, maxMemory},
		{1000, 2, 3, 20, maxMemory},
		{100, 300, 0, 150, maxMemory},
	} {
		var listeners []*metrics.Listener
		for i := range test.listeners {
			l := newListener(fmt.Sprint(i), test.shards)
			outputs := make([]metrics.Output, test.targets)
			for i := range outputs {
				outputs[i].To = fmt.Sprint(i)
			}
			l.Outputs = func() []metrics.Output { return outputs }
			listeners = append(listeners, l)
		}
		c := newClock(listeners...)
		bytes, steps := c.memory()
		step := c.Snapshot(0, false).StepSeconds
		if step != test.step || steps != span/test.step || bytes > test.limit || 4*bytes < maxMemory {
			t.Errorf("%+v: got a step of %d s, %d steps, %d bytes", test, step, steps, bytes)
		}
	}
}

// Steps of several seconds have the largest fill of the queue, and begin with an empty history.
func TestLongSteps(t *testing.T) {
	a, o := newListener("a", 1), &socket{buffer: 1000}
	a.Shards[0].Attach(o)
	c := newClock(a)
	c.after(time.Second)
	c.ledger.Add(newListener("many", 300))
	c.after(time.Second)
	h := c.Snapshot(0, false)
	want(t, "step", h.StepSeconds, 2)
	want(t, "history after the change", len(h.Listeners[0].Received), 0)
	for i := range 6 {
		a.Shards[0].Received.Add(10)
		o.queued = uint32(100 * i)
		o.dropped++
		c.after(time.Second)
	}
	h = c.Snapshot(0, false)
	want(t, "received", h.Listeners[0].Received, []uint64{10, 10, 10})
	want(t, "lost", h.Listeners[0].Lost, []uint64{2, 2, 2})
	want(t, "queue", h.Listeners[0].QueuePercent, []uint64{10, 30, 50})
	for last, steps := range map[int]int{1: 1, 2: 1, 3: 2, 5: 3, 100: 3} {
		want(t, fmt.Sprintf("steps of %d s", last), len(c.Snapshot(last, false).Listeners[0].Received), steps)
	}
}

// Run reads every shard once a second until the context ends, and so dates drops, also while nobody
// asks for the history.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newListener("a", 1)
		ledger := metrics.NewLedger("x")
		ledger.Add(l)
		r := New(ledger)
		want(t, "history before Run", r.Snapshot(0, true), History{StepSeconds: 1, Listeners: []Listener{}})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { r.Run(ctx); close(ended) }()
		synctest.Wait()
		dropped := time.Now()
		l.Shards[0].OutputLost.Add(1)
		for range 5 {
			synctest.Wait()
			l.Shards[0].Received.Add(3)
			time.Sleep(time.Second)
		}
		synctest.Wait()
		h := r.Snapshot(0, false)
		want(t, "received", h.Listeners[0].Received, []uint64{3, 3, 3, 3, 3})
		want(t, "lost", h.Listeners[0].Lost, []uint64{1, 0, 0, 0, 0})
		want(t, "end of the newest step", h.Now, time.Now().UTC())
		want(t, "time of the drop", l.Shards[0].Read().LastDropped.Output, dropped.Add(interval).UTC())
		stop()
		<-ended
	})
}

// The time of an operation is the CPU time that the history costs in a second: a reading of all
// shards, with their sockets and threads.
func BenchmarkSample(b *testing.B) {
	for _, test := range []struct{ listeners, shards int }{{1, 64}, {1000, 2}} {
		b.Run(fmt.Sprintf("%dx%d", test.listeners, test.shards), func(b *testing.B) {
			var listeners []*metrics.Listener
			for i := range test.listeners {
				group, err := engine.Listen(engine.Config{Address: "127.0.0.1:0", Shards: test.shards})
				if err != nil {
					b.Fatal(err)
				}
				b.Cleanup(group.Close)
				l := group.Listener()
				l.Name = fmt.Sprint(i)
				listeners = append(listeners, l)
			}
			c := newClock(listeners...)
			for b.Loop() {
				c.after(time.Second)
			}
		})
	}
}
