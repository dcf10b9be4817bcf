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

// trialCount returns the number of trials of TestRandomDeathsAreAccountedFor: UDPSHARD_TRIALS, or
// 12.
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

// sleepUpTo sleeps for a random time: a trial ends processes at random moments.
func sleepUpTo(most time.Duration) { time.Sleep(rand.N(most)) }

// An active process hands over to a successor, with two standbys. At random moments, the
// predecessor is killed or stopped, then the successor is killed, then the standby that has taken
// over. The last process has every datagram in its ledger.
func TestRandomDeathsAreAccountedFor(t *testing.T) {
	unanswered := 0
	for trial := range trialCount(t) {
		if !t.Run(strconv.Itoa(trial), func(t *testing.T) {
			if testRandomDeaths(t) {
				unanswered++
			}
		}) {
			return
		}
	}
	t.Logf("in %d trials a process has logged that it reads before every standby has answered", unanswered)
}

// testRandomDeaths runs a trial. unanswered: a process has logged that it reads before every
// standby has answered; then the ledger need not be complete.
func testRandomDeaths(t *testing.T) (unanswered bool) {
	dir, address := publicDir(t), freePort(t)
	args := takeoverArgs(dir, address, "--protocol", "discard", "--shards", "2", "--steer", "hash", "--standby-after", "500ms")
	first := startServe(t, asNobody, args...)
	standbys := [2]*process{first.startStandby(args...), first.startStandby(args...)}
	stop := sendUntilStopped(t, address)
	eventually(t, "1000 datagrams are received", func() bool { // on a busy host, a standby may have taken over already
		status, err := statusAt(first.http)
		return err == nil && metrics.Sum(status.Listeners[0].Shards).Received > 1000
	})

	successor := first.launchSuccessor(args...)
	eventually(t, "the successor is connected", func() bool { // on a busy host, to a standby that has taken over
		const connected = "successor connected"
		return first.hasLogged(connected) || standbys[0].hasLogged(connected) || standbys[1].hasLogged(connected)
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
	complete := func() bool {
		total = last.total()
		return total.Received+total.Dropped.Kernel == sent && total.InFlight == 0
	}
	for _, p := range []*process{first, successor, active, last} {
		unanswered = unanswered || p.hasLogged(readBeforeStandbys)
	}
	if unanswered {
		return true
	}
	for began := time.Now(); !complete(); time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			t.Fatalf("got %d of %d datagrams without a count: %s after the successor connected; %+v", sent-total.Received-total.Dropped.Kernel, sent, signal, total)
		}
	}
	return false
}

// Processes with different numbers of shards take over from each other, by upgrades and after
// deaths, while a client reads status and metrics: no reading mixes sockets, and no counter
// decreases. The test finds most with the race detector: UDPSHARD_TEST_RACE=1.
func TestStatusDuringTakeovers(t *testing.T) {
	dir, address := publicDir(t), freePort(t)
	with := func(shards int) []string {
		return takeoverArgs(dir, address, "--protocol", "discard", "--steer", "hash", "--shards", strconv.Itoa(shards), "--receive-buffer", "16KiB", "--standby-after", "5s")
	}
	p := startServe(t, asNobody, with(4)...)
	stop := sendUntilStopped(t, address)
	at := p.http // of all processes
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
				continue // between two active processes
			}
			now := metrics.Sum(status.Listeners[0].Shards)
			if now.Dropped.Kernel > 1<<31 || now.Dropped.Kernel < last.Dropped.Kernel || now.Received < last.Received {
				t.Errorf("got %+[2]v after %+[1]v", last, now)
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
