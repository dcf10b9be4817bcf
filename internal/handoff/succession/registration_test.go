package succession

import (
	"testing"

	"github.com/udpshard/udpshard/internal/handoff"
	"github.com/udpshard/udpshard/internal/handoff/takeover"
	"github.com/udpshard/udpshard/metrics"
)

// openRegistered opens the counters of a process as a registered standby does.
func openRegistered(t *testing.T, of *metrics.SharedCounters) *metrics.SharedCounters {
	t.Helper()
	counters, control := of.Files()
	memory, err := handoff.Memory{Counters: counters, Control: control}.Duplicate()
	if err != nil {
		t.Fatal(err)
	}
	registered, err := takeover.Register(memory.Control, 0)
	memory.Control.Close()
	if err != nil {
		t.Fatal(err)
	}
	opened, err := metrics.OpenSharedCounters(memory.Counters, registered)
	if err != nil {
		t.Fatal(err)
	}
	return opened
}

// A standby that connects to the new active process stays registered with the previous active
// process. A standby that had the counters of the new process already is registered once: with two
// registrations the standby would count itself among the standbys that have to connect.
func TestRegistrationsOfAStandby(t *testing.T) {
	registered := func(c *metrics.SharedCounters, epoch uint64) int {
		n, err := takeover.CountRegistrations(c.Control(), epoch)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	previous, now := newCounters(t), newCounters(t)
	last := &Predecessor{Counters: openRegistered(t, previous), disconnected: true}
	answered := &Predecessor{Counters: openRegistered(t, now)}
	answered.replace(last)
	for epoch, want := range map[uint64]int{metrics.FirstEpoch: 0, metrics.FirstEpoch + 1: 1} {
		if n := registered(previous, epoch); n != want {
			t.Errorf("%d registrations with the previous process for epoch %d", n, epoch)
		}
	}
	if n := registered(now, 9); n != 1 {
		t.Errorf("%d registrations with the new process", n)
	}
	again := &Predecessor{Counters: openRegistered(t, now)}
	answered.disconnected = true
	again.replace(answered)
	if a, b := registered(previous, 9), registered(now, 9); a != 1 || b != 1 {
		t.Errorf("%d registrations with the previous process, %d with the new process", a, b)
	}
	again.Close()
	if a, b := registered(previous, 9), registered(now, 9); a+b != 0 {
		t.Errorf("after Close %d registrations with the previous process, %d with the new process", a, b)
	}
}
