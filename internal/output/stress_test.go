package output

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/output/file"
	"github.com/udpshard/udpshard/metrics"
	"github.com/udpshard/udpshard/packet"
)

// flaky is a file whose writes fail now and then, whole or in part.
type flaky struct {
	*file.File
	random *rand.Rand
	fails  int // times left
}

func (m *flaky) Write(data []byte) (int, error) {
	if m.fails == 0 || m.random.IntN(4) > 0 {
		return m.File.Write(data)
	}
	m.fails--
	n, err := m.File.Write(data[:m.random.IntN(len(data))])
	if err == nil {
		err = unix.ENOSPC
	}
	return n, err
}

// Several shards write to one flaky destination while the ledger is read. In every reading,
// received = delivered + in flight + lost, no number is below zero, and no counter goes back. In
// the end the file has each delivered record once, whole and in order.
func TestLedgerUnderLoad(t *testing.T) {
	const shards = 4
	const perShard = 8000
	for _, gaveUp := range []bool{false, true} {
		t.Run(fmt.Sprintf("gave_up=%v", gaveUp), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x")
			f, err := file.Open(path, metrics.NewShard(0, 0))
			if err != nil {
				t.Fatal(err)
			}
			fails := 2 // for 0.3 s
			if gaveUp {
				fails = -1 // for ever
			}
			r := newRig(t, &flaky{f, rand.New(rand.NewPCG(1, 2)), fails})
			shardCounters := make([]*metrics.Shard, shards)
			var writers sync.WaitGroup
			for i := range shardCounters {
				shardCounters[i] = metrics.NewShard(i, 0)
				s := r.open(t, shardCounters[i])
				writers.Go(func() {
					for n := range perShard {
						shardCounters[i].Received.Add(1)
						s.Commit(fmt.Appendf(s.Buffer(), "%d %d %s\n", i, n, strings.Repeat("x", n%200)))
						if n%1000 == i {
							s.Flush()
						}
					}
					s.Flush()
				})
			}
			done := make(chan struct{})
			var reader sync.WaitGroup
			readings := 0
			reader.Go(func() {
				last := make([]metrics.Reading, shards)
				for {
					for i := range shardCounters {
						checkReading(t, last[i], shardCounters[i].Read())
						last[i] = shardCounters[i].Read()
						readings++
					}
					select {
					case <-done:
						return
					default:
						time.Sleep(50 * time.Microsecond) // a scraper, not a spinner
					}
				}
			})
			ctx := context.Background()
			if gaveUp {
				until(t, "something is delivered", func() bool { return shardCounters[0].Delivered.Load() > 0 })
				r.set.Abort()
			}
			written := make(chan struct{})
			go func() {
				writers.Wait()
				close(written)
			}()
			select {
			case <-written:
			case <-time.After(time.Minute):
				t.Fatal("a shard waits for its output and is not let go")
			}
			err = r.set.Close(ctx)
			close(done)
			reader.Wait()
			if lost := err != nil; lost != gaveUp {
				t.Errorf("gave up %v, and Close says %v", gaveUp, err)
			}
			if readings < 2*shards {
				t.Errorf("only %d readings", readings)
			}
			checkFile(t, path, shardCounters, perShard, gaveUp)
		})
	}
}

func checkReading(t *testing.T, last, now metrics.Reading) {
	if now.Received != now.Delivered+now.InFlight+now.Dropped.Output {
		t.Errorf("received %d, but delivered %d, in flight %d, lost %d", now.Received, now.Delivered, now.InFlight, now.Dropped.Output)
	}
	if int64(now.InFlight) < 0 {
		t.Errorf("in flight %d: counted as written or lost before received", int64(now.InFlight))
	}
	if now.Received < last.Received || now.Delivered < last.Delivered || now.Dropped.Output < last.Dropped.Output {
		t.Errorf("the ledger went back from %+v to %+v", last, now)
	}
}

// checkFile compares the file with the ledger at the end.
func checkFile(t *testing.T, path string, shardCounters []*metrics.Shard, perShard int, gaveUp bool) {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	next := make([]int, len(shardCounters))
	for line := range strings.Lines(string(text)) {
		first, rest, _ := strings.Cut(line, " ")
		second, _, _ := strings.Cut(rest, " ")
		shard, _ := strconv.Atoi(first)
		n, _ := strconv.Atoi(second)
		if shard >= len(next) || line != fmt.Sprintf("%d %d %s\n", shard, n, strings.Repeat("x", n%200)) {
			t.Fatalf("partial record: %q", line)
		}
		if n != next[shard] {
			t.Fatalf("shard %d: record %d where %d should be", shard, n, next[shard])
		}
		next[shard]++
	}
	var lost uint64
	for i := range shardCounters {
		got := shardCounters[i].Read()
		if got.Received != uint64(perShard) || got.InFlight != 0 || got.Delivered != uint64(next[i]) {
			t.Errorf("shard %d: received %d, in flight %d, delivered %d, in the file %d", i, got.Received, got.InFlight, got.Delivered, next[i])
		}
		lost += got.Dropped.Output
	}
	if gaveUp == (lost == 0) {
		t.Errorf("lost %d", lost)
	}
}

// A record and its buffer cost no allocation, if the destination makes none.
func TestNoAllocations(t *testing.T) {
	const perRun = 2000 // some buffers' full
	line := []byte(strings.Repeat("x", 299) + "\n")
	for name, open := range map[string]func(*rig) packet.Sink{
		"a writer": func(r *rig) packet.Sink { return r.stream },
		"discard": func(r *rig) packet.Sink {
			s, err := r.set.Open("discard", 0, r.counters, 1<<10)
			if err != nil {
				t.Fatal(err)
			}
			return s
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, null{})
			s := open(r)
			allocations := testing.AllocsPerRun(20, func() {
				for range perRun {
					r.counters.Received.Add(1)
					s.Commit(append(s.Buffer(), line...))
				}
				s.Flush()
			})
			if allocations > 0 {
				t.Errorf("%v allocations for %d records, want none", allocations, perRun)
			}
			r.close(t)
			r.counts(t, 21*perRun, 0, 0)
		})
	}
}

// A real file costs at most two allocations for each buffer.
func TestNoAllocationsPerRecordToAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	counters := metrics.NewShard(0, 0)
	s := mustOpen(t, openSet(t), "file:"+path, 0, counters)
	line := []byte(strings.Repeat("x", 299) + "\n")
	const perRun = 2000
	allocations := testing.AllocsPerRun(20, func() {
		for range perRun {
			s.Commit(append(s.Buffer(), line...))
		}
		s.Flush()
	})
	if writes := float64(perRun*300/flushSize + 1); allocations > 2*writes {
		t.Errorf("%v allocations for %d records in %v writes", allocations, perRun, writes)
	}
	counters.Received.Store(21 * perRun)
}

// null accepts all records.
type null struct{}

func (null) Write(data []byte) (int, error) { return len(data), nil }
func (null) NeedsReopen() bool              { return false }
func (null) Begin(*metrics.Shard, int, int) {}
func (null) End(int)                        {}
func (null) Abandon()                       {}
func (null) Reopen() (int, error)           { return 0, nil }
func (null) Close() error                   { return nil }
