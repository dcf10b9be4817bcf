package shard

import (
	"cmp"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/udpshard/udpshard/internal/steer"
	"github.com/udpshard/udpshard/metrics"
)

// refusal is a source whose datagrams the admission policy refuses, and the reason.
type refusal struct {
	source netip.Prefix // an address; for rateLimited a source network
	reason verdict
}

// refusal returns the refusal of a source by the policy for a reason.
func (a *admission) refusal(source netip.Addr, reason verdict) refusal {
	bits := source.BitLen()
	switch {
	case reason == rateLimited && source.Is4():
		bits = a.limiter.limits.prefix4
	case reason == rateLimited:
		bits = a.limiter.limits.prefix6
	}
	network, _ := source.Prefix(bits) // newAdmission has checked bits
	return refusal{network, reason}
}

// refuse counts a datagram of message i that the policy refuses. One refused datagram of the batch is
// the sample, each with the same probability: the k-th becomes the sample with a probability of 1/k.
func (s *shard) refuse(i int, reason verdict, a *arrivals) {
	if reason == notAllowed {
		a.notAllowed++
	} else {
		a.rateLimited++
	}
	if s.randomBelow(a.notAllowed+a.rateLimited) == 0 {
		a.sample, a.reason = i, reason
	}
}

// sampleRefused adds the sample of refused datagrams to the sketch: message i, with the weight of all
// refused datagrams of the batch.
func (s *shard) sampleRefused(policy *admission, i int, reason verdict, refused uint64) {
	source, _ := s.receiver.Source(i)
	r := policy.refusal(source.Addr(), reason)
	hash := steer.Address(s.group.attacher.seed+uint32(reason), r.source.Addr())
	s.sketches.Filling().refused.Add(hash, r, uint32(refused))
}

const (
	// refusedSenders is the number of refused sources in the ledger.
	refusedSenders = 10
	// refusedSets and refusedWays are the room of a refusedTable: 256 sources, some 25 KiB.
	refusedSets, refusedWays = 32, 8
	// refusedRateAverage is the time constant of refusedSource.rate.
	refusedRateAverage = 10 * time.Second
	// refusedHalfLife is the half-life of refusedSource.recent: sources of the present attack come
	// before larger sources of the day before.
	refusedHalfLife = time.Hour
)

// refusedTable has the sources of a group with the most refused datagrams, in memory of fixed size.
// A new source takes the place of the source of its set that has the fewest recent datagrams, if
// the new source has more: a flood from random sources does not displace a source that stays.
type refusedTable struct {
	sets    [refusedSets][refusedWays]refusedSource
	decayed time.Time
	list    []steer.Weighed[refusal] // of add
}

// refusedSource counts the refused datagrams of a source since the source has its place.
type refusedSource struct {
	source                  netip.Prefix // zero: free
	notAllowed, rateLimited uint64
	recent                  float64 // datagrams; each loses half its weight in refusedHalfLife
	rate                    float64 // datagrams a second, averaged over refusedRateAverage
	lastAt                  time.Time
}

// decay ages the sources. It comes before each add.
func (t *refusedTable) decay(now time.Time) {
	elapsed := now.Sub(t.decayed)
	t.decayed = now
	recent := math.Exp2(-elapsed.Seconds() / refusedHalfLife.Seconds())
	rate := math.Exp(-elapsed.Seconds() / refusedRateAverage.Seconds())
	for i := range t.sets {
		for way := range t.sets[i] {
			t.sets[i][way].recent *= recent
			t.sets[i][way].rate *= rate
		}
	}
}

// add adds what a shard has counted.
func (t *refusedTable) add(counted *steer.Heavy[refusal], now time.Time) {
	if counted.Total == 0 {
		return
	}
	t.list = counted.Heaviest(t.list[:0], math.MaxInt)
	for _, w := range t.list {
		n := w.AtLeast()
		s := t.place(w.Key.source, float64(n))
		if s == nil {
			continue
		}
		if w.Key.reason == notAllowed {
			s.notAllowed += uint64(n)
		} else {
			s.rateLimited += uint64(n)
		}
		s.recent += float64(n)
		s.rate += float64(n) / refusedRateAverage.Seconds()
		s.lastAt = now
	}
}

// place returns the place of a source, or nil if the set is full of sources with at least as many
// recent datagrams.
func (t *refusedTable) place(source netip.Prefix, datagrams float64) *refusedSource {
	set := &t.sets[steer.Address(0, source.Addr())%refusedSets]
	lightest := &set[0]
	for i := range set {
		if set[i].source == source {
			return &set[i]
		}
		if set[i].recent < lightest.recent {
			lightest = &set[i]
		}
	}
	if lightest.recent >= datagrams {
		return nil
	}
	*lightest = refusedSource{source: source}
	return lightest
}

// top returns the sources with the most recent datagrams, for the ledger.
func (t *refusedTable) top() []metrics.RefusedSender {
	var sources []*refusedSource
	for i := range t.sets {
		for way := range t.sets[i] {
			if s := &t.sets[i][way]; s.source.IsValid() {
				sources = append(sources, s)
			}
		}
	}
	slices.SortFunc(sources, func(a, b *refusedSource) int {
		return cmp.Or(cmp.Compare(b.recent, a.recent), a.source.Addr().Compare(b.source.Addr()))
	})
	list := []metrics.RefusedSender{}
	for _, s := range sources[:min(len(sources), refusedSenders)] {
		list = append(list, metrics.RefusedSender{
			Source: sourceText(s.source), NotAllowed: s.notAllowed, RateLimited: s.rateLimited,
			PerSecond: uint64(s.rate + 0.5), LastAt: s.lastAt.UTC().Truncate(time.Second)})
	}
	return list
}

// sourceText returns an address, or a prefix of several addresses.
func sourceText(source netip.Prefix) string {
	if source.IsSingleIP() {
		return source.Addr().String()
	}
	return source.String()
}
