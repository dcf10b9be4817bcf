package succession

import (
	"errors"
	"testing"

	"github.com/rs/zerolog"
	"github.com/udpshard/udpshard/internal/handoff/takeover"
	"github.com/udpshard/udpshard/metrics"
)

// Of two processes that follow the same owner, only the first becomes the next owner.
func TestOneBecomesTheNextOwner(t *testing.T) {
	counters := newCounters(t)
	lease, err := becomeOwnerAfter(counters, metrics.FirstEpoch)
	if err != nil {
		t.Fatal(err)
	}
	if counters.Epoch() != metrics.FirstEpoch+1 {
		t.Errorf("the epoch is %d", counters.Epoch())
	}
	lease.Release()
	_, err = becomeOwnerAfter(counters, metrics.FirstEpoch)
	if !errors.Is(err, takeover.ErrLeaseHeld) {
		t.Errorf("second call: %v", err)
	}
	if counters.Epoch() != metrics.FirstEpoch+1 {
		t.Errorf("after the second call the epoch is %d", counters.Epoch())
	}
	free, err := takeover.AcquireLease(counters.Control(), metrics.FirstEpoch+1)
	if err != nil {
		t.Fatalf("the second call has kept the lease: %v", err)
	}
	free.Release()
}

// A process may take over without the takeover path only if no later counters can exist.
func TestAllowWithoutPath(t *testing.T) {
	s, taken := New(Settings{}, nil, metrics.NewLedger(""), zerolog.Nop()), errors.New("taken")
	if err := s.allowWithoutPath(taken, metrics.FirstEpoch); err != nil {
		t.Errorf("after the first owner: %v", err)
	}
	err := s.allowWithoutPath(taken, metrics.FirstEpoch+1)
	if !errors.As(err, new(RetryError)) || !errors.Is(err, taken) {
		t.Errorf("after a later owner: %v", err)
	}
}

// A standby does not become the owner of counters with the handed-over mark: the next owner of the
// sockets has counters of its own, which the standby does not have.
func TestNoOwnerAfterAHandover(t *testing.T) {
	counters := newCounters(t)
	counters.MarkHandedOver()
	listen := func(string, string) (*takeover.Server, error) {
		t.Error("becomeOwner listens at the takeover path")
		return nil, takeover.ErrPathLocked
	}
	s := New(Settings{Path: "nowhere"}, nil, metrics.NewLedger(""), zerolog.Nop())
	err := s.becomeOwner(&Predecessor{Counters: counters}, metrics.FirstEpoch, listen)
	if !errors.Is(err, errHandedOverElsewhere) {
		t.Errorf("%v", err)
	}
	if counters.Epoch() != metrics.FirstEpoch {
		t.Error("the epoch has changed")
	}
}

// newCounters returns shared counters of one shard, which the test closes.
func newCounters(t *testing.T) *metrics.SharedCounters {
	t.Helper()
	c, err := metrics.NewSharedCounters(metrics.Layout{Listener: "a", Shards: 1, Batch: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}
