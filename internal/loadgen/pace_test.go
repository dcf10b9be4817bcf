package loadgen

import (
	"math"
	"testing"
	"time"
)

// drive runs a pacer on a clock that oversleeps by jitter, and returns the largest release and the
// number of releases.
func drive(p *pacer, length, jitter time.Duration) (largest uint64, releases int) {
	now := time.Duration(0)
	for {
		over := now >= length
		if n := p.due(min(now, length), math.MaxInt64); n > 0 {
			largest = max(largest, n)
			releases++
		}
		if over {
			return largest, releases
		}
		now = min(max(p.next(), now), length)
		if now < length {
			now += jitter
		}
	}
}

func TestPacerKeepsTheRate(t *testing.T) {
	for _, c := range []struct {
		rate    float64
		quantum uint64
		jitter  time.Duration
		want    uint64 // in a second
		largest uint64
		most    int // releases
	}{
		{1, 1, 0, 1, 1, 1},
		{3, 1, 0, 3, 1, 3},
		{7, 1, 900 * time.Microsecond, 7, 1, 7},
		{1_000, 1, 0, 1_000, 20, 50},
		{1_000, 1, 900 * time.Microsecond, 1_000, 22, 50},
		{50_000, 1, 100 * time.Microsecond, 50_000, 60, 1000},
		{300_000, 1, 0, 300_000, 300, 1000},
		{300_000, 1, time.Millisecond, 300_000, 600, 600},
		{999_983, 1, 700 * time.Microsecond, 999_983, 1_800, 1000},
		{300_000, 64, 0, 299_968, 320, 1000},
		{10, 64, 0, 0, 0, 0},
	} {
		p := &pacer{rate: c.rate, quantum: c.quantum}
		largest, releases := drive(p, time.Second, c.jitter)
		if p.released != c.want || p.missed != 0 || largest > c.largest || releases > c.most {
			t.Errorf("%v: %d released, %d missed, at most %d at once, %d times", c, p.released, p.missed, largest, releases)
		}
	}
}

func TestPacerCatchesUpOnShortStallsOnly(t *testing.T) {
	for _, c := range []struct {
		stall  time.Duration
		missed uint64
	}{
		{20 * time.Millisecond, 0},
		{51 * time.Millisecond, 0},
		{151 * time.Millisecond, 10_000},
		{10 * time.Second, 994_900},
	} {
		p := &pacer{rate: 100_000, quantum: 1}
		p.due(time.Second, math.MaxInt64)
		p.released, p.missed = 100_000, 0 // on schedule until here
		now := time.Second + c.stall
		first := p.due(now, math.MaxInt64)
		for range 100 {
			now = p.next()
			if n := p.due(now, math.MaxInt64); n > first {
				t.Errorf("%s: a release of %d", c.stall, n)
			}
		}
		if p.missed != c.missed || first != 400 {
			t.Errorf("%s: %d missed, %d at once", c.stall, p.missed, first)
		}
		if want := uint64(math.Round(now.Seconds() * 100_000)); p.released+p.missed != want {
			t.Errorf("%s: %d of %d", c.stall, p.released+p.missed, want)
		}
	}
}

// Datagrams that are late at the end of a run are missed, except for a part of a GSO batch.
func TestPacerEndsLate(t *testing.T) {
	for quantum, missed := range map[uint64]uint64{1: 420, 8: 416} {
		p := &pacer{rate: 10_000, quantum: quantum}
		if n := p.due(50*time.Millisecond, math.MaxInt64); n != 80 {
			t.Errorf("%d released at once", n)
		}
		if p.end(50 * time.Millisecond); p.missed != missed {
			t.Errorf("GSO batches of %d: %d missed of 420", quantum, p.missed)
		}
	}
}

func TestPacerEndsAtACount(t *testing.T) {
	p := &pacer{rate: 1000, quantum: 64}
	if n := p.due(time.Second, 10); n != 10 {
		t.Errorf("%d: the end need not be a whole GSO batch", n)
	}
	p.returnUntried(4)
	if p.released != 6 {
		t.Errorf("%d released", p.released)
	}
	flat := &pacer{quantum: 1}
	if n := flat.due(0, 64); n != 64 || flat.next() != 0 {
		t.Errorf("flat out: %d, next %s", n, flat.next())
	}
}
