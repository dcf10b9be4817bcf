package main

import (
	"math/rand/v2"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/udpshard/udpshard/metrics"
)

// trials is how often TestRandomDeathsAreAccountedFor tries: more with UDPSHARD_TRIALS.
func trialCount(t *testing.T) int {
	if text := os.Getenv("UDPSHARD_TRIALS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("UDPSHARD_TRIALS: %v", err)
		}
		return n
	}
	return 12
}

// upTo waits for a random time. It is no condition: a trial is about any moment.
func sleepUpTo(most time.Duration) { time.Sleep(rand.N(most)) }

// An active process hands over to a successor while two standbys wait. At random moments the
// process before is killed or stopped, and then the successor is killed, and then the standby
// that goes on. Whoever is left has every datagram in its ledger.
func TestRandomDeathsAreAccountedFor(t *testing.T) {
	late := 0
	for trial := range trialCount(t) {
		if !t.Run(strconv.Itoa(trial), func(t *testing.T) {
			if testRandomDeaths(t) {
				late++
			}
		}) {
			return
		}
	}
	t.Logf("in %d trials a process has read before every standby had answered, and has said so", late)
}

// accountOfThree is one trial. It returns whether a process has said that it promises nothing.
func testRandomDeaths(t *testing.T) (late bool) {
	dir, address := publicDir(t), freePort(t)
	args := takeoverArgs(dir, address, "--protocol", "discard", "--shards", "2", "--steer", "hash", "--standby-after", "500ms")
	first := startServe(t, asNobody, args...)
	standbys := [2]*process{first.startStandby(args...), first.startStandby(args...)}
	stop := sendUntilStopped(t, address)
	eventually(t, "there is load", func() bool { // where the host is busy, a standby may have taken over by then
		status, err := statusAt(first.http)
		return err == nil && metrics.Sum(status.Listeners[0].Shards).Received > 1000
	})

	successor := first.launchSuccessor(args...)
	eventually(t, "a successor comes", func() bool { // where the host is busy, to a standby that has taken over by then
		const comes = "successor connected"
		return first.hasLogged(comes) || standbys[0].hasLogged(comes) || standbys[1].hasLogged(comes)
	})
	sleepUpTo(8 * time.Millisecond)
	signal := []syscall.Signal{syscall.SIGKILL, syscall.SIGSTOP}[rand.IntN(2)]
	first.signal(signal)
	sleepUpTo(8 * time.Millisecond)
	successor.kill()
	active, last := firstToTakeOver(t, standbys)
	sleepUpTo(10 * time.Millisecond)
	active.kill()
	last.waitForTakeover()
	last.waitUntilReading()
	first.kill()
	sent := stop()

	var total metrics.Reading
	closed := func() bool {
		total = last.total()
		return total.Received+total.Dropped.Kernel == sent && total.InFlight == 0
	}
	for _, p := range []*process{first, successor, active, last} {
		late = late || p.hasLogged(readBeforeStandbys)
	}
	if late {
		return true
	}
	for began := time.Now(); !closed(); time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			t.Fatalf("%d of %d sent are in no account: %s after the successor came; %+v", sent-total.Received-total.Dropped.Kernel, sent, signal, total)
		}
	}
	return false
}

// While processes with other numbers of shards take over from one another, by upgrades and
// after deaths, somebody reads all there is over HTTP. Then no reading is of another socket,
// and nothing goes back. It shows most where the program is built with the race detector:
// UDPSHARD_TEST_RACE=1.
func TestStatusDuringTakeovers(t *testing.T) {
	dir, address := publicDir(t), freePort(t)
	with := func(shards int) []string {
		return takeoverArgs(dir, address, "--protocol", "discard", "--steer", "hash", "--shards", strconv.Itoa(shards), "--receive-buffer", "16KiB", "--standby-after", "5s")
	}
	p := startServe(t, asNobody, with(4)...)
	stop := sendUntilStopped(t, address)
	at := p.http // of all
	var ended atomic.Bool
	read := make(chan struct{})
	go func() {
		defer close(read)
		var last metrics.Reading
		for !ended.Load() {
			if response, err := httpClient.Get("http://" + at + "/metrics"); err == nil {
				response.Body.Close()
			}
			status, err := statusAt(at)
			if err != nil || len(status.Listeners) == 0 || status.Role != "active" {
				continue // who answered has gone, or another process is about to serve
			}
			now := metrics.Sum(status.Listeners[0].Shards)
			if now.Dropped.Kernel > 1<<31 || now.Dropped.Kernel < last.Dropped.Kernel || now.Received < last.Received {
				t.Errorf("from %+v to %+v", last, now)
				return
			}
			last = now
		}
	}()
	for i, shards := range []int{1, 6, 2, 4, 3} {
		p.waitForLoad(1000)
		var next *process
		if i%2 == 0 {
			next = p.startStandby(with(shards)...)
			p.cmd.Process.Kill()
			next.waitForTakeover()
		} else {
			next = p.upgrade(with(shards)...)
		}
		p.wait()
		next.waitUntilReading()
		p = next
	}
	ended.Store(true)
	<-read
	sent := stop()
	eventually(t, "every datagram is accounted for", func() bool {
		total := p.total()
		return total.Received+total.Dropped.Kernel == sent
	})
}
