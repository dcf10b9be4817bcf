package main

import (
	"strconv"
	"strings"
	"testing"

	"github.com/udpshard/udpshard/metrics"
)

// total returns the sums of all shards.
func (p *process) total() metrics.Reading {
	p.t.Helper()
	var readings []metrics.Reading
	for _, l := range p.status().Listeners {
		readings = append(readings, l.Shards...)
	}
	return metrics.Sum(readings)
}

// waitForTotal waits until the sums of all shards satisfy ok. want describes ok.
func (p *process) waitForTotal(want string, ok func(metrics.Reading) bool) (total metrics.Reading) {
	p.t.Helper()
	if !poll(func() bool { total = p.total(); return ok(total) }) {
		p.t.Fatalf("timed out: got %+v, want %s", total, want)
	}
	return total
}

func (p *process) waitForReceived(n int) {
	p.t.Helper()
	p.waitForTotal("received "+strconv.Itoa(n), func(r metrics.Reading) bool { return r.Received == uint64(n) })
}

func (p *process) waitForDelivered(n int) {
	p.t.Helper()
	p.waitForTotal("delivered "+strconv.Itoa(n), func(r metrics.Reading) bool { return r.Delivered == uint64(n) })
}

// waitForLoad waits until p has received n more datagrams.
func (p *process) waitForLoad(n uint64) {
	p.t.Helper()
	n += p.total().Received
	p.waitForTotal("received "+strconv.FormatUint(n, 10), func(r metrics.Reading) bool { return r.Received >= n })
}

// waitForLedger waits until all sent datagrams were received or dropped by the kernel, and no
// datagram is in flight.
func (p *process) waitForLedger(sent int) {
	p.t.Helper()
	p.waitForTotal("received + dropped by the kernel = "+strconv.Itoa(sent), func(r metrics.Reading) bool {
		return r.Received+r.Dropped.Kernel == uint64(sent) && r.InFlight == 0
	})
}

// settledTotal returns the sums of all shards as soon as no datagram is queued or in flight. A
// record in a file may be counted some time after the write.
func (p *process) settledTotal() metrics.Reading {
	p.t.Helper()
	return p.waitForTotal("nothing queued or in flight", func(r metrics.Reading) bool {
		return r.InFlight == 0 && r.QueueBytes == 0
	})
}

// counters returns the values of all udpshard_*_total series.
func (p *process) counters() map[string]float64 {
	p.t.Helper()
	values := make(map[string]float64)
	for line := range strings.Lines(p.metrics()) {
		series, text, _ := strings.Cut(line, "} ")
		if name, _, ok := strings.Cut(series, "{"); !ok || !strings.HasPrefix(name, "udpshard_") || !strings.HasSuffix(name, "_total") {
			continue
		}
		value, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		if err != nil {
			p.t.Fatal(err)
		}
		values[series] = value
	}
	if len(values) < 10 {
		p.t.Fatalf("got %d counters, want at least 10", len(values))
	}
	return values
}

// wantCountersGrow checks that no series is missing or has decreased.
func wantCountersGrow(t *testing.T, before, after map[string]float64) {
	t.Helper()
	for series, was := range before {
		if now, ok := after[series]; !ok || now < was {
			t.Errorf("%s}: got %v, want at least %v", series, now, was)
		}
	}
}

// wantTotalsGrow checks that no counter has decreased.
func wantTotalsGrow(t *testing.T, before, now metrics.Reading) {
	t.Helper()
	if now.Received < before.Received || now.Delivered < before.Delivered || now.Bytes < before.Bytes || now.Dropped.LostInCrash < before.Dropped.LostInCrash || now.Dropped.Kernel < before.Dropped.Kernel {
		t.Errorf("counters decreased from %+v to %+v", before, now)
	}
}

// metricValue returns the integer value of a series.
func metricValue(t *testing.T, metrics, series string) int {
	t.Helper()
	for line := range strings.Lines(metrics) {
		if text, ok := strings.CutPrefix(line, series+" "); ok {
			n, err := strconv.Atoi(strings.TrimSpace(text))
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("no series %s", series)
	return 0
}

// ledgerBalances reports whether each received datagram is delivered, in flight or dropped at the
// output.
func ledgerBalances(r metrics.Reading) bool {
	return r.Received == r.Delivered+r.InFlight+r.Dropped.Output && int64(r.InFlight) >= 0
}

// receivedShares returns, for each shard, its share of the datagrams received between two readings.
func receivedShares(before, after []metrics.Reading) (shares []float64) {
	all := metrics.Sum(after).Received - metrics.Sum(before).Received
	for i := range after {
		shares = append(shares, float64(after[i].Received-before[i].Received)/float64(max(all, 1)))
	}
	return shares
}
