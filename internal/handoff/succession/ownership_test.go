package succession

import (
	"errors"
	"testing"

	"github.com/rs/zerolog"
	"github.com/udpshard/udpshard/internal/handoff/takeover"
	"github.com/udpshard/udpshard/metrics"
)

// Of two processes that go on after the same owner, one becomes the next.
func TestOneBecomesTheNextOwner(t *testing.T) {
	book, err := metrics.NewSharedCounters(metrics.Layout{Listener: "a", Shards: 1, Batch: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer book.Close()
	claim, err := becomeOwnerAfter(book, metrics.FirstEpoch)
	if err != nil {
		t.Fatal(err)
	}
	if book.Epoch() != metrics.FirstEpoch+1 {
		t.Errorf("the epoch is %d", book.Epoch())
	}
	claim.Release()
	if _, err := becomeOwnerAfter(book, metrics.FirstEpoch); !errors.Is(err, takeover.ErrLeaseHeld) {
		t.Errorf("a second one: %v", err)
	}
	if book.Epoch() != metrics.FirstEpoch+1 {
		t.Errorf("then the epoch is %d", book.Epoch())
	}
	free, err := takeover.AcquireLease(book.Control(), metrics.FirstEpoch+1)
	if err != nil {
		t.Fatalf("the second one has kept the claim: %v", err)
	}
	free.Release()
}

// Who can't have the takeover path serves all the same where nobody can have later counters.
func TestWhoServesWithoutThePath(t *testing.T) {
	s, taken := New(Settings{}, nil, metrics.NewLedger(""), zerolog.Nop()), errors.New("taken")
	if err := s.allowWithoutPath(taken, metrics.FirstEpoch); err != nil {
		t.Errorf("after the first owner: %v", err)
	}
	if err := s.allowWithoutPath(taken, metrics.FirstEpoch+1); !errors.As(err, new(RetryError)) || !errors.Is(err, taken) {
		t.Errorf("after a later one: %v", err)
	}
}

// Whoever has handed over leaves nothing to a standby that has not met the next one.
func TestNobodyFollowsAProcessThatHasHandedOver(t *testing.T) {
	book, err := metrics.NewSharedCounters(metrics.Layout{Listener: "a", Shards: 1, Batch: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer book.Close()
	book.MarkHandedOver()
	listen := func(string, string) (*takeover.Server, error) {
		t.Error("it listens at the takeover path")
		return nil, takeover.ErrPathLocked
	}
	s := New(Settings{Path: "nowhere"}, nil, metrics.NewLedger(""), zerolog.Nop())
	if _, err := s.becomeOwner(&Predecessor{Counters: book}, metrics.FirstEpoch, listen); !errors.Is(err, errHandedOverElsewhere) {
		t.Errorf("%v", err)
	}
	if book.Epoch() != metrics.FirstEpoch {
		t.Error("it has become the owner")
	}
}
