package handoff

import (
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/udpshard/udpshard/metrics"
)

// A StallDetector finds a shard without heartbeats after the timeout, counted from its own checks.
func TestStallDetector(t *testing.T) {
	const timeout = 250 * time.Millisecond
	shared, err := metrics.NewSharedCounters(metrics.Layout{Listener: "a", Shards: 1, Batch: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer shared.Close()
	counters := shared.Listeners()[0].Shards[0]
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	socket, err := conn.File()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	detector := NewStallDetector([]*metrics.Shard{counters}, []*os.File{socket}, timeout)
	now, interval := time.Now(), CheckInterval(timeout)
	// check calls Check until limit has passed, and returns when a stall was found.
	check := func(limit time.Duration) (stalled time.Duration) {
		for passed := time.Duration(0); passed < limit; passed += interval {
			now = now.Add(interval)
			if text := detector.Check(now); text != "" {
				if !strings.Contains(text, "shard 0 has not read for") {
					t.Error(text)
				}
				return passed
			}
		}
		return 0
	}
	expect := func(state string, stalled bool) {
		t.Helper()
		if got := check(2*timeout) > 0; got != stalled {
			t.Errorf("%s: stalled is %t", state, got)
		}
	}
	expect("not started", false)
	counters.Heartbeat(time.Now())
	expect("empty queue", false)
	conn.WriteTo([]byte("x"), conn.LocalAddr())
	counters.Heartbeat(time.Now())
	if at := check(2 * timeout); at < timeout-2*interval || at > timeout+2*interval {
		t.Errorf("stalled after %s, not %s", at, timeout)
	}
	detector.SetTimeout(3 * timeout) // from the last heartbeat on
	counters.Heartbeat(time.Now())
	if at := check(6 * timeout); at < 3*timeout-2*interval || at > 3*timeout+2*interval {
		t.Errorf("with a longer timeout stalled after %s, not %s", at, 3*timeout)
	}
	detector.SetTimeout(timeout)
	counters.Heartbeat(time.Now())
	detector.Check(now) // sees this heartbeat, and the next Check finds no later heartbeat
	now = now.Add(time.Hour)
	if text := detector.Check(now); text != "" {
		t.Errorf("after an hour without Check: %s", text)
	}
	if at := check(2 * timeout); at < timeout-4*interval || at > timeout {
		t.Errorf("stalled %s after an hour without Check, not %s", at, timeout)
	}
	counters.Heartbeat(time.Now())
	counters.BeginOutputWait()
	for range 20 {
		counters.KeepAlive()
		if at := check(timeout / 2); at > 0 {
			t.Errorf("in an output wait stalled after %s", at)
		}
	}
	expect("output wait without KeepAlive", true)
	counters.EndOutputWait()
	counters.EndThread()
	expect("thread ended", false)
}
