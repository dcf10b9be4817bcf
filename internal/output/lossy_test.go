package output

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/output/file"
	"github.com/udpshard/udpshard/metrics"
)

// longRecord is a record so long that a buffer with ten has no room for ten more.
func longRecord(number int) string {
	return strings.TrimSuffix(record(number), "\n") + strings.Repeat(" ", flushSize/20) + "\n"
}

func longRecords(from, to int) string {
	var b strings.Builder
	for i := from; i < to; i++ {
		b.WriteString(longRecord(i))
	}
	return b.String()
}

// newLossyRig returns a rig with a lossy stream and long records.
func newLossyRig(t *testing.T, target Destination) *rig {
	t.Helper()
	r := newRig(t, target)
	s, err := r.set.OpenLossy("file:"+fakeName, 0, r.counters, flushSize/10)
	if err != nil {
		t.Fatal(err)
	}
	r.stream, r.record = s, longRecord
	return r
}

// While the writer hangs, a lossy stream drops exactly the records beyond its buffers, and no call
// waits. With each buffer that comes back the stream accepts records again.
func TestALossyStreamDropsAndRecovers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f, allowed := newFake(t), make(chan struct{})
		f.seen = func() { <-allowed }
		r := newLossyRig(t, f)
		const perBuffer = 10
		began := time.Now()
		for range lossyBuffers {
			r.flush(perBuffer)
		}
		const held = lossyBuffers * perBuffer
		r.counts(t, 0, 0, held)
		for i := range 1000 {
			r.flush(1)
			r.counts(t, 0, uint64(i+1), held)
		}
		r.put(1)
		r.counts(t, 0, 1001, held)
		if took := time.Since(began); took != 0 {
			t.Errorf("waited for %s", took)
		}
		allowed <- struct{}{}
		synctest.Wait()
		r.counts(t, perBuffer, 1001, held-perBuffer)
		first := r.number
		r.flush(perBuffer)
		r.counts(t, perBuffer, 1001, held)
		r.flush(1)
		r.counts(t, perBuffer, 1002, held)
		close(allowed)
		synctest.Wait()
		r.counts(t, held+perBuffer, 1002, 0)
		again := r.number
		r.flush(5)
		r.close(t) // dropped is not late
		r.counts(t, held+perBuffer+5, 1002, 0)
		same(t, "the target", f.text(), longRecords(0, held)+longRecords(first, first+perBuffer)+longRecords(again, again+5))
	})
}

// The number of flushes does not change how much a lossy stream holds.
func TestALossyStreamOfFewRecordsAFlush(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f, release := newFake(t), make(chan struct{})
		f.seen = func() { <-release }
		r := newLossyRig(t, f)
		r.record = record
		const flushes = 50 * lossyBuffers
		for range flushes {
			r.flush(2)
		}
		r.counts(t, 0, 0, 2*flushes)
		close(release)
		r.close(t)
		r.counts(t, 2*flushes, 0, 0)
		same(t, "the target", f.text(), records(0, 2*flushes))
	})
}

// A buffer full of large records goes to the writer without a flush. Without a buffer, large
// records are dropped too.
func TestALossyStreamOfLargeRecords(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f, release := newFake(t), make(chan struct{})
		f.seen = func() { <-release }
		r := newLossyRig(t, f)
		line := strings.Repeat("x", flushSize/2-1) + "\n"
		const total = 2*lossyBuffers + 7
		for i := range total {
			r.counters.Received.Add(1)
			r.stream.Commit(append(r.stream.Buffer(), line...))
			kept := min(i+1, 2*lossyBuffers)
			r.counts(t, 0, uint64(i+1-kept), uint64(kept))
		}
		close(release)
		synctest.Wait()
		r.counts(t, 2*lossyBuffers, 7, 0)
		r.close(t)
		same(t, "the target", f.text(), strings.Repeat(line, 2*lossyBuffers))
	})
}

// A lossy stream adds records to a buffer in the queue, not to a buffer that the writer has
// returned.
func TestALossyStreamAfterItsLastBufferIsBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f, allowed := newFake(t), make(chan struct{})
		f.seen = func() { <-allowed }
		r := newLossyRig(t, f)
		other, counters := r.open(t, metrics.NewShard(1, 0)), metrics.NewShard(1, 0)
		r.flush(1)
		synctest.Wait() // the writer has the buffer
		put(other, counters, "x\n")
		allowed <- struct{}{}
		synctest.Wait() // the buffer is back, and the writer has the second stream's buffer
		for range 3 {
			r.flush(1)
			r.counts(t, 1, 0, uint64(r.number-1))
		}
		close(allowed)
		r.close(t)
		r.counts(t, 4, 0, 0)
		same(t, "the target", f.text(), longRecord(0)+"x\n"+longRecords(1, 4))
	})
}

// A short failure of the destination costs only the records beyond the buffers.
func TestALossyStreamAndADestinationThatFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFake(t, step{len(longRecords(0, 3)) + 4, unix.ENOSPC})
		for range 5 {
			f.steps = append(f.steps, step{0, unix.ENOSPC})
		}
		r := newLossyRig(t, f)
		for range lossyBuffers {
			r.flush(10)
		}
		r.flush(50)
		synctest.Wait()
		const held = lossyBuffers * 10
		r.counts(t, 3, 50, held-3)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		r.counts(t, held, 50, 0)
		r.flush(10)
		r.close(t)
		r.counts(t, held+10, 50, 0)
		same(t, "the target", f.text(), longRecords(0, held)+longRecords(held+50, held+60))
	})
}

// Records of a lossy stream that are given up at the end make Close return an error.
func TestALossyStreamIsGivenUp(t *testing.T) {
	for _, hangs := range []bool{false, true} {
		t.Run(fmt.Sprintf("hangs=%v", hangs), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f, release := newFake(t), make(chan struct{})
				f.seen = func() {
					if hangs {
						<-release
					}
					f.change(func() { f.steps = []step{{0, unix.ENOSPC}} })
				}
				r := newLossyRig(t, f)
				for range lossyBuffers + 3 {
					r.flush(10)
				}
				r.counts(t, 0, 30, lossyBuffers*10)
				ctx, cancel := context.WithTimeout(context.Background(), time.Second)
				defer cancel()
				began := time.Now()
				if err := r.set.Close(ctx); err == nil || !strings.Contains(err.Error(), fakeName) {
					t.Errorf("error %v: want the name of the destination", err)
				}
				if took := time.Since(began); took > 1200*time.Millisecond {
					t.Errorf("took %s", took)
				}
				r.counts(t, 0, lossyBuffers*10+30, 0)
				close(release)
				synctest.Wait()
				r.counts(t, 0, lossyBuffers*10+30, 0)
			})
		})
	}
}

// After Abort all records are lost, and counted once.
func TestALossyStreamAfterAbort(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f, release := newFake(t), make(chan struct{})
		f.seen = func() { <-release }
		r := newLossyRig(t, f)
		r.flush(10)
		synctest.Wait()
		r.put(3)
		r.set.Abort()
		for range lossyBuffers + 3 {
			r.flush(10)
		}
		r.counts(t, 0, 3+(lossyBuffers+3)*10, 10)
		close(release)
		synctest.Wait()
		r.closeAfterLoss(t)
		r.counts(t, 10, 3+(lossyBuffers+3)*10, 0)
	})
}

// A shard with a lossy stream never counts as waiting for its output.
func TestALossyStreamNeverWaits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f, release := newFake(t), make(chan struct{})
		f.seen = func() { <-release }
		r := newLossyRig(t, f)
		for range lossyBuffers + 3 {
			r.flush(10)
			time.Sleep(time.Second)
		}
		if held, holding := r.counters.OutputWait(time.Now()); held != 0 || holding {
			t.Errorf("held for %s, holding %v", held, holding)
		}
		close(release)
		r.close(t)
	})
}

// Events report the begin of an outage, every minute of the outage, and the end after a quiet
// period: not every record, nor every buffer.
func TestDroppingIsReportedOncePerOutage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f, allowed := newFake(t), make(chan struct{})
		f.seen = func() { <-allowed }
		r := newLossyRig(t, f)
		for range lossyBuffers {
			r.flush(10)
		}
		synctest.Wait()
		if e := r.events.all(); len(e) != 0 {
			t.Errorf("events %+v: nothing was dropped", e)
		}
		r.flush(7)
		synctest.Wait()
		if e := r.events.all(); len(e) != 1 || !e[0].Dropping || e[0].Dropped == 0 || e[0].Dropped > 7 || e[0].Failing != 0 || e[0].Err != nil || e[0].Destination != fakeName {
			t.Fatalf("events %+v: want the beginning", e)
		}
		time.Sleep(30 * time.Second) // no record, and no buffer: the outage lasts
		for range 10 {               // drops come and go
			allowed <- struct{}{}
			synctest.Wait()
			r.flush(10)
			r.flush(1)
			time.Sleep(2 * time.Second)
		}
		synctest.Wait()
		if e := r.events.all(); len(e) != 1 {
			t.Errorf("events %+v: more than one within a minute", e)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if e := r.events.all(); len(e) != 3 || !e[1].Dropping || e[1].Dropped != 17 || !e[2].Dropping || e[2].Failing < 2*time.Minute {
			t.Errorf("events %+v: want one a minute", e)
		}
		close(allowed)
		synctest.Wait()
		r.flush(10)
		synctest.Wait()
		r.put(1) // the stream holds all buffers: no outage
		time.Sleep(quietPeriod + 2*checkInterval)
		synctest.Wait()
		if e := r.events.all(); len(e) != 4 || e[3].Dropping || e[3].Dropped != 17 || e[3].Failing < 160*time.Second || e[3].Failing > 180*time.Second {
			t.Errorf("events %+v: want a fourth, of the end", e)
		}
		time.Sleep(time.Hour)
		r.flush(10)
		synctest.Wait()
		if e := r.events.all(); len(e) != 4 {
			t.Errorf("events %+v: more than four without an outage", e)
		}

		// The next outage begins with an event again.
		allowed = make(chan struct{})
		f.change(func() { f.seen = func() { <-allowed } })
		for range lossyBuffers {
			r.flush(10)
		}
		r.flush(2)
		synctest.Wait()
		if e := r.events.all(); len(e) != 5 || !e[4].Dropping || e[4].Dropped > 2 {
			t.Errorf("events %+v: want a fifth, of the next outage", e)
		}
		close(allowed)
		r.close(t)
	})
}

// A lossy stream and a stream that waits can share a destination: each keeps its own rule.
func TestALossyStreamBesideOneThatWaits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f, release := newFake(t), make(chan struct{})
		f.seen = func() { <-release }
		r := newLossyRig(t, f)
		counters := metrics.NewShard(1, 0)
		patient := r.open(t, counters)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 100 {
				put(patient, counters, "x\n")
			}
		}()
		for range lossyBuffers + 3 {
			r.flush(10)
		}
		synctest.Wait()
		r.counts(t, 0, 30, lossyBuffers*10)
		if got := counters.Read(); got.InFlight != buffers+1 || got.Dropped.Output != 0 {
			t.Errorf("of who waits %d are in flight, %d lost", got.InFlight, got.Dropped.Output)
		}
		close(release)
		<-done
		r.close(t)
		r.counts(t, lossyBuffers*10, 30, 0)
		if got := counters.Read(); got.Delivered != 100 || got.Dropped.Output != 0 {
			t.Errorf("of who waits %d are delivered, %d lost", got.Delivered, got.Dropped.Output)
		}
	})
}

// hiccups is a file whose writes are slow now and then; the first write waits for a channel.
type hiccups struct {
	*file.File
	first  <-chan struct{}
	writes int
}

func (h *hiccups) Write(data []byte) (int, error) {
	if h.writes++; h.writes == 1 {
		<-h.first
	} else if h.writes%3 == 0 {
		time.Sleep(2 * time.Millisecond)
	}
	return h.File.Write(data)
}

// Several shards write to one slow file while the ledger is read. Every reading adds up, and the
// file has the delivered records in order.
func TestLossyLedgerUnderLoad(t *testing.T) {
	const shards, perShard = 4, 20_000
	path := filepath.Join(t.TempDir(), "x")
	f, err := file.Open(path, metrics.NewShard(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	dropped := make(chan struct{})
	drop := sync.OnceFunc(func() { close(dropped) })
	r := newRig(t, &hiccups{File: f, first: dropped})
	shardCounters := make([]*metrics.Shard, shards)
	text := func(shard, n int) string { return fmt.Sprintf("%d %d %s\n", shard, n, strings.Repeat("x", n%800)) }
	var writers, reader sync.WaitGroup
	for i := range shardCounters {
		shardCounters[i] = metrics.NewShard(i, 0)
		s, err := r.set.OpenLossy("file:"+fakeName, i, shardCounters[i], 1<<10)
		if err != nil {
			t.Fatal(err)
		}
		writers.Go(func() {
			for n := range perShard {
				shardCounters[i].Received.Add(1)
				s.Commit(append(s.Buffer(), text(i, n)...))
				if n%20 == i {
					s.Flush()
				}
				if shardCounters[i].OutputLost.Load() > 0 {
					drop()
				}
			}
			s.Flush()
		})
	}
	done := make(chan struct{})
	reader.Go(func() {
		last := make([]metrics.Reading, shards)
		for {
			for i := range shardCounters {
				now := shardCounters[i].Read()
				checkReading(t, last[i], now)
				last[i] = now
			}
			select {
			case <-done:
				return
			default:
				time.Sleep(50 * time.Microsecond)
			}
		}
	})
	writers.Wait()
	r.close(t)
	close(done)
	reader.Wait()
	next := make([]int, shards)
	kept := make([]uint64, shards)
	for line := range strings.Lines(content(t, path)) {
		var i, n int
		if _, err := fmt.Sscanf(line, "%d %d", &i, &n); err != nil || line != text(i, n) {
			t.Fatalf("partial record: %q", line)
		}
		if n < next[i] {
			t.Fatalf("shard %d: record %d where %d or more should be", i, n, next[i])
		}
		next[i] = n + 1
		kept[i]++
	}
	var lost uint64
	for i, counters := range shardCounters {
		got := counters.Read()
		if got.Received != perShard || got.InFlight != 0 || got.Delivered != kept[i] || got.Delivered+got.Dropped.Output != perShard {
			t.Errorf("shard %d: %+v, and %d in the file", i, got, kept[i])
		}
		lost += got.Dropped.Output
	}
	if lost == 0 {
		t.Error("nothing was dropped")
	}
}

// A record costs no allocation, whether written or dropped.
func TestNoAllocationsInALossyStream(t *testing.T) {
	line := []byte(strings.Repeat("x", 299) + "\n")
	for _, stuck := range []bool{false, true} {
		t.Run(fmt.Sprintf("stuck=%v", stuck), func(t *testing.T) {
			release := make(chan struct{})
			if !stuck {
				close(release)
			}
			r := newLossyRig(t, holding{release: release})
			const perRun = 2000 // two runs fill more than a buffer
			run := func() {
				for range perRun {
					r.counters.Received.Add(1)
					r.stream.Commit(append(r.stream.Buffer(), line...))
				}
				r.stream.Flush()
			}
			if stuck {
				for r.counters.OutputLost.Load() == 0 {
					run()
				}
				until(t, "an event comes", func() bool { return len(r.events.all()) > 0 })
			}
			if allocations := testing.AllocsPerRun(20, run); allocations > 0 {
				t.Errorf("%v allocations for %d records, want none", allocations, perRun)
			}
			if stuck {
				close(release)
			}
			r.close(t)
			if got := r.counters.Read(); got.InFlight != 0 || stuck != (got.Dropped.Output > 20*perRun) {
				t.Errorf("%d in flight, %d dropped", got.InFlight, got.Dropped.Output)
			}
		})
	}
}

// holding accepts all records, once released.
type holding struct {
	null
	release <-chan struct{}
}

func (h holding) Write(data []byte) (int, error) {
	<-h.release
	return len(data), nil
}

// A named pipe without a reader accepts records until the pipe is full.
func TestALossyStreamIntoAPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	set := NewSet(func(Event) {})
	counters := metrics.NewShard(0, 0)
	s, err := set.OpenLossy("file:"+path, 0, counters, 1<<10)
	if err != nil {
		t.Fatal(err)
	}
	line := strings.Repeat("x", 999) + "\n"
	for range 20_000 {
		counters.Received.Add(1)
		s.Commit(append(s.Buffer(), line...))
	}
	if got := counters.Read(); got.Dropped.Output == 0 || got.Received != got.Delivered+got.InFlight+got.Dropped.Output {
		t.Errorf("%+v", got)
	}
	reader, err := os.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	read := make(chan int)
	go func() {
		defer reader.Close()
		n, err := io.Copy(io.Discard, reader)
		if err != nil {
			t.Error(err)
		}
		read <- int(n)
	}()
	s.Flush()
	if err := set.Close(context.Background()); err != nil {
		t.Error(err)
	}
	got := counters.Read()
	if n := <-read; n != int(got.Delivered)*len(line) || got.InFlight != 0 || got.Delivered+got.Dropped.Output != 20_000 {
		t.Errorf("%d bytes were read: %+v", n, got)
	}
}

func TestALossyStreamToDiscard(t *testing.T) {
	counters := metrics.NewShard(0, 0)
	s, err := openSet(t).OpenLossy("discard", 0, counters, 100)
	if err != nil {
		t.Fatal(err)
	}
	put(s, counters, "x\n")
	if got := counters.Read(); got.Delivered != 1 {
		t.Errorf("%+v", got)
	}
	if _, err := openSet(t).OpenLossy("nowhere", 0, counters, 100); err == nil {
		t.Error("no error")
	}
}
