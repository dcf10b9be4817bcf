package main

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/udpshard/udpshard/internal/cli"
)

// listenersFile writes a configuration with a listener for each address, in order.
func listenersFile(t *testing.T, dir, name string, addresses []string) string {
	t.Helper()
	var text strings.Builder
	fmt.Fprintf(&text, "takeover: %s\nlisteners:\n", filepath.Join(dir, "takeover.sock"))
	for _, address := range addresses {
		fmt.Fprintf(&text, "  - {name: 'at-%s', address: '%s', shards: 2, batch: 8, max_datagram: 1KiB, output: discard}\n", address, address)
	}
	path := writeFile(t, filepath.Join(dir, name), text.String())
	ownedByNobody(t, path)
	return path
}

// 200 listeners are handed over in three upgrades, each with another order of listeners, and then
// to a standby: the gaps without a reader are short, and no datagram is lost.
func TestTakeoverOfManyListeners(t *testing.T) {
	const count, maxGap = 200, 1000 // listeners; milliseconds, for a busy machine
	dir := publicDir(t)
	var addresses []string
	for range count {
		addresses = append(addresses, freePort(t))
	}
	p := startServe(t, asNobody, "--config", listenersFile(t, dir, "0.yaml", addresses))
	stop := sendInTurn(t, addresses, 20*time.Millisecond)
	wait := func(what string, q *process) {
		if gap := q.takeoverGap(); gap > maxGap {
			t.Errorf("%s: got a gap of %.1f ms, want at most %d ms", what, gap, maxGap)
		} else {
			t.Logf("%s: gap of %.1f ms", what, gap)
		}
		q.waitForLoad(count)
	}
	for i := range 3 {
		rand.Shuffle(count, func(i, j int) { addresses[i], addresses[j] = addresses[j], addresses[i] })
		next := p.upgrade("--config", listenersFile(t, dir, fmt.Sprintf("%d.yaml", i+1), addresses))
		p.wantExit(cli.ExitDone)
		wait("upgrade", next)
		p = next
	}
	standby := p.startStandby("--config", listenersFile(t, dir, "standby.yaml", addresses), "--standby-after", "10s")
	p.signal(syscall.SIGTERM)
	wait("stop", standby)
	p.wantExit(cli.ExitDone)
	sent, total := stop(), standby.settledTotal()
	standby.wantNoDrops(total.Dropped.Kernel)
	if total.Received+total.Dropped.Kernel != sent {
		t.Errorf("got, of %d sent, %+v", sent, total)
	}
	standby.wantStop()
}
