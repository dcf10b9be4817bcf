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

// manyListeners returns a file of so many listeners in the order in which addresses are.
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

// Many listeners are upgraded, each time to a file with another order of them, and then taken
// over by a standby: nobody waits long, and nothing is lost.
func TestTakeoverOfManyListeners(t *testing.T) {
	const count, most = 200, 1000 // listeners, and the milliseconds that a busy machine may take
	dir := publicDir(t)
	var addresses []string
	for range count {
		addresses = append(addresses, freePort(t))
	}
	p := startServe(t, asNobody, "--config", listenersFile(t, dir, "0.yaml", addresses))
	stop := sendInTurn(t, addresses, 20*time.Millisecond)
	wait := func(what string, q *process) {
		if gap := q.takeoverGap(); gap > most {
			t.Errorf("%s: nobody read for %.1f ms", what, gap)
		} else {
			t.Logf("%s: nobody read for %.1f ms", what, gap)
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
	if total.Received+total.Dropped.Kernel != sent || total.Dropped.Kernel > 0 && !standby.hasLogged("smaller than asked") {
		t.Errorf("%d were sent: %+v", sent, total)
	}
	standby.wantStop()
}
