package steer

import (
	"math"
	"net/netip"
	"time"
)

// Time constants of averages: for decisions, and for reports and for undoing decisions.
const (
	shortAverage = 300 * time.Millisecond
	longAverage  = 3 * time.Second
)

// shardState is the Balancer's state of a shard. Rates are in datagrams a second, averaged over
// shortAverage; shares are of the time, 0 to 1.
type shardState struct {
	last           Sample
	arrived        float64 // rate to the socket, drops included
	arrivedLong    float64 // arrived, averaged over longAverage
	handled        float64 // rate that the shard received
	lost           float64 // rate of drops
	lossRatio      float64 // drops among the arrivals of the last tick
	runDelay       float64 // share that the thread waited for its CPU
	outputWait     float64 // share that the thread waited for its output
	preempted      bool    // runDelay was significant at the last tick
	sinceHeartbeat time.Duration

	// The last eight ticks, the last tick in bit 0.
	dropTicks uint8 // ticks with drops
	lossTicks uint8 // ticks with a lossRatio above minLossRatio
	fullTicks uint8 // ticks with a queue at least half full

	stalled    bool
	avoided    bool
	stalledAt  time.Time
	restoredAt time.Time
	avoidFor   time.Duration // after stalledAt, at least

	movedAt       time.Time // last move of buckets away
	evaluateAt    time.Time // when this move is evaluated; zero: not
	allowedLoss   float64   // rate of drops at other shards that the move may cost
	nextMove      time.Time // no move before
	moveDelay     time.Duration
	returnedAt    time.Time // last return of buckets
	quietPeriod   time.Duration
	pressedAt     time.Time // last tick with drops or a half full queue
	capacity      float64   // handled while the queue was full; 0: not known
	capacityUntil time.Time // when capacity expires
}

func (s *shardState) setLast(sample Sample) { s.last, s.last.Sketch = sample, nil }

// updateRates updates all averages.
func (b *Balancer) updateRates(now time.Time, elapsed time.Duration, samples []Sample) {
	short := weight(elapsed, shortAverage)
	bucketRates := make([]float64, len(b.buckets))
	for _, s := range b.senders {
		s.tickRate = 0
	}
	for i := range b.shards {
		b.shards[i].update(now, elapsed, samples[i])
		if sketch := samples[i].Sketch; sketch != nil {
			s := &b.shards[i]
			b.addSketch(i, sketch, s.arrived/max(s.handled, 1)/elapsed.Seconds(), bucketRates)
		}
	}
	for i := range bucketRates {
		b.buckets[i] += short * (bucketRates[i] - b.buckets[i])
	}
	b.updateSenderRates(now, elapsed)
}

func (s *shardState) update(now time.Time, elapsed time.Duration, sample Sample) {
	short, long, seconds := weight(elapsed, shortAverage), weight(elapsed, longAverage), elapsed.Seconds()
	received := float64(sample.Received-s.last.Received) / seconds
	lost := float64(sample.Dropped-s.last.Dropped) / seconds
	runDelay := (sample.RunDelay - s.last.RunDelay).Seconds() / seconds
	outputWait := (sample.OutputWait - s.last.OutputWait).Seconds() / seconds
	s.handled += short * (received - s.handled)
	s.arrived += short * (received + lost - s.arrived)
	s.arrivedLong += long * (received + lost - s.arrivedLong)
	s.lost += short * (lost - s.lost)
	s.runDelay += short * (runDelay - s.runDelay)
	s.outputWait += short * (outputWait - s.outputWait)
	s.lossRatio, s.preempted = lost/max(received+lost, 1), runDelay > significant
	s.dropTicks = pushTick(s.dropTicks, lost > 0)
	s.lossTicks = pushTick(s.lossTicks, s.lossRatio > minLossRatio)
	s.fullTicks = pushTick(s.fullTicks, 2*sample.Queued >= sample.Buffer && sample.Buffer > 0)
	if s.dropTicks&1 != 0 || s.fullTicks&1 != 0 {
		s.pressedAt = now
	}
	s.sinceHeartbeat = sample.SinceHeartbeat
	s.setLast(sample)
}

func pushTick(ticks uint8, now bool) uint8 {
	ticks <<= 1
	if now {
		ticks |= 1
	}
	return ticks
}

// weight returns the weight of a new value in an exponential average.
func weight(elapsed, average time.Duration) float64 {
	return 1 - math.Exp(-elapsed.Seconds()/average.Seconds())
}

// maxSenders bounds the memory of senders: more than all senders with a share of 1% each.
const maxSenders = 256

// sender is a flow with many datagrams. Rates are in datagrams a second.
type sender struct {
	source     netip.AddrPort
	hash       uint32
	shard      int     // of the flow, or before the flow was sprayed
	rate       float64 // averaged over shortAverage
	rateLong   float64 // averaged over longAverage
	tickRate   float64 // at this tick
	lastSeen   time.Time
	heavyTicks int // ticks in a row above the limit
	sprayed    bool
	sprayedAt  time.Time
	retryAt    time.Time // when one shard is tried again at the latest; zero: once the rate is small
	capacity   float64   // handled by the shard when the flow was sprayed
	smallSince time.Time // since when the rate is small; zero: not small
	overloads  int       // how often the flow was above the capacity of its shard
}

// addSketch adds a shard's sketch to the rates of buckets and senders. scale converts weights into
// datagrams a second.
func (b *Balancer) addSketch(shard int, sketch *Sketch, scale float64, bucketRates []float64) {
	for i, weight := range sketch.Buckets {
		bucketRates[i] += float64(weight) * scale
	}
	for _, f := range sketch.Heaviest(nil, sketchSets*sketchWays) {
		b.recordPlacement(shard, f.Key)
		s := b.senders[f.Hash]
		if s == nil {
			if len(b.senders) >= maxSenders {
				continue
			}
			s = &sender{source: f.Key, hash: f.Hash}
			b.senders[f.Hash] = s
		}
		rate := float64(f.AtLeast()) * scale
		s.tickRate += rate
		if s.sprayed { // a move of the bucket does not move these datagrams
			bucket := b.plan.Bucket(f.Hash)
			bucketRates[bucket] = max(0, bucketRates[bucket]-rate)
		} else {
			s.shard = shard
		}
	}
}

func (b *Balancer) updateSenderRates(now time.Time, elapsed time.Duration) {
	short, long, total := weight(elapsed, shortAverage), weight(elapsed, longAverage), b.totalLong()
	for hash, s := range b.senders {
		s.rate += short * (s.tickRate - s.rate)
		s.rateLong += long * (s.tickRate - s.rateLong)
		if s.tickRate > 0 {
			s.lastSeen = now
		}
		if !s.sprayed && s.rateLong < total/1000 && now.Sub(s.lastSeen) > longAverage {
			delete(b.senders, hash)
		}
	}
}

// total returns the rate of arrivals at all shards.
func (b *Balancer) total() (sum float64) {
	for i := range b.shards {
		sum += b.shards[i].arrived
	}
	return sum
}

// totalLong is total, averaged over longAverage.
func (b *Balancer) totalLong() (sum float64) {
	for i := range b.shards {
		sum += b.shards[i].arrivedLong
	}
	return sum
}

// percentLong returns the percentage of a rate, averaged over longAverage, among all arrivals.
func (b *Balancer) percentLong(rate float64) float64 {
	return min(100, 100*rate/max(b.totalLong(), 1))
}
