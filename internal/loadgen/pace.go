package loadgen

import "time"

const (
	// leastTick is the least time between two releases. The runtime's timers
	// sleep in steps of a millisecond, and a wake-up of an idle core costs 30
	// to 130 µs of CPU on a virtual machine (Linux 6.18): at 1,000/s that
	// would be a tenth of a core for datagrams that cost a hundredth.
	leastTick = time.Millisecond
	// mostTick is the longest that one waits for company, at low rates.
	mostTick = 20 * time.Millisecond
	// company is how many datagrams are worth a wake-up.
	company = 20
	// catchUp is how many ticks' worth are released at once at the most. A
	// longer burst would test the receive buffer and nothing else.
	catchUp = 4
	// patience is how much lateness is made up for, so that a host's usual
	// hiccups do not show in the rate. The rest is missed for good.
	patience = 50 * time.Millisecond
)

// pacer says how many datagrams are due. It knows no clock: all times are
// since the start of the run.
type pacer struct {
	rate     float64 // per second; 0: as many as are asked for
	quantum  uint64  // released in multiples of it, except at the end
	released uint64
	missed   uint64 // given up after a stall
	last     time.Duration
}

// tick is the time between two releases.
func (p *pacer) tick() time.Duration {
	tick := time.Duration(company / p.rate * float64(time.Second))
	return min(max(tick, leastTick), mostTick)
}

// worth is how many datagrams are due in a time, and at least one release.
func (p *pacer) worth(d time.Duration) uint64 {
	n := uint64(p.rate * d.Seconds())
	return max(n/p.quantum*p.quantum, p.quantum)
}

// scheduled is how many should have been released by now. A billionth forgives
// the rounding of a product that should be whole.
func (p *pacer) scheduled(now time.Duration) uint64 {
	return uint64(p.rate*now.Seconds()*(1+1e-12) + 1e-9)
}

// due releases what is due at now, up to most: datagram i at the end of the
// i-th interval, so that a run of a second sends exactly its rate.
func (p *pacer) due(now time.Duration, most uint64) uint64 {
	p.last = now
	if p.rate == 0 {
		p.released += most
		return most
	}
	scheduled := p.scheduled(now)
	n := scheduled - min(scheduled, p.released+p.missed)
	if late := p.worth(p.tick() + patience); n > late {
		p.missed += n - late
		n = late
	}
	if n < most {
		n = n / p.quantum * p.quantum
	}
	n = min(n, most, p.worth(catchUp*p.tick()))
	p.released += n
	return n
}

// end gives up what was due by the end of the run and is not released.
func (p *pacer) end(now time.Duration) {
	scheduled := p.scheduled(now)
	left := scheduled - min(scheduled, p.released+p.missed)
	p.missed += left / p.quantum * p.quantum
}

// giveBack takes back what was released and not tried.
func (p *pacer) giveBack(n uint64) { p.released -= min(n, p.released) }

// next is when to ask again.
func (p *pacer) next() time.Duration {
	if p.rate == 0 {
		return p.last
	}
	at := time.Duration(float64(p.released+p.missed+p.quantum) / p.rate * float64(time.Second))
	return max(at, p.last+p.tick())
}
