package output

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/metrics"
)

// Delivered counts a record after its write, not before.
func TestDeliveredIsCountedAfterTheWrite(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFake(t, step{take: 10}, step{take: 100}, step{take: 37, err: unix.ENOSPC}, step{take: 0, err: unix.EIO}, all)
		var r *rig
		writes := 0
		f.seen = func() {
			writes++
			whole := strings.Count(f.text(), "\n")
			if got := r.counters.Delivered.Load(); got != uint64(whole) {
				t.Errorf("before write %d: %d records delivered, the target has %d", writes, got, whole)
			}
		}
		r = newRig(t, f)
		r.flush(20)
		r.flush(20)
		r.close(t)
		if writes != 6 {
			t.Errorf("%d writes, want 5 for the first buffer and 1 for the second", writes)
		}
		same(t, "the target", f.text(), records(0, 40))
		r.counts(t, 40, 0, 0)
	})
}

// A record is in flight until its write returns.
func TestInFlightWhileWriting(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f, release := newFake(t), make(chan struct{})
		f.seen = func() { <-release }
		r := newRig(t, f)
		r.put(3)
		r.counts(t, 0, 0, 3)
		r.stream.Flush()
		synctest.Wait()
		r.counts(t, 0, 0, 3)
		close(release)
		synctest.Wait()
		r.counts(t, 3, 0, 0)
		r.close(t)
	})
}

// Events report the begin of an outage, every minute of the outage, and the end: not every record,
// nor every attempt. No record is lost.
func TestOutageIsReportedOnceAMinute(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFake(t)
		var up atomic.Bool
		f.seen = func() {
			if !up.Load() {
				f.change(func() { f.steps = []step{{0, unix.ENOSPC}} })
			}
		}
		r := newRig(t, f)
		r.flush(1000)
		synctest.Wait()
		if e := r.events.all(); len(e) != 1 || !errors.Is(e[0].Err, unix.ENOSPC) || e[0].Destination != fakeName || e[0].Failing != 0 {
			t.Fatalf("events %+v: want the beginning, with its error and destination", e)
		}
		r.flush(1000)
		time.Sleep(59 * time.Second)
		synctest.Wait()
		if e := r.events.all(); len(e) != 1 {
			t.Errorf("events %+v: more than one within a minute", e)
		}
		time.Sleep(2*time.Minute + 30*time.Second)
		synctest.Wait()
		if e := r.events.all(); len(e) != 4 {
			t.Errorf("%d events after 3 minutes and a half, want 4: %+v", len(e), e)
		}
		for i, e := range r.events.all() {
			want := time.Duration(i) * time.Minute
			if e.Err == nil || e.Failing < want || e.Failing > want+time.Duration(i)*maxRetryDelay {
				t.Errorf("event %d: %+v, want an error that fails for %s", i, e, want)
			}
		}
		r.counts(t, 0, 0, 2000)
		up.Store(true)
		began := time.Now()
		time.Sleep(maxRetryDelay)
		synctest.Wait()
		if e := r.events.all(); len(e) != 5 || e[4].Err != nil || e[4].Destination != fakeName || e[4].Failing < 3*time.Minute {
			t.Errorf("events %+v: want a fifth, of recovery, within %s", e, time.Since(began))
		}
		r.counts(t, 2000, 0, 0)
		r.flush(10)
		r.close(t)
		if e := r.events.all(); len(e) != 5 {
			t.Errorf("events %+v: more than five without an outage", e)
		}
		same(t, "the target", f.text(), records(0, 2010))

		// The next outage begins with an event again.
		f = newFake(t, step{0, unix.EIO}, all, step{0, unix.EIO}, all)
		r = newRig(t, f)
		r.flush(1)
		r.flush(1)
		r.close(t)
		if e := r.events.all(); len(e) != 4 || e[0].Err == nil || e[1].Err != nil || e[2].Err == nil || e[3].Err != nil {
			t.Errorf("events of two outages: %+v", e)
		}
	})
}

// Retries go on, one a second, until the destination works again.
func TestRetriesNeverStop(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFake(t)
		for range 3600 {
			f.steps = append(f.steps, step{0, unix.ENOSPC})
		}
		r := newRig(t, f)
		began := time.Now()
		r.flush(5)
		r.close(t)
		if took := time.Since(began); took > time.Hour || took < 59*time.Minute {
			t.Errorf("3600 failures took %s, want about one a second", took)
		}
		same(t, "the target", f.text(), records(0, 5))
		r.counts(t, 5, 0, 0)
	})
}

// Through failures, partial writes, renames and removals, every record is written once, whole and
// in order, in some file.
func TestEachRecordIsWrittenOnce(t *testing.T) {
	for seed := range uint64(100) {
		bubble(t, func(t *testing.T) {
			f := newFake(t)
			var r *rig
			mood := rand.New(rand.NewPCG(seed, 1))
			attempts := 0
			f.seen = func() {
				next := all
				if attempts++; attempts < 300 {
					switch mood.IntN(5) {
					case 0:
						next = step{0, unix.ENOSPC}
					case 1:
						next = step{mood.IntN(300), unix.ENOSPC}
					case 2:
						next = step{1 + mood.IntN(300), nil}
					case 3:
						next = step{mood.IntN(300), unix.EIO}
						f.change(func() { f.renamed = true })
						select { // as Set.Reopen does, whose lock Close has
						case r.set.writers[fakeName].reopen <- func(error) {}:
						default:
						}
					case 4:
						next = step{mood.IntN(300), unix.EIO}
						f.change(func() { f.missing = true })
					}
				}
				f.change(func() { f.steps = []step{next} })
			}
			r = newRig(t, f)
			random := rand.New(rand.NewPCG(seed, 2))
			for range 30 {
				r.flush(random.IntN(40))
			}
			ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
			defer cancel()
			if err := r.set.Close(ctx); err != nil {
				t.Error(err)
			}
			for i, text := range f.texts() {
				if text != "" && !strings.HasSuffix(text, "\n") {
					t.Errorf("seed %d: file %d of %d ends in the middle of a record", seed, i, len(f.texts()))
				}
			}
			same(t, "all files", strings.Join(f.texts(), ""), records(0, r.number))
			r.counts(t, uint64(r.number), 0, 0)
			if len(f.texts()) < 2 {
				t.Errorf("seed %d: the file was never renewed", seed)
			}
		})
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// A file that is renamed in the middle of a record keeps whole records only. The new file begins
// with the incomplete record.
func TestReopenInTheMiddleOfARecord(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFake(t, step{len(records(0, 4)) + 5, unix.ENOSPC})
		r := newRig(t, f)
		r.flush(10)
		synctest.Wait()
		same(t, "the file that is full", f.text(), records(0, 4)+record(4)[:5])
		r.counts(t, 4, 0, 6)
		f.change(func() { f.renamed = true })
		r.set.Reopen(nil)
		r.flush(1)
		r.close(t)
		if len(f.texts()) != 2 {
			t.Fatalf("%d files, want 2", len(f.texts()))
		}
		same(t, "the old file", f.texts()[0], records(0, 4))
		same(t, "the new file", f.texts()[1], records(4, 11))
		r.counts(t, 11, 0, 0)
	})
}

// Reopen ends the delay before a retry.
func TestReopenTriesAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFake(t)
		for range 20 {
			f.steps = append(f.steps, step{0, unix.ENOSPC})
		}
		r := newRig(t, f)
		r.flush(1)
		time.Sleep(10*time.Second + time.Millisecond) // the delay is one second now
		began := time.Now()
		f.change(func() { f.steps = nil })
		r.set.Reopen(nil)
		synctest.Wait()
		r.counts(t, 1, 0, 0)
		if took := time.Since(began); took != 0 {
			t.Errorf("took %s", took)
		}
		r.close(t)
	})
}

// A new file does not end an outage; a successful write does.
func TestOutageLastsUntilSomethingIsWritten(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFake(t, step{0, unix.ENOSPC}, step{0, unix.ENOSPC}, step{0, unix.ENOSPC})
		f.seen = func() { f.change(func() { f.missing = len(f.steps) > 0 }) }
		r := newRig(t, f)
		r.flush(1)
		r.close(t)
		if e := r.events.all(); len(e) != 2 || e[0].Err == nil || e[1].Err != nil {
			t.Errorf("events %+v: want one beginning and one end", e)
		}
	})
}

// Without a reader no retry helps: records count as lost, and Broken has the error.
func TestBrokenPipe(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFake(t, step{len(records(0, 2)) + 3, nil}, step{0, unix.EPIPE}, step{0, unix.EPIPE})
		r := newRig(t, f)
		r.flush(5)
		synctest.Wait()
		select {
		case err := <-r.set.Broken():
			if !errors.Is(err, unix.EPIPE) || !strings.Contains(err.Error(), fakeName) {
				t.Errorf("error %v: want EPIPE and the destination", err)
			}
		default:
			t.Fatal("nothing is broken")
		}
		r.counts(t, 2, 3, 0)
		r.flush(7)
		began := time.Now()
		r.close(t)
		if took := time.Since(began); took != 0 {
			t.Errorf("retried for %s", took)
		}
		select {
		case err := <-r.set.Broken():
			t.Errorf("reported again: %v", err)
		default:
		}
		r.counts(t, 2, 10, 0)
		if e := r.events.all(); len(e) > 0 {
			t.Errorf("events %+v: want none, since there are no retries", e)
		}
	})
}

// A partial record in a broken pipe is not continued in the next file.
func TestAfterABrokenPipe(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFake(t, step{len(records(0, 2)) + 3, nil}, step{0, unix.EPIPE})
		r := newRig(t, f)
		r.flush(5)
		synctest.Wait()
		f.change(func() { f.missing = true }) // the pipe is removed
		r.flush(7)
		r.close(t)
		same(t, "what has the name now", f.text(), records(5, 12))
		r.counts(t, 9, 3, 0)
	})
}

// A slow destination makes its shard wait, and loses no record.
func TestBufferWaitsForASlowDestination(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f, allowed := newFake(t), make(chan struct{})
		f.seen = func() { <-allowed }
		r := newRig(t, f)
		const perBuffer, total = 10, 200
		put := make(chan int, total)
		go func() {
			for i := 0; i < total; i += perBuffer {
				r.flush(perBuffer)
				put <- i
			}
			close(put)
		}()
		synctest.Wait()
		if len(put) != buffers {
			t.Errorf("%d buffers were handed over while none was written, want all %d", len(put), buffers)
		}
		r.counts(t, 0, 0, buffers*perBuffer+1) // one more waits in Buffer
		for written := 1; written <= 3; written++ {
			allowed <- struct{}{}
			synctest.Wait()
			if len(put) != buffers+written {
				t.Errorf("%d buffers were handed over after %d writes, want %d", len(put), written, buffers+written)
			}
		}
		close(allowed)
		for range put {
		}
		r.close(t)
		same(t, "the target", f.text(), records(0, total))
		r.counts(t, total, 0, 0)
	})
}

// Close gives up a destination that fails until the end of ctx, counts the rest as lost, and
// returns an error.
func TestCloseGivesUpInTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFake(t, step{len(records(0, 3)) + 4, unix.ENOSPC})
		for range 1000 {
			f.steps = append(f.steps, step{0, unix.ENOSPC})
		}
		r := newRig(t, f)
		for range buffers {
			r.flush(10)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 8*time.Second)
		defer cancel()
		began := time.Now()
		err := r.set.Close(ctx)
		if took := time.Since(began); took < 8*time.Second || took > 9*time.Second {
			t.Errorf("took %s, want 8s", took)
		}
		if err == nil || !strings.Contains(err.Error(), fakeName) {
			t.Errorf("error %v: want the name of the destination", err)
		}
		r.counts(t, 3, buffers*10-3, 0)
		same(t, "the target", f.text(), records(0, 3)) // the incomplete record is lost, and cut
	})
}

// After Abort no record is written, and an incomplete record is cut.
func TestAbortEndsWriting(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFake(t, step{len(records(0, 3)) + 4, unix.ENOSPC}, all)
		r := newRig(t, f)
		r.flush(5)
		r.flush(5)
		synctest.Wait()
		r.set.Abort()
		r.set.Abort()
		synctest.Wait()
		r.counts(t, 3, 7, 0)
		r.flush(100) // does not wait
		r.counts(t, 3, 107, 0)
		r.closeAfterLoss(t)
		same(t, "the target", f.text(), records(0, 3))
	})
}

// Close counts the records of a write that hangs, and of the queue, as lost. They stay lost if the
// write succeeds late.
func TestCloseWithAWriteThatHangs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f, release := newFake(t), make(chan struct{})
		f.seen = func() { <-release }
		r := newRig(t, f)
		for range buffers {
			r.flush(10)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		err := r.set.Close(ctx)
		if err == nil || !strings.Contains(err.Error(), fakeName) {
			t.Errorf("error %v: want the name of the destination", err)
		}
		r.counts(t, 0, buffers*10, 0)
		close(release)
		synctest.Wait()
		r.counts(t, 0, buffers*10, 0)
		same(t, "the target", f.text(), records(0, 10))
	})
}

// The records of a late partial write stay lost too.
func TestAPartialWriteAfterGivingUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f, release := newFake(t, step{len(records(0, 3)) + 1, unix.ENOSPC}), make(chan struct{})
		f.seen = func() { <-release }
		r := newRig(t, f)
		r.flush(10)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := r.set.Close(ctx); err == nil {
			t.Error("no error")
		}
		close(release)
		synctest.Wait()
		r.counts(t, 0, 10, 0)
		same(t, "the target", f.text(), records(0, 3))
	})
}

// A write that returns just as Close gives up is counted once: as written, or as lost.
func TestAWriteThatReturnsAsItIsGivenUp(t *testing.T) {
	for try := range 100 { // the order is random
		bubble(t, func(t *testing.T) {
			f := newFake(t)
			if try%2 == 0 {
				f.steps = []step{{len(records(0, 3)) + 1, unix.ENOSPC}}
			}
			f.seen = func() { time.Sleep(1100 * time.Millisecond) } // the deadline of Close, and its grace
			r := newRig(t, f)
			for range buffers {
				r.flush(10)
			}
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			if err := r.set.Close(ctx); err == nil {
				t.Error("no error")
			}
			synctest.Wait()
			if got := r.counters.Read(); got.Delivered+got.Dropped.Output != buffers*10 {
				t.Errorf("delivered %d and lost %d of %d", got.Delivered, got.Dropped.Output, buffers*10)
			}
		})
		if t.Failed() {
			return
		}
	}
}

// Close names only the destinations that are late.
func TestCloseNamesLateDestinations(t *testing.T) {
	for range 50 { // a select with two ready channels is random
		bubble(t, func(t *testing.T) {
			set := NewSet(func(Event) {})
			release := make(chan struct{})
			counters := metrics.NewShard(0, 0)
			for _, name := range []string{"/a", "/late", "/z"} {
				f := newFake(t)
				if name == "/late" {
					f.seen = func() { <-release }
				}
				set.start(name, f)
				s, err := set.Open("file:"+name, 0, counters, 100)
				if err != nil {
					t.Fatal(err)
				}
				s.Commit(append(s.Buffer(), "x\n"...))
				s.Flush()
			}
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			err := set.Close(ctx)
			if err == nil || strings.Contains(err.Error(), "/a") || strings.Contains(err.Error(), "/z") || !strings.Contains(err.Error(), "/late") {
				t.Errorf("error %v, want /late alone", err)
			}
			close(release)
		})
		if t.Failed() {
			return
		}
	}
}

// Abort releases a shard that waits for a buffer, and further records are counted.
func TestAbortReleasesAWaitingShard(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f, release := newFake(t), make(chan struct{})
		f.seen = func() { <-release }
		r := newRig(t, f)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range buffers + 3 {
				r.flush(10)
			}
		}()
		synctest.Wait()
		select {
		case <-done:
			t.Fatal("does not wait")
		default:
		}
		r.set.Abort()
		synctest.Wait()
		select {
		case <-done:
		default:
			t.Fatal("still waits")
		}
		close(release)
		synctest.Wait()
		r.counts(t, 10, (buffers+2)*10, 0)
		r.closeAfterLoss(t)
	})
}

// Records after Abort are lost at once.
func TestRecordsAfterAbort(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, newFake(t))
		r.set.Abort()
		for range 3 * buffers {
			r.flush(10)
		}
		r.counts(t, 0, 3*buffers*10, 0)
		r.closeAfterLoss(t)
	})
}

// A shard that waits for its output renews its heartbeat until a buffer is free.
func TestAShardThatWaitsKeepsItsHeartbeat(t *testing.T) {
	f, release := newFake(t), make(chan struct{})
	f.seen = func() { <-release }
	r := newRig(t, f)
	holding := func() bool {
		_, holding := r.counters.OutputWait(time.Now())
		return holding
	}
	r.counters.Heartbeat(time.Now())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range buffers + 1 {
			r.flush(1)
		}
	}()
	until(t, "the shard waits", holding)
	for range 3 {
		before := r.counters.LastHeartbeat()
		until(t, "the heartbeat is renewed", func() bool { return r.counters.LastHeartbeat() > before })
	}
	close(release)
	<-done
	if holding() {
		t.Error("still waiting for the output")
	}
	r.close(t)
	r.counts(t, buffers+1, 0, 0)
}

// Records that a shard flushes during Close are counted as written or lost.
func TestFlushDuringClose(t *testing.T) {
	for range 50 { // the order is random
		f := newFake(t)
		r := newRig(t, f)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 20 {
				r.flush(1)
			}
		}()
		r.set.Close(context.Background())
		<-done
		delivered := uint64(strings.Count(f.text(), "\n"))
		r.counts(t, delivered, 20-delivered, 0)
	}
}
