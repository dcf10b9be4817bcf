package metrics

import (
	"reflect"
	"testing"
)

// writers are the groups of fields of Counters with one writer each.
var writers = [][]string{
	{"Received", "Bytes", "Batches", "Handled", "Replied", "Truncated", "Unparsed", "NotAllowed", "RateLimited", "Malformed", "ReplyLost",
		"receivedBefore", "thread", "heartbeat", "outputWaited", "outputWaitSince", "MalformedHeader"},
	{"Delivered", "OutputLost"},
	{"kernel", "cookie", "used", "drops"},
	{"inherited"},
}

// No two writers share a cache line: they would slow each other down (false sharing).
func TestWritersShareNoCacheLine(t *testing.T) {
	owner := make(map[string]int)
	for writer, fields := range writers {
		for _, field := range fields {
			owner[field] = writer
		}
	}
	counters := reflect.TypeFor[Counters]()
	lines := make(map[uintptr]int) // writer of each line
	for i := range counters.NumField() {
		field := counters.Field(i)
		if field.Name == "_" {
			continue
		}
		writer, known := owner[field.Name]
		if !known {
			t.Errorf("Counters.%s: the test does not know who writes it", field.Name)
			continue
		}
		delete(owner, field.Name)
		for at := field.Offset; at < field.Offset+field.Type.Size(); at++ {
			if other, taken := lines[at/cacheLine]; taken && other != writer {
				t.Fatalf("Counters.%s is on the line of %v", field.Name, writers[other])
			}
			lines[at/cacheLine] = writer
		}
	}
	for field := range owner {
		t.Errorf("Counters.%s: there is none", field)
	}
	if size := counters.Size(); size%cacheLine != 0 {
		t.Errorf("Counters has %d bytes: what comes behind is on the last counters' line", size)
	}
}

// raiseKernel never lowers kernel.
func TestRaiseKernel(t *testing.T) {
	var c Counters
	for _, step := range []struct{ seen, want uint64 }{{10, 10}, {5, 10}, {1<<32 + 7, 1<<32 + 7}, {10, 1<<32 + 7}} {
		if c.raiseKernel(step.seen); c.kernel.Load() != step.want {
			t.Errorf("%d, want %d", c.kernel.Load(), step.want)
		}
	}
}

// Damaged memory may have more delivered than received datagrams.
func TestInFlightIsNeverNegative(t *testing.T) {
	for _, test := range []struct {
		t    totals
		want uint64
	}{
		{totals{received: 7, delivered: 2, malformed: 1}, 4},
		{totals{received: 7, delivered: 7}, 0},
		{totals{received: 7, delivered: 6, outputLost: 2}, 0},
	} {
		if got := test.t.inFlight(); got != test.want {
			t.Errorf("%v: %d in flight, want %d", test.t, got, test.want)
		}
	}
}

// An append to the result of Listeners does not change the ledger.
func TestListenersAreTheCallers(t *testing.T) {
	l := NewLedger("x")
	for _, name := range []string{"a", "b", "c"} {
		l.Add(&Listener{Name: name})
	}
	mine := append(l.Listeners(), &Listener{Name: "mine"})
	l.Add(&Listener{Name: "d"})
	if mine[3].Name != "mine" || l.Listeners()[3].Name != "d" {
		t.Errorf("%q and %q", mine[3].Name, l.Listeners()[3].Name)
	}
}

// Counters begin a cache line in memory, and the fields of Shard that readers write are on another
// line than the pointer by which the thread finds the counters.
func TestShardsBeginALine(t *testing.T) {
	shards := reflect.TypeFor[Shard]()
	if size := shards.Size(); size != 2*cacheLine {
		t.Errorf("Shard has %d bytes: two of them share a line", size)
	}
	if lock, _ := shards.FieldByName("mu"); lock.Offset != cacheLine {
		t.Errorf("what readers write begins at %d", lock.Offset)
	}
	for i := range 100 {
		shard := NewShard(i, 0)
		if at := reflect.ValueOf(shard.Counters).Pointer(); at%cacheLine != 0 {
			t.Fatalf("the counters of shard %d are at %#x, %d bytes into a line", i, at, at%cacheLine)
		}
		if at := reflect.ValueOf(shard).Pointer(); at%cacheLine != 0 {
			t.Fatalf("shard %d is at %#x, %d bytes into a line", i, at, at%cacheLine)
		}
	}
}
