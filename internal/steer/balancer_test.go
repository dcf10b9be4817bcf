package steer

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

var usual = Limits{StallAfter: 500 * time.Millisecond, SprayAbove: 50_000}

// While each shard keeps up and no sender is too much for one shard, the plan stays, also with
// uneven shards.
func TestNothingChangesWithoutAReason(t *testing.T) {
	w := newWorld(t, 4, usual)
	w.send(1000, 200_000)
	w.send(1, 45_000)
	w.pass(10 * time.Minute)
	w.want()
	if w.dropped() > 0 || len(w.balancer.Plan().Moved) > 0 {
		t.Errorf("%.0f dropped, %d moved", w.dropped(), len(w.balancer.Plan().Moved))
	}
}

// A short burst that fills one queue does not change the plan.
func TestABurstChangesNothing(t *testing.T) {
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
		t.Errorf("before the first change the fullest shard has %.0f%%", 100*most)
	}
	w.pass(3 * time.Second)
	w.want(Spraying)
	if most := slices.Max(w.parts()); most > 0.40 {
		t.Errorf("after 3 s the fullest shard has %.0f%%", 100*most)
	}
	if words := w.balancer.Skew(); !strings.Contains(words, heavy[0].source.String()+"; sprayed") {
		t.Errorf("skew report: %q", words)
	}
	w.pass(time.Minute)
	w.want(Spraying)
	w.kept(others)

	heavy[0].rate = 20_000 // below half of SprayAbove
	w.pass(time.Minute)
	w.want(Spraying, Unspraying)
	heavy[0].rate = 90_000
	w.pass(time.Minute)
	heavy[0].rate = 30_000
	w.pass(time.Minute)
	w.want(Spraying, Unspraying, Spraying)
	w.kept(others)
	if words := w.balancer.Skew(); strings.Contains(words, "stalled") {
		t.Errorf("skew report: %q", words)
	}
}

// Two heavy senders with the fair share of a shard each are not sprayed.
func TestHeavySendersThatAreFair(t *testing.T) {
	w := newWorld(t, 2, usual)
	w.send(2, 200_000)
	w.pass(time.Minute)
	w.want()
}

// Without SprayAbove a sender is sprayed only above the capacity of its shard.
func TestASenderAboveTheCapacityOfAShard(t *testing.T) {
	for rate, kinds := range map[float64][]Kind{300_000: nil, 600_000: {Spraying}} {
		w := newWorld(t, 4, Limits{StallAfter: usual.StallAfter})
		w.send(1, rate)
		others := w.send(100, 20_000)
		w.pass(50 * time.Second)
		w.want(kinds...)
		w.kept(others)
		before := w.dropped()
		w.pass(time.Hour) // with a few tries of one shard
		if lost := w.dropped() - before; lost > rate*3600/1000 || len(w.log) > 15 {
			t.Errorf("at %.0f/s the sockets drop %.0f later, in %d changes", rate, lost, len(w.log))
		}
		w.kept(others)
	}
}

// A short delay of a shard with one sender does not spray the sender, for any cause of the delay.
func TestAShortDelaySpraysNoSender(t *testing.T) {
	w := newWorld(t, 4, usual)
	w.send(4, 4_000)
	for _, cause := range []func(*modelShard){
		func(s *modelShard) { s.dropped += 50 },
		func(s *modelShard) { s.queue = s.buffer; s.outputWait = 0.9 },
		func(s *modelShard) { s.queue = s.buffer; s.runDelay = 0.9 },
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
				s.outputWait, s.runDelay = 0, 0
			}
		}
	}
	for _, c := range w.log {
		if c.Kind == Spraying {
			t.Errorf("%s: %s", c, c.Reason)
		}
	}
}

// SetLimits applies to senders that are sprayed already.
func TestLimitsApplyToSprayedSenders(t *testing.T) {
	w := newWorld(t, 4, usual)
	w.send(1, 90_000)
	w.pass(5 * time.Second)
	w.want(Spraying)
	w.balancer.SetLimits(Limits{StallAfter: usual.StallAfter})
	w.pass(10 * time.Second)
	w.want(Spraying, Unspraying)
}

// A stalled shard stays avoided in another mode, until StallAfter is off.
func TestAStalledShardStaysAvoidedInAnotherMode(t *testing.T) {
	w := newWorld(t, 3, usual)
	w.send(100, 10_000)
	w.shards[1].stalled = true
	w.pass(2 * time.Second)
	w.balancer.SetMode(Source)
	if plan := w.balancer.Plan(); !slices.Equal(plan.Avoid, []int{1}) || plan.Mode != Source {
		t.Errorf("%+v", plan)
	}
	w.pass(time.Second)
	w.want(Avoiding)
	w.balancer.SetMode(Hash)
	if plan := w.balancer.Plan(); len(plan.Avoid) > 0 || !slices.Equal(w.balancer.Stalled(), []int{1}) {
		t.Errorf("%+v, stalled %v", plan, w.balancer.Stalled())
	}
	w.balancer.SetMode(Auto)
	w.pass(time.Second)
	if !slices.Equal(w.balancer.plan.Avoid, []int{1}) {
		t.Errorf("avoided: %v", w.balancer.plan.Avoid)
	}
	w.balancer.SetLimits(Limits{})
	w.tick()
	if len(w.balancer.plan.Avoid)+len(w.balancer.Stalled()) > 0 {
		t.Errorf("avoided: %v, stalled %v", w.balancer.plan.Avoid, w.balancer.Stalled())
	}
}

// Top has many senders with a small share each, also new senders.
func TestTopSendersOfMany(t *testing.T) {
	w := newWorld(t, 2, usual)
	w.send(40, 40_000)
	w.pass(10 * time.Second)
	w.senders = nil
	w.pass(10 * time.Second)
	w.send(40, 40_000)
	w.pass(5 * time.Second)
	if n := len(w.balancer.Top(100)); n < 30 {
		t.Errorf("%d of 40 senders are known", n)
	}
}

// Another thread takes most of a shard's CPU: buckets of this shard move away, and return after the
// other thread has gone.
func TestANoisyNeighbour(t *testing.T) {
	w := newWorld(t, 2, usual)
	senders := w.send(500, 400_000)
	w.pass(10 * time.Second)
	var others []*modelSender
	for _, s := range senders {
		if w.shardOf[s.source] == 0 {
			others = append(others, s)
		}
	}
	w.shards[1].runDelay = 0.8
	w.pass(2 * time.Second)
	w.want(Moving)
	first := w.dropped()
	if len(w.balancer.Plan().Moved) == 0 || !strings.Contains(w.log[0].Reason, "other threads had the CPU") {
		t.Errorf("%d buckets moved: %s", len(w.balancer.Plan().Moved), w.log[0].Reason)
	}
	w.shards[1].runDelay = 0.5 // the shard with fewer buckets waits less
	w.pass(10 * time.Minute)
	w.want(Moving)
	if w.dropped() > first {
		t.Errorf("%.0f dropped at first, and %.0f later", first, w.dropped()-first)
	}
	w.shards[1].runDelay = 0
	w.pass(time.Minute)
	w.want(Moving, Returning)
	if len(w.balancer.Plan().Moved) != 0 {
		t.Errorf("%d buckets are still away", len(w.balancer.Plan().Moved))
	}
	w.kept(others)
	if w.dropped() > first {
		t.Errorf("going home dropped %.0f", w.dropped()-first)
	}
}

// Buckets return to a shard with a low capacity, of unknown cause, after longer and longer times.
func TestBucketsReturnToASlowShardMoreAndMoreSeldom(t *testing.T) {
	w := newWorld(t, 2, usual)
	w.send(500, 200_000)
	w.shards[1].capacity = 30_000
	w.pass(30 * time.Minute)
	moves := 0
	for i, c := range w.log {
		if c.Kind == Moving && (i == 0 || w.log[i-1].Kind == Returning) {
			moves++
		}
	}
	if moves < 3 || moves > 15 {
		t.Errorf("buckets returned %d times in half an hour", moves-1)
	}
	if total := 200_000 * 1800.0; w.dropped() > total/1000 {
		t.Errorf("%.2f%% dropped", 100*w.dropped()/total)
	}
}

// If all shards are overloaded, no bucket moves.
func TestOverloadMovesNothing(t *testing.T) {
	w := newWorld(t, 4, usual)
	senders := w.send(1000, 2_000_000)
	w.pass(time.Minute)
	w.want()
	w.kept(senders)
	if words := w.balancer.Skew(); !strings.Contains(words, "every shard's queue fills") {
		t.Errorf("skew report: %q", words)
	}
}

func TestAStalledShard(t *testing.T) {
	w := newWorld(t, 4, usual)
	senders := w.send(400, 20_000)
	w.pass(5 * time.Second)
	var others []*modelSender
	for _, s := range senders {
		if w.shardOf[s.source] != 2 {
			others = append(others, s)
		}
	}
	w.shards[2].stalled = true
	w.pass(400 * time.Millisecond)
	w.want()
	w.pass(400 * time.Millisecond)
	w.want(Avoiding)
	if !slices.Equal(w.balancer.Stalled(), []int{2}) || w.parts()[2] > 0.2 {
		t.Errorf("stalled: %v, parts %v", w.balancer.Stalled(), w.parts())
	}
	if words := w.balancer.Skew(); !strings.HasPrefix(words, "shard 2 is stalled; datagrams go to other shards") {
		t.Errorf("skew report: %q", words)
	}
	w.pass(5 * time.Second)
	if w.parts()[2] != 0 {
		t.Errorf("parts %v", w.parts())
	}
	w.shards[2].stalled = false
	w.pass(time.Second)
	w.want(Avoiding, Restoring)
	if len(w.balancer.Stalled()) > 0 || w.dropped() > 0 {
		t.Errorf("stalled: %v, %.0f dropped", w.balancer.Stalled(), w.dropped())
	}
	w.kept(others)
}

// A shard that stalls again and again is avoided for longer and longer.
func TestAShardThatStallsAgainAndAgain(t *testing.T) {
	w := newWorld(t, 2, usual)
	w.send(100, 10_000)
	for range 300 {
		w.shards[0].stalled = true
		w.pass(time.Second)
		w.shards[0].stalled = false
		w.pass(time.Second)
	}
	if n := len(w.log); n < 4 || n > 60 {
		t.Errorf("%d changes in ten minutes", n)
	}
}

// A stalled shard is not avoided if all shards are stalled, or wait for the same output.
func TestStallsThatAreNotAvoided(t *testing.T) {
	w := newWorld(t, 2, usual)
	w.send(100, 10_000)
	w.pass(time.Second)
	w.shards[0].stalled, w.shards[1].stalled = true, true
	w.pass(5 * time.Second)
	w.want(Stalling)
	if !slices.Equal(w.balancer.Stalled(), []int{0, 1}) || len(w.balancer.plan.Avoid) > 0 {
		t.Errorf("stalled: %v", w.balancer.Stalled())
	}

	limits := usual
	limits.OneOutput = true
	w = newWorld(t, 2, limits)
	w.send(100, 10_000)
	w.pass(time.Second)
	w.shards[0].stalled, w.shards[0].outputWait = true, 1
	w.pass(5 * time.Second)
	w.want(Stalling)
	if words := w.balancer.Skew(); !strings.Contains(words, "shard 0 is stalled; the output accepts no records") {
		t.Errorf("skew report: %q", words)
	}

	limits.OneOutput = false // an output for each shard
	w = newWorld(t, 2, limits)
	w.send(100, 10_000)
	w.pass(time.Second)
	w.shards[0].stalled, w.shards[0].outputWait = true, 1
	w.pass(5 * time.Second)
	w.want(Avoiding)
}

// In Hash the balancer reports, and changes nothing.
func TestHashOnlyReports(t *testing.T) {
	w := newWorld(t, 2, usual)
	w.balancer = NewBalancer(Plan{Mode: Hash, Shards: 2, Seed: 1}, usual)
	heavy := w.send(1, 90_000)
	w.pass(5 * time.Second) // in Hash the model gives a sender to all shards
	for _, c := range w.log {
		t.Errorf("%s", c)
	}
	if len(w.balancer.Top(5)) != 1 || w.balancer.Top(5)[0].Source != heavy[0].source {
		t.Errorf("top senders: %v", w.balancer.Top(5))
	}
}

func TestLimitsCanChange(t *testing.T) {
	w := newWorld(t, 4, Limits{})
	w.send(1, 90_000)
	w.shards[0].stalled = true
	w.pass(10 * time.Second)
	w.want()
	w.shards[0].stalled = false
	w.pass(10 * time.Second)
	w.balancer.SetLimits(usual)
	w.pass(2 * time.Second)
	w.want(Spraying)
}

// All shards drop a little now and then: next to no sender moves in five minutes.
func TestALittleLossEverywhere(t *testing.T) {
	w := newWorld(t, 2, usual)
	w.send(500, 200_000)
	random := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		for _, s := range w.shards {
			if random.IntN(4) == 0 {
				s.dropped += float64(random.IntN(200))
			}
			s.runDelay = 0.3 * random.Float64()
		}
		w.tick()
	}
	if len(w.log) > 2 || len(w.moves) > 50 {
		t.Errorf("%d changes, %d senders moved", len(w.log), len(w.moves))
	}
}

// A move is undone if the other shards drop more afterwards, and the next move is delayed.
func TestAMoveThatCostsMoreIsUndone(t *testing.T) {
	w := newWorld(t, 2, usual)
	w.send(500, 600_000)
	w.shards[0].capacity, w.shards[0].buffer = 310_000, 2_000
	w.shards[1].capacity = 280_000
	w.pass(5 * time.Minute)
	if kinds := w.kinds(); len(kinds) < 2 || kinds[0] != Moving || kinds[1] != Returning {
		t.Errorf("changes %v", kinds)
	}
	if len(w.log) > 20 {
		t.Errorf("%d changes in 5 minutes", len(w.log))
	}
}

// A shard that reads again is restored once its queue is short.
func TestAShardIsRestoredWithAShortQueue(t *testing.T) {
	w := newWorld(t, 2, usual)
	w.send(100, 40_000)
	w.shards[0].capacity = 30_000
	w.shards[0].stalled = true
	w.pass(2 * time.Second)
	w.shards[0].queue = w.shards[0].buffer
	w.shards[0].stalled = false
	w.pass(200 * time.Millisecond)
	if queue := w.shards[0].queue; queue < w.shards[0].buffer/4 || !slices.Equal(w.balancer.plan.Avoid, []int{0}) {
		t.Errorf("with %.0f of %.0f queued, avoided are %v", queue, w.shards[0].buffer, w.balancer.plan.Avoid)
	}
	w.pass(2 * time.Second)
	if len(w.balancer.plan.Avoid) > 0 {
		t.Errorf("avoided are %v", w.balancer.plan.Avoid)
	}
}

// Stalls with a long time between do not lengthen the time that a shard is avoided.
func TestRareStalls(t *testing.T) {
	w := newWorld(t, 2, usual)
	w.send(100, 10_000)
	for range 5 {
		w.shards[0].stalled = true
		w.pass(2 * time.Second)
		w.shards[0].stalled = false
		w.pass(600 * time.Millisecond)
		if len(w.balancer.plan.Avoid) > 0 {
			t.Fatal("the shard is not restored at once")
		}
		w.pass(40 * time.Second)
	}
}

// A heavy sender on a shard whose CPU another thread takes is moved, not sprayed.
func TestAHeavySenderOnABusyCPUIsMoved(t *testing.T) {
	w := newWorld(t, 2, Limits{StallAfter: usual.StallAfter})
	heavy := w.send(1, 100_000)
	w.pass(5 * time.Second)
	w.shards[w.shardOf[heavy[0].source]].runDelay = 0.9
	w.pass(5 * time.Second)
	w.want(Moving)
}

// No more senders are sprayed than the plan has room for.
func TestSprayedSendersAreBounded(t *testing.T) {
	w := newWorld(t, 128, usual)
	w.send(2*maxSprayed, 2*maxSprayed*60_000)
	w.pass(10 * time.Second)
	w.want(Spraying)
	if n := len(w.balancer.Plan().Sprayed); n != maxSprayed {
		t.Errorf("%d are sprayed", n)
	}
}

// Buckets move if a little loss does not end.
func TestALittleLossThatDoesNotEnd(t *testing.T) {
	w := newWorld(t, 2, usual)
	w.send(200, 100_000)
	for range 20 {
		w.shards[0].dropped += 5
		w.tick()
	}
	w.want(Moving)
	if moved := len(w.balancer.Plan().Moved); moved == 0 || moved > 40 {
		t.Errorf("%d of 128 buckets moved", moved)
	}
}
