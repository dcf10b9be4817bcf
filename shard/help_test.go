package shard

import (
	"os"
	"sync/atomic"
	"testing"

	"github.com/udpshard/udpshard/internal/engine"
	"github.com/udpshard/udpshard/metrics"
)

// open opens a group, with Options or without. The caller closes the group.
func open(t *testing.T, c Config, o ...engine.Options) handle {
	t.Helper()
	g, err := listen(c, append(o, engine.Options{})[0])
	if err != nil {
		t.Fatal(err)
	}
	return handle{g}
}

func inherited(sockets []*os.File, seed uint32) engine.Options {
	return engine.Options{Inherited: &engine.Inherited{Sockets: sockets, Seed: seed}}
}

// bookListener is the listener of the tests' shared counters.
const bookListener = "a"

func countersOf(book *metrics.SharedCounters) engine.Options {
	return engine.Options{Counters: func(shard, cpu int) (*metrics.Shard, error) {
		return book.Shard(bookListener, shard, cpu)
	}}
}

func adopt(t *testing.T, g handle) {
	t.Helper()
	if err := engine.Adopt([]handle{g}); err != nil {
		t.Fatal(err)
	}
}

// drainSurplus calls closing, unless absent, with each surplus socket.
func drainSurplus(t *testing.T, g handle, closing ...func(metrics.Socket) error) {
	t.Helper()
	ignore := func(metrics.Socket) error { return nil }
	if err := engine.DrainSurplus(append(closing, ignore)[0], []handle{g}); err != nil {
		t.Fatal(err)
	}
}

// Options.Changes has a counter for each of steer.Kinds.
func TestCountersOfChangesAreChecked(t *testing.T) {
	g, _, err := ListenManaged(Config{Address: "127.0.0.1:0", Shards: 1}, engine.Options{Changes: make([]atomic.Uint64, 1)})
	if err == nil {
		g.Close()
		t.Error("one counter is enough")
	}
}
