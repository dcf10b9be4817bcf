//go:build !race

package statuspage

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/history"
	"github.com/udpshard/udpshard/metrics"
	engine "github.com/udpshard/udpshard/shard"
)

// recorded returns a ledger of a listener with 64 shards, with sockets and threads, and its full
// history.
func recorded(t *testing.T) (*metrics.Ledger, *history.Recorder) {
	group, err := engine.Listen(engine.Config{Address: "127.0.0.1:0", Shards: 64})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(group.Close)
	ledger := metrics.NewLedger("x")
	ledger.Add(group.Listener())
	recorder := history.New(ledger)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), historySeconds*time.Second+time.Millisecond)
		defer cancel()
		var load sync.WaitGroup
		defer load.Wait()
		load.Go(func() {
			for i := uint64(0); ctx.Err() == nil; i++ {
				for j, s := range group.Listener().Shards {
					s.Received.Add(20_000 + 137*i%1000 + uint64(j))
				}
				time.Sleep(time.Second)
			}
		})
		recorder.Run(ctx)
	})
	return ledger, recorder
}

// A refresh of the page each second costs less than 0.5% of a core, with 64 shards and a full
// history. The time is CPU time of the process, so other programs do not matter.
func TestCost(t *testing.T) {
	const pages, limit = 200, 5 * time.Millisecond
	ledger, recorder := recorded(t)
	mux := http.NewServeMux()
	Register(mux, ledger, recorder)
	var before, after unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &before); err != nil {
		t.Fatal(err)
	}
	size := 0
	for range pages {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		size = w.Body.Len()
	}
	if err := unix.Getrusage(unix.RUSAGE_SELF, &after); err != nil {
		t.Fatal(err)
	}
	used := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
	page := time.Duration(used) / pages
	t.Logf("%s for a page of %d bytes", page, size)
	if page > limit || size < 20_000 {
		t.Errorf("a page of %d bytes takes %s, want at most %s", size, page, limit)
	}
}
