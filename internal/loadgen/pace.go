package loadgen

import "time"

const (
	// minTick is the least time between two releases. The runtime's timers sleep in steps of a
	// millisecond, and a wake-up of an idle CPU costs 30 to 130 µs of CPU time on a virtual machine
	// (Linux 6.18): a tenth of a CPU at 1,000 wake-ups/s, for datagrams that cost a hundredth.
	minTick = time.Millisecond
	// maxTick is the most time between two releases, at low rates.
	maxTick = 20 * time.Millisecond
	// datagramsPerTick is how many datagrams are worth a wake-up.
	datagramsPerTick = 20
	// maxTicks is the most ticks' worth of datagrams in one release. A longer burst would test the
	// receive buffer alone.
	maxTicks = 4
	// maxLateness is the lateness that the pacer makes up for, so that usual hiccups of a host do
	// not show in the rate. Datagrams beyond are missed.
	maxLateness = 50 * time.Millisecond
)

// pacer decides how many datagrams are due. A pacer has no clock: all times are since the start of
// the run.
type pacer struct {
	rate     float64 // per second; 0: no limit
	quantum  uint64  // releases are multiples of quantum, except at the end
	released uint64
	missed   uint64 // given up after a stall
	last     time.Duration
}

// tick is the time between two releases.
func (p *pacer) tick() time.Duration {
	tick := time.Duration(datagramsPerTick / p.rate * float64(time.Second))
	return min(max(tick, minTick), maxTick)
}

// dueIn returns how many datagrams are due in a time, and at least one release.
func (p *pacer) dueIn(d time.Duration) uint64 {
	n := uint64(p.rate * d.Seconds())
	return max(n/p.quantum*p.quantum, p.quantum)
}

// scheduled returns how many datagrams should have been released by now. The billionth compensates
// for rounding of a product that should be a whole number.
func (p *pacer) scheduled(now time.Duration) uint64 {
	return uint64(p.rate*now.Seconds()*(1+1e-12) + 1e-9)
}

// due releases at most `most` datagrams that are due at now: datagram i at the end of interval i,
// so that a run of a second sends exactly the rate.
func (p *pacer) due(now time.Duration, most uint64) uint64 {
	p.last = now
	if p.rate == 0 {
		p.released += most
		return most
	}
	scheduled := p.scheduled(now)
	n := scheduled - min(scheduled, p.released+p.missed)
	if late := p.dueIn(p.tick() + maxLateness); n > late {
		p.missed += n - late
		n = late
	}
	if n < most {
		n = n / p.quantum * p.quantum
	}
	n = min(n, most, p.dueIn(maxTicks*p.tick()))
	p.released += n
	return n
}

// end counts as missed all datagrams that were due by the end of the run and not released.
func (p *pacer) end(now time.Duration) {
	scheduled := p.scheduled(now)
	left := scheduled - min(scheduled, p.released+p.missed)
	p.missed += left / p.quantum * p.quantum
}

// returnUntried takes back datagrams that were released and not tried.
func (p *pacer) returnUntried(n uint64) { p.released -= min(n, p.released) }

// next returns the time of the next release.
func (p *pacer) next() time.Duration {
	if p.rate == 0 {
		return p.last
	}
	at := time.Duration(float64(p.released+p.missed+p.quantum) / p.rate * float64(time.Second))
	return max(at, p.last+p.tick())
}
