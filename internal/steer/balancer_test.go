package steer

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

var usual = Limits{StallAfter: 500 * time.Millisecond, SprayAbove: 50_000}

// While every shard keeps up and no sender is too much, nothing changes,
// however long and however uneven.
func TestNothingChangesWithoutAReason(t *testing.T) {
	w := newWorld(t, 4, usual)
	w.send(1000, 200_000)
	w.send(1, 45_000)
	w.pass(10 * time.Minute)
	w.want()
	if w.dropped() > 0 || len(w.control.Plan().Moved) > 0 {
		t.Errorf("%.0f dropped, %d moved", w.dropped(), len(w.control.Plan().Moved))
	}
}

// A short burst that fills one queue is no reason.
func TestABurstIsNoReason(t *testing.T) {
	w := newWorld(t, 4, usual)
	w.send(1000, 200_000)
	for range 20 {
		w.pass(2 * time.Second)
		w.shards[1].queue += 8_000
		w.shards[1].dropped += 500
		w.tick()
	}
	w.want()
}

func TestOneHeavySender(t *testing.T) {
	w := newWorld(t, 4, usual)
	heavy, others := w.send(1, 90_000), w.send(15, 10_000)
	w.tick()
	if most := slices.Max(w.parts()); most < 0.85 {
		t.Errorf("before it has a reason, the fullest shard has %.0f%%", 100*most)
	}
	w.pass(3 * time.Second)
	w.want(Spraying)
	if most := slices.Max(w.parts()); most > 0.40 {
		t.Errorf("after 3 s the fullest shard has %.0f%%", 100*most)
	}
	if words := w.control.Skew(); !strings.Contains(words, heavy[0].source.String()+"; spraying it") {
		t.Errorf("in words: %q", words)
	}
	w.pass(time.Minute)
	w.want(Spraying)
	w.kept(others)

	heavy[0].rate = 20_000 // between its bound and half of it nothing would change either
	w.pass(time.Minute)
	w.want(Spraying, Unspraying)
	heavy[0].rate = 90_000
	w.pass(time.Minute)
	heavy[0].rate = 30_000
	w.pass(time.Minute)
	w.want(Spraying, Unspraying, Spraying)
	w.kept(others)
	if words := w.control.Skew(); strings.Contains(words, "stuck") {
		t.Errorf("in words: %q", words)
	}
}

// Two that are heavy, but no more than a shard's part, stay whole.
func TestHeavySendersThatAreFair(t *testing.T) {
	w := newWorld(t, 2, usual)
	w.send(2, 200_000)
	w.pass(time.Minute)
	w.want()
}

// With the bound off, a sender is sprayed only if its shard can't bear it.
func TestASenderThatOneShardCannotBear(t *testing.T) {
	for rate, kinds := range map[float64][]Kind{300_000: nil, 600_000: {Spraying}} {
		w := newWorld(t, 4, Limits{StallAfter: usual.StallAfter})
		w.send(1, rate)
		others := w.send(100, 20_000)
		w.pass(50 * time.Second)
		w.want(kinds...)
		w.kept(others)
		before := w.dropped()
		w.pass(time.Hour) // in which one shard is tried a few times
		if lost := w.dropped() - before; lost > rate*3600/1000 || len(w.log) > 15 {
			t.Errorf("at %.0f/s it drops on: %.0f, in %d changes", rate, lost, len(w.log))
		}
		w.kept(others)
	}
}

// A shard that is held up for a moment with one sender on it is no reason to
// spray that one, whatever it was that held it.
func TestAHiccupSpraysNobody(t *testing.T) {
	w := newWorld(t, 4, usual)
	w.send(4, 4_000)
	for _, cause := range []func(*modelShard){
		func(s *modelShard) { s.dropped += 50 },
		func(s *modelShard) { s.queue = s.buffer; s.holds = 0.9 },
		func(s *modelShard) { s.queue = s.buffer; s.waits = 0.9 },
	} {
		for range 10 {
			w.pass(20 * time.Second)
			for range 4 {
				for _, s := range w.shards {
					cause(s)
				}
				w.tick()
			}
			for _, s := range w.shards {
				s.holds, s.waits = 0, 0
			}
		}
	}
	for _, c := range w.log {
		if c.Kind == Spraying {
			t.Errorf("%s: %s", c, c.Reason)
		}
	}
}

// Another bound holds for those that are sprayed already.
func TestAnotherBoundHoldsForThoseThatAreSprayed(t *testing.T) {
	w := newWorld(t, 4, usual)
	w.send(1, 90_000)
	w.pass(5 * time.Second)
	w.want(Spraying)
	w.control.SetLimits(Limits{StallAfter: usual.StallAfter})
	w.pass(10 * time.Second)
	w.want(Spraying, Unspraying)
}

// What is avoided stays so in another mode, and steering around nothing any
// more takes it back.
func TestAnotherModeKeepsAwayFromAStuckShard(t *testing.T) {
	w := newWorld(t, 3, usual)
	w.send(100, 10_000)
	w.shards[1].stuck = true
	w.pass(2 * time.Second)
	w.control.SetMode(Source)
	if plan := w.control.Plan(); !slices.Equal(plan.Avoid, []int{1}) || plan.Mode != Source {
		t.Errorf("%+v", plan)
	}
	w.pass(time.Second)
	w.want(Avoiding)
	w.control.SetMode(Hash)
	if plan := w.control.Plan(); len(plan.Avoid) > 0 || !slices.Equal(w.control.Stalled(), []int{1}) {
		t.Errorf("%+v, stalled %v", plan, w.control.Stalled())
	}
	w.control.SetMode(Auto)
	w.pass(time.Second)
	if !slices.Equal(w.control.plan.Avoid, []int{1}) {
		t.Errorf("avoided: %v", w.control.plan.Avoid)
	}
	w.control.SetLimits(Limits{})
	w.tick()
	if len(w.control.plan.Avoid)+len(w.control.Stalled()) > 0 {
		t.Errorf("avoided: %v, stalled %v", w.control.plan.Avoid, w.control.Stalled())
	}
}

// Many senders of a small part each are found, also those that are new.
func TestTopSendersOfMany(t *testing.T) {
	w := newWorld(t, 2, usual)
	w.send(40, 40_000)
	w.pass(10 * time.Second)
	w.senders = nil
	w.pass(10 * time.Second)
	w.send(40, 40_000)
	w.pass(5 * time.Second)
	if n := len(w.control.Top(100)); n < 30 {
		t.Errorf("%d of 40 senders are known", n)
	}
}

// A neighbour on a shard's core takes most of it: buckets move away, only as
// long as he is there, and only that shard's.
func TestANoisyNeighbour(t *testing.T) {
	w := newWorld(t, 2, usual)
	senders := w.send(500, 400_000)
	w.pass(10 * time.Second)
	var others []*modelSender
	for _, s := range senders {
		if w.places[s.source] == 0 {
			others = append(others, s)
		}
	}
	w.shards[1].waits = 0.8
	w.pass(2 * time.Second)
	w.want(Moving)
	first := w.dropped()
	if len(w.control.Plan().Moved) == 0 || !strings.Contains(w.log[0].Reason, "its CPU was another thread's") {
		t.Errorf("%d buckets moved: %s", len(w.control.Plan().Moved), w.log[0].Reason)
	}
	w.shards[1].waits = 0.5 // what is left to do takes less of his time
	w.pass(10 * time.Minute)
	w.want(Moving)
	if w.dropped() > first {
		t.Errorf("%.0f dropped at first, and %.0f later", first, w.dropped()-first)
	}
	w.shards[1].waits = 0
	w.pass(time.Minute)
	w.want(Moving, Returning)
	if len(w.control.Plan().Moved) != 0 {
		t.Errorf("%d buckets are still away", len(w.control.Plan().Moved))
	}
	w.kept(others)
	if w.dropped() > first {
		t.Errorf("going home dropped %.0f", w.dropped()-first)
	}
}

// A shard that bears less than its part, for a reason that nobody sees, is
// tried again after a while, and after longer and longer ones.
func TestASlowShardIsTriedMoreAndMoreSeldom(t *testing.T) {
	w := newWorld(t, 2, usual)
	w.send(500, 200_000)
	w.shards[1].bears = 30_000
	w.pass(30 * time.Minute)
	moves := 0
	for i, c := range w.log {
		if c.Kind == Moving && (i == 0 || w.log[i-1].Kind == Returning) {
			moves++
		}
	}
	if moves < 3 || moves > 15 {
		t.Errorf("in half an hour it was tried %d times", moves-1)
	}
	if total := 200_000 * 1800.0; w.dropped() > total/1000 {
		t.Errorf("%.2f%% dropped", 100*w.dropped()/total)
	}
}

// When all are too slow, moving is no help.
func TestOverloadMovesNothing(t *testing.T) {
	w := newWorld(t, 4, usual)
	senders := w.send(1000, 2_000_000)
	w.pass(time.Minute)
	w.want()
	w.kept(senders)
	if words := w.control.Skew(); !strings.Contains(words, "every shard's queue fills") {
		t.Errorf("in words: %q", words)
	}
}

func TestAStuckShard(t *testing.T) {
	w := newWorld(t, 4, usual)
	senders := w.send(400, 20_000)
	w.pass(5 * time.Second)
	var others []*modelSender
	for _, s := range senders {
		if w.places[s.source] != 2 {
			others = append(others, s)
		}
	}
	w.shards[2].stuck = true
	w.pass(400 * time.Millisecond)
	w.want()
	w.pass(400 * time.Millisecond)
	w.want(Avoiding)
	if !slices.Equal(w.control.Stalled(), []int{2}) || w.parts()[2] > 0.2 {
		t.Errorf("stalled: %v, parts %v", w.control.Stalled(), w.parts())
	}
	if words := w.control.Skew(); !strings.HasPrefix(words, "shard 2 is stuck; steering around it") {
		t.Errorf("in words: %q", words)
	}
	w.pass(5 * time.Second)
	if w.parts()[2] != 0 {
		t.Errorf("parts %v", w.parts())
	}
	w.shards[2].stuck = false
	w.pass(time.Second)
	w.want(Avoiding, Restoring)
	if len(w.control.Stalled()) > 0 || w.dropped() > 0 {
		t.Errorf("stalled: %v, %.0f dropped", w.control.Stalled(), w.dropped())
	}
	w.kept(others)
}

// One that is stuck again and again stays away for longer and longer.
func TestAShardThatIsStuckAgainAndAgain(t *testing.T) {
	w := newWorld(t, 2, usual)
	w.send(100, 10_000)
	for range 300 {
		w.shards[0].stuck = true
		w.pass(time.Second)
		w.shards[0].stuck = false
		w.pass(time.Second)
	}
	if n := len(w.log); n < 4 || n > 60 {
		t.Errorf("%d changes in ten minutes", n)
	}
}

// Where all wait, or all share the output that keeps one, there is nowhere to
// go.
func TestNoWayAroundAll(t *testing.T) {
	w := newWorld(t, 2, usual)
	w.send(100, 10_000)
	w.pass(time.Second)
	w.shards[0].stuck, w.shards[1].stuck = true, true
	w.pass(5 * time.Second)
	w.want(Stalling)
	if !slices.Equal(w.control.Stalled(), []int{0, 1}) || len(w.control.plan.Avoid) > 0 {
		t.Errorf("stalled: %v", w.control.Stalled())
	}

	limits := usual
	limits.OneOutput = true
	w = newWorld(t, 2, limits)
	w.send(100, 10_000)
	w.pass(time.Second)
	w.shards[0].stuck, w.shards[0].holds = true, 1
	w.pass(5 * time.Second)
	w.want(Stalling)
	if words := w.control.Skew(); !strings.Contains(words, "shard 0 is stuck; its output takes nothing") {
		t.Errorf("in words: %q", words)
	}

	limits.OneOutput = false // it has one of its own
	w = newWorld(t, 2, limits)
	w.send(100, 10_000)
	w.pass(time.Second)
	w.shards[0].stuck, w.shards[0].holds = true, 1
	w.pass(5 * time.Second)
	w.want(Avoiding)
}

// The kernel's hash is told what is wrong, and nothing is done.
func TestHashOnlyTells(t *testing.T) {
	w := newWorld(t, 2, usual)
	w.control = NewController(Plan{Mode: Hash, Shards: 2, Seed: 1}, usual)
	heavy := w.send(1, 90_000)
	w.pass(5 * time.Second) // the model gives a sender of this mode to all
	for _, c := range w.log {
		t.Errorf("%s", c)
	}
	if len(w.control.Top(5)) != 1 || w.control.Top(5)[0].Source != heavy[0].source {
		t.Errorf("top senders: %v", w.control.Top(5))
	}
}

func TestLimitsCanChange(t *testing.T) {
	w := newWorld(t, 4, Limits{})
	w.send(1, 90_000)
	w.shards[0].stuck = true
	w.pass(10 * time.Second)
	w.want()
	w.shards[0].stuck = false
	w.pass(10 * time.Second)
	w.control.SetLimits(usual)
	w.pass(2 * time.Second)
	w.want(Spraying)
}

// Small buffers drop a little here and there: nobody is better off elsewhere,
// and in five minutes next to nobody goes there.
func TestALittleLossEverywhereMovesNextToNothing(t *testing.T) {
	w := newWorld(t, 2, usual)
	w.send(500, 200_000)
	random := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		for _, s := range w.shards {
			if random.IntN(4) == 0 {
				s.dropped += float64(random.IntN(200))
			}
			s.waits = 0.3 * random.Float64()
		}
		w.tick()
	}
	if len(w.log) > 2 || len(w.strayed) > 50 {
		t.Errorf("%d changes, %d senders moved", len(w.log), len(w.strayed))
	}
}

// Where the others lose by what they got, they are rid of it again, and the
// next try is not soon.
func TestAMoveThatIsNoCureIsUndone(t *testing.T) {
	w := newWorld(t, 2, usual)
	w.send(500, 600_000)
	w.shards[0].bears, w.shards[0].buffer = 310_000, 2_000
	w.shards[1].bears = 280_000
	w.pass(5 * time.Minute)
	if kinds := w.kinds(); len(kinds) < 2 || kinds[0] != Moving || kinds[1] != Returning {
		t.Errorf("changes %v", kinds)
	}
	if len(w.log) > 20 {
		t.Errorf("%d changes in 5 minutes", len(w.log))
	}
}

// A shard that reads again gets nothing before its queue has gone down.
func TestAShardIsTakenBackWithAShortQueue(t *testing.T) {
	w := newWorld(t, 2, usual)
	w.send(100, 40_000)
	w.shards[0].bears = 30_000
	w.shards[0].stuck = true
	w.pass(2 * time.Second)
	w.shards[0].queue = w.shards[0].buffer
	w.shards[0].stuck = false
	w.pass(200 * time.Millisecond)
	if queue := w.shards[0].queue; queue < w.shards[0].buffer/4 || !slices.Equal(w.control.plan.Avoid, []int{0}) {
		t.Errorf("with %.0f of %.0f in its queue, avoided are %v", queue, w.shards[0].buffer, w.control.plan.Avoid)
	}
	w.pass(2 * time.Second)
	if len(w.control.plan.Avoid) > 0 {
		t.Errorf("avoided are %v", w.control.plan.Avoid)
	}
}

// Stalls that are far from each other are each the first.
func TestASeldomStallIsSoonForgotten(t *testing.T) {
	w := newWorld(t, 2, usual)
	w.send(100, 10_000)
	for range 5 {
		w.shards[0].stuck = true
		w.pass(2 * time.Second)
		w.shards[0].stuck = false
		w.pass(600 * time.Millisecond)
		if len(w.control.plan.Avoid) > 0 {
			t.Fatal("it is not taken back at once")
		}
		w.pass(40 * time.Second)
	}
}

// A heavy sender on a core that somebody else takes is moved, and keeps its
// order.
func TestAHeavySenderBesideANeighbourIsMoved(t *testing.T) {
	w := newWorld(t, 2, Limits{StallAfter: usual.StallAfter})
	heavy := w.send(1, 100_000)
	w.pass(5 * time.Second)
	w.shards[w.places[heavy[0].source]].waits = 0.9
	w.pass(5 * time.Second)
	w.want(Moving)
}

// There is room for so many that are sprayed, and for no more.
func TestNoMoreAreSprayedThanAProgramHolds(t *testing.T) {
	w := newWorld(t, 128, usual)
	w.send(2*maxSprayed, 2*maxSprayed*60_000)
	w.pass(10 * time.Second)
	w.want(Spraying)
	if n := len(w.control.Plan().Sprayed); n != maxSprayed {
		t.Errorf("%d are sprayed", n)
	}
}

// A little loss that does not end is a reason too.
func TestALittleLossThatDoesNotEnd(t *testing.T) {
	w := newWorld(t, 2, usual)
	w.send(200, 100_000)
	for range 20 {
		w.shards[0].dropped += 5
		w.tick()
	}
	w.want(Moving)
	if moved := len(w.control.Plan().Moved); moved == 0 || moved > 40 {
		t.Errorf("%d of 128 buckets moved", moved)
	}
}
