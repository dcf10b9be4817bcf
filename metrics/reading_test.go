package metrics

import (
	"encoding/json"
	"errors"
	"reflect"
	"sync"
	"testing"
	"time"
)

// fakeSocket returns values that a test sets.
type fakeSocket struct {
	queued, buffer, dropped uint32
	cookie                  uint64
	used                    time.Duration
	err                     error
	asked                   int
}

func (s *fakeSocket) Memory() (queued, buffer, dropped uint32, err error) {
	s.asked++
	return s.queued, s.buffer, s.dropped, s.err
}

func (s *fakeSocket) Cookie() uint64 { return s.cookie }

func (s *fakeSocket) CPUTime() (time.Duration, error) { return s.used, s.err }

// The kernel's drop counter of 32 bits wraps, and the ledger's grows on.
func TestKernelDropsAcrossTheWrap(t *testing.T) {
	shard := NewShard(0, 0)
	socket := new(fakeSocket)
	shard.Attach(socket)
	var want uint64
	const mostBetween = 1<<32 - 1
	for i, by := range []uint64{0, 1, 5, 1 << 31, 1 << 31, 0, 1<<32 - 6, 10, mostBetween, mostBetween, mostBetween, 3} {
		want += by
		socket.dropped += uint32(by) // wraps as in the kernel
		if got := shard.Read().Dropped.Kernel; got != want {
			t.Errorf("reading %d: %d drops, want %d (the socket says %d)", i, got, want, socket.dropped)
		}
	}
	if want < 3<<32 {
		t.Errorf("only %d drops: the test does not wrap", want)
	}
}

func TestReadingAsksTheSocket(t *testing.T) {
	shard := NewShard(3, 5)
	shard.StartThread(77, 0)
	if got := shard.Read(); got.QueueBytes != 0 || got.BufferBytes != 0 || got.Thread != 77 || got.Shard != 3 || got.CPU != 5 {
		t.Errorf("without a socket: %+v", got)
	}
	socket := &fakeSocket{queued: 1000, buffer: 2000, dropped: 7, used: time.Second}
	shard.Attach(socket)
	want := func(queued, buffer, dropped uint64, used time.Duration) {
		t.Helper()
		got := shard.Read()
		if got.QueueBytes != queued || got.BufferBytes != buffer || got.Dropped.Kernel != dropped || got.CPUTime != used {
			t.Errorf("queue %d, buffer %d, kernel %d, cpu time %s; want %d, %d, %d, %s",
				got.QueueBytes, got.BufferBytes, got.Dropped.Kernel, got.CPUTime, queued, buffer, dropped, used)
		}
	}
	want(1000, 2000, 7, time.Second)
	socket.err = errors.New("bad file descriptor")
	socket.queued, socket.dropped, socket.used = 0, 0, 0
	want(1000, 2000, 7, time.Second) // the last values
	socket.err = nil
	socket.queued, socket.dropped, socket.used = 10, 9, 2*time.Second
	want(10, 2000, 9, 2*time.Second)
}

// Detach reads the last values. After Detach no socket is read: the descriptor may belong to another
// file by then.
func TestDetachReadsTheLastValues(t *testing.T) {
	shard := NewShard(0, 0)
	socket := &fakeSocket{queued: 10, buffer: 2000, dropped: 1, used: time.Second}
	shard.Attach(socket)
	shard.Read()
	socket.dropped, socket.used, socket.queued = 5, 3*time.Second, 99
	shard.Detach()
	asked := socket.asked
	socket.dropped = 1000
	for range 2 {
		got := shard.Read()
		if got.Dropped.Kernel != 5 || got.CPUTime != 3*time.Second || got.BufferBytes != 2000 || got.QueueBytes != 0 {
			t.Errorf("after Detach: kernel %d, cpu time %s, buffer %d, queue %d; want 5, 3s, 2000 and an empty queue",
				got.Dropped.Kernel, got.CPUTime, got.BufferBytes, got.QueueBytes)
		}
		shard.Detach() // the second time does nothing
	}
	if socket.asked != asked {
		t.Error("a socket was read after Detach")
	}
}

// Each counter has a field in the reading, and is part of the equation.
func TestReadingHasEveryCounter(t *testing.T) {
	shard := numbered()
	got := shard.Read()
	for _, c := range DropReasons() {
		if dated := !c.LastDrop(got.LastDropped).IsZero(); dated != (c.Value(got) > 0) {
			t.Errorf("%s: %d, and the time of the last drop is %v", c.Name, c.Value(got), c.LastDrop(got.LastDropped))
		}
	}
	got.LastDropped = DropTimes{}
	want := Reading{
		Shard: 1, CPU: 2, Thread: 77, Received: 1_000_000, Bytes: 10, Batches: 11, Delivered: 12, Replied: 13, Truncated: 14, Unparsed: 15, MalformedHeader: 26,
		InFlight:   1_000_000 - 12 - 16 - 17 - 18 - 19,
		Dropped:    Drops{Kernel: 21, NotAllowed: 16, RateLimited: 17, Malformed: 18, Output: 19, Reply: 20},
		QueueBytes: 22, BufferBytes: 23, CPUTime: 1500 * time.Millisecond,
	}
	if got != want {
		t.Errorf("reading\n%+v, want\n%+v", got, want)
	}
	if lost := got.Dropped.Lost(); lost != 21+19 {
		t.Errorf("%d datagrams lost: drops on purpose and lost replies are not lost datagrams", lost)
	}
	if n := got.Dropped.OnPurpose(); n != 16+17+18 {
		t.Errorf("%d datagrams dropped on purpose", n)
	}
}

// numbered returns a shard of which every number is different.
func numbered() *Shard {
	shard := NewShard(1, 2)
	shard.StartThread(77, 0)
	shard.Received.Store(1_000_000)
	shard.Bytes.Store(10)
	shard.Batches.Store(11)
	shard.Delivered.Store(9)
	shard.Handled.Store(3)
	shard.Replied.Store(13)
	shard.Truncated.Store(14)
	shard.Unparsed.Store(15)
	shard.MalformedHeader.Store(26)
	shard.NotAllowed.Store(16)
	shard.RateLimited.Store(17)
	shard.Malformed.Store(18)
	shard.OutputLost.Store(19)
	shard.ReplyLost.Store(20)
	shard.Attach(&fakeSocket{queued: 22, buffer: 23, dropped: 21, used: 1500 * time.Millisecond})
	return shard
}

// Sum adds up all numbers of readings, also future ones.
func TestSum(t *testing.T) {
	var a, b, want Reading
	fill(reflect.ValueOf(&a).Elem(), 3)
	fill(reflect.ValueOf(&b).Elem(), 4)
	fill(reflect.ValueOf(&want).Elem(), 7)
	want.Shard, want.CPU, want.Thread = 0, 0, 0
	a.LastDropped.Kernel, b.LastDropped.Kernel = time.Unix(5, 0), time.Unix(4, 0)
	b.LastDropped.LostInCrash = time.Unix(6, 0)
	want.LastDropped = DropTimes{Kernel: time.Unix(5, 0), LostInCrash: time.Unix(6, 0)}
	if got := Sum([]Reading{a, b}); got != want {
		t.Errorf("sum\n%+v, want\n%+v", got, want)
	}
	if got := Sum(nil); got != (Reading{}) {
		t.Errorf("sum of nothing %+v", got)
	}
}

// fill sets all numbers of a struct, and no times.
func fill(v reflect.Value, to int) {
	for i := range v.NumField() {
		switch field := v.Field(i); field.Kind() {
		case reflect.Struct:
			if field.Type() != reflect.TypeFor[DropTimes]() {
				fill(field, to)
			}
		case reflect.Uint64:
			field.SetUint(uint64(to))
		case reflect.Bool: // of one shard
		default:
			field.SetInt(int64(to))
		}
	}
}

// With shards' threads, outputs' writers and readers at once, the equation holds in every reading and
// in JSON, and no number goes back.
func TestLedgerHoldsAtEveryReading(t *testing.T) {
	const shards, batches, perBatch = 2, 50_000, 8
	ledger := NewLedger("test")
	listener := &Listener{Name: "l"}
	for i := range shards {
		shard := NewShard(i, 0)
		shard.Attach(new(fakeSocket))
		listener.Shards = append(listener.Shards, shard)
	}
	ledger.Add(listener)

	var work sync.WaitGroup
	for _, shard := range listener.Shards {
		full := make(chan int, 4)
		work.Go(func() { // the shard's thread
			defer close(full)
			for n := range batches {
				shard.Received.Add(perBatch)
				shard.Bytes.Add(perBatch * 100)
				shard.Batches.Add(1)
				shard.NotAllowed.Add(1)
				shard.RateLimited.Add(1)
				shard.Malformed.Add(1)
				shard.Handled.Add(1)
				if n%2 == 0 {
					full <- perBatch - 4
				} else {
					shard.OutputLost.Add(perBatch - 4)
				}
			}
		})
		work.Go(func() { // the output's writer
			for records := range full {
				shard.Delivered.Add(uint64(records))
			}
		})
	}
	done := make(chan struct{})
	var readers sync.WaitGroup
	read := func(pause time.Duration, read func()) {
		readers.Go(func() {
			for {
				read()
				select {
				case <-done:
					return
				case <-time.After(pause):
				}
			}
		})
	}
	check := func(what string, r Reading) {
		d := r.Dropped
		if r.Received != r.Delivered+r.InFlight+d.NotAllowed+d.RateLimited+d.Malformed+d.Output+d.LostInCrash {
			t.Errorf("%s: the equation does not hold: %+v", what, r)
		}
		if int64(r.InFlight) < 0 || what == "at rest" && r.InFlight != 0 {
			t.Errorf("%s: in flight %d: %+v", what, int64(r.InFlight), r)
		}
	}
	for range 2 {
		last := make([]Reading, shards)
		read(0, func() {
			for i, r := range listener.Read() {
				check("a reading", r)
				if goesBack(last[i], r) {
					t.Errorf("shard %d went back from %+v to %+v", i, last[i], r)
				}
				last[i] = r
			}
		})
	}
	read(100*time.Microsecond, func() {
		var status Status
		if err := json.Unmarshal([]byte(encoded(t, ledger)), &status); err != nil {
			t.Error(err)
		}
		for _, r := range status.Listeners[0].Shards {
			check("the status", r)
		}
	})
	work.Wait()
	close(done)
	readers.Wait()
	for _, r := range listener.Read() {
		check("at rest", r)
		if r.Received != batches*perBatch {
			t.Errorf("received %d, want %d", r.Received, batches*perBatch)
		}
	}
}

func goesBack(last, now Reading) bool {
	return now.Received < last.Received || now.Bytes < last.Bytes || now.Batches < last.Batches || now.Delivered < last.Delivered ||
		now.Dropped.NotAllowed < last.Dropped.NotAllowed || now.Dropped.RateLimited < last.Dropped.RateLimited ||
		now.Dropped.Malformed < last.Dropped.Malformed || now.Dropped.Output < last.Dropped.Output || now.Dropped.LostInCrash < last.Dropped.LostInCrash || now.Dropped.Kernel < last.Dropped.Kernel
}

// A short wait for the output is normal; a shard that is away for longer than a second is not.
func TestWaitsForOutput(t *testing.T) {
	shard := NewShard(0, 0)
	shard.StartThread(77, 0)
	wait := func(away time.Duration, waiting bool) bool {
		shard.Heartbeat(time.Now().Add(-away))
		if waiting {
			shard.BeginOutputWait()
			defer shard.EndOutputWait()
		}
		return shard.Read().WaitsForOutput
	}
	if wait(0, true) || wait(time.Minute, false) || !wait(time.Minute, true) {
		t.Error("only a shard that has been away and waits is blocked by its output")
	}
}
