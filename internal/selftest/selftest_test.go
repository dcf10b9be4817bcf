package selftest

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/udpshard/udpshard/shard"
)

// host loses nothing up to one rate, and its sender reaches at most another rate.
type host struct {
	holds, sends float64
	flaky        int                  // every n-th trial loses a datagram without a reason
	starved      func(trial int) bool // trials in which nothing is sent; nil: none
	tried        []float64
	spent        time.Duration
	budget       time.Duration
}

func (h *host) try(rate float64, length time.Duration) (trial, error) {
	h.tried = append(h.tried, rate)
	h.spent += length
	achieved := rate
	if rate == 0 || rate > h.sends {
		achieved = h.sends
	}
	if h.starved != nil && h.starved(len(h.tried)) {
		return trial{Asked: rate}, nil
	}
	t := trial{Asked: rate, Rate: achieved, Elapsed: length, Sent: uint64(achieved * length.Seconds())}
	t.Received = min(t.Sent, uint64(h.holds*length.Seconds()))
	if h.flaky > 0 && len(h.tried)%h.flaky == 0 {
		t.Received = min(t.Received, t.Sent-1)
	}
	t.Shards = []shardTrial{{Share: 1, Busy: min(achieved/h.holds, 1)}}
	return t, nil
}

func (h *host) search() *search {
	return &search{try: h.try, length: time.Second, noTimeFor: func(more time.Duration) bool { return h.spent+more > h.budget }}
}

func TestSearch(t *testing.T) {
	for _, c := range []struct {
		name  string
		host  host
		best  float64
		limit string
	}{
		{"the receiver limits", host{holds: 400_000, sends: 1_000_000}, 400_000, "receive_cpu"},
		{"just below flat out", host{holds: 980_000, sends: 1_000_000}, 980_000, "receive_cpu"},
		{"the sender limits", host{holds: 2_000_000, sends: 500_000}, 500_000, "sender"},
		{"slower than the first trial", host{holds: 7_000, sends: 1_000_000}, 7_000, "receive_cpu"},
		{"slower than the second trial", host{holds: 60_000, sends: 1_000_000}, 60_000, "receive_cpu"},
		{"a loss now and then", host{holds: 300_000, sends: 800_000, flaky: 5}, 300_000, "receive_cpu"},
		{"a sender slower than the ramp", host{holds: 300_000, sends: 50_000}, 50_000, "sender"},
	} {
		c.host.budget = 30 * time.Second
		s := c.host.search()
		if err := s.run(); err != nil {
			t.Fatal(err)
		}
		if s.best == nil || s.best.Rate > c.best || s.best.Rate < 0.85*c.best || !s.held || c.host.spent > c.host.budget {
			t.Errorf("%s: %+v after %s: %.0f", c.name, s.best, c.host.spent, c.host.tried)
			continue
		}
		r := newReport(s, setup{flows: 64, asked: 32 << 20, granted: 32 << 20})
		if r.Limit != c.limit || r.Highest != s.best.Rate || r.Verdict == "" {
			t.Errorf("%s: %+v", c.name, r)
		}
	}
}

func TestSearchKeepsToItsTime(t *testing.T) {
	for seconds := range 12 {
		h := host{holds: 400_000, sends: 1_000_000, budget: time.Duration(seconds) * time.Second}
		s := h.search()
		if err := s.run(); err != nil {
			t.Fatal(err)
		}
		// The first three trials are always made.
		if h.spent > max(h.budget, 3*time.Second) {
			t.Errorf("%s of %s", h.spent, h.budget)
		}
		if s.best == nil || s.best.Rate > h.holds {
			t.Errorf("%s: %+v", h.budget, s.best)
		}
	}
}

// A trial in which the sender gets no CPU has no result for the receiver.
func TestSearchWithASenderThatSendsNothing(t *testing.T) {
	for from := 1; from <= 16; from++ { // no CPU from that trial on
		h := host{holds: 400_000, sends: 1_000_000, budget: 30 * time.Second, starved: func(trial int) bool { return trial >= from }}
		s := h.search()
		err := s.run()
		if from == 1 {
			if !errors.Is(err, errUnsent) || len(h.tried) > 3 {
				t.Errorf("without any result: error %v after %.0f", err, h.tried)
			}
			continue
		}
		if err != nil || s.best == nil || s.best.Rate > h.holds || s.best.Sent == 0 || s.bad != nil && s.bad.Sent == 0 {
			t.Errorf("from trial %d on: %v, best %+v, bad %+v", from, err, s.best, s.bad)
			continue
		}
		r := newReport(s, setup{flows: 64, asked: 32 << 20, granted: 32 << 20})
		if r.Highest != s.best.Rate || r.Verdict == "" {
			t.Errorf("from trial %d on: %+v", from, r)
		}
	}
	for from := 1; from <= 12; from++ { // no CPU for two trials
		h := host{holds: 400_000, sends: 1_000_000, budget: 30 * time.Second, starved: func(trial int) bool { return trial == from || trial == from+1 }}
		s := h.search()
		if err := s.run(); err != nil || !s.held || s.best.Rate > h.holds || s.best.Rate < 0.85*h.holds {
			t.Errorf("in trials %d and %d: %v, %+v", from, from+1, err, s.best)
		}
	}
}

// A shard waits for at most the whole time, however short the sender's time is.
func TestWaitsAreOfTheTimeInBetween(t *testing.T) {
	began := time.Now()
	before := runDelays{began, []time.Duration{0, time.Second, 5 * time.Second}}
	after := runDelays{began.Add(200 * time.Millisecond), []time.Duration{50 * time.Millisecond, time.Second, 5*time.Second + 300*time.Millisecond}}
	for i, want := range []float64{0.25, 0, 1} {
		if got := after.since(before)[i]; math.Abs(got-want) > 1e-9 {
			t.Errorf("shard %d: %.2f, want %.2f", i, got, want)
		}
	}
}

// The time of a trial is measured here, not taken from the sender's report.
func TestATrialsWaits(t *testing.T) {
	group, err := shard.Listen(shard.Config{Address: "127.0.0.1:0", Shards: 1})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- group.Run(ctx) }()
	defer func() { stop(); <-ended }()
	was := sendProgram
	defer func() { sendProgram = was }()
	sendProgram = func(ctx context.Context, _ ...string) *exec.Cmd {
		return exec.CommandContext(ctx, "/bin/sh", "-c", `sleep 0.1; echo '{"sent":0,"seconds":0.000000001}'`)
	}
	result, err := (&trialRunner{group: group, flows: 1, threads: 1}).run(ctx, 0, time.Second)
	if err != nil || result.longestWait() > 1 {
		t.Errorf("%v, %+v", err, result)
	}
	if result.judge(); result.Verdict != unsent {
		t.Errorf("%+v", result)
	}
}

func TestSearchEndsAtAnError(t *testing.T) {
	broken := errors.New("broken")
	for after := range 8 {
		h := host{holds: 400_000, sends: 1_000_000, budget: time.Minute}
		s := h.search()
		s.try = func(rate float64, length time.Duration) (trial, error) {
			if len(h.tried) == after {
				return trial{}, broken
			}
			return h.try(rate, length)
		}
		if err := s.run(); !errors.Is(err, broken) {
			t.Errorf("after %d: %v", after, err)
		}
	}
}

func TestVerdict(t *testing.T) {
	const mib = 1 << 20
	lost := func(busy, waited float64) *trial {
		return &trial{Rate: 300_000, Verdict: lossy, Shards: []shardTrial{{Busy: busy, Waited: waited, Share: 1}}}
	}
	good := &trial{Rate: 200_000, Verdict: lossFree, Sent: 1, Shards: []shardTrial{{Busy: 0.5, Share: 1}}}
	for _, c := range []struct {
		name   string
		search search
		with   setup
		limit  string
		remedy string
	}{
		{"nothing lost", search{best: good}, setup{asked: mib, granted: mib}, "sender", "--gso 16"},
		{"nothing lost, with GSO", search{best: good}, setup{asked: mib, granted: mib, gso: 16}, "sender", "another host"},
		{"nothing lost, shared", search{best: good}, setup{asked: mib, granted: mib, shared: true}, "sender", "fewer --shards"},
		{"a CPU is full", search{best: good, bad: lost(0.97, 0)}, setup{asked: 32 * mib, granted: 32 * mib}, "receive_cpu", "more --shards"},
		{"a CPU is full, buffers too", search{best: good, bad: lost(0.97, 0)}, setup{asked: 32 * mib, granted: mib}, "receive_cpu", "net.core.rmem_max=33554432"},
		{"other work has the CPU", search{best: good, bad: lost(0.5, 0.4)}, setup{asked: 32 * mib, granted: 32 * mib}, "pauses", "--cpus"},
		{"the sender has the CPU", search{best: good, bad: lost(0.5, 0.4)}, setup{asked: 32 * mib, granted: 32 * mib, shared: true}, "shared_cpus", "fewer --shards"},
		{"less was granted", search{best: good, bad: lost(0.5, 0)}, setup{asked: 32 * mib, granted: mib}, "receive_buffer", "net.core.rmem_max=33554432"},
		{"little was asked", search{best: good, bad: lost(0.5, 0)}, setup{asked: mib / 4, granted: mib / 4}, "receive_buffer", "--receive-buffer"},
		{"the sender is too slow", search{best: good, bad: lost(0.5, 0), slow: true}, setup{asked: 32 * mib, granted: 32 * mib}, "sender", "another host"},
		{"no visible reason", search{best: good, bad: lost(0.5, 0)}, setup{asked: 32 * mib, granted: 32 * mib}, "pauses", "steal"},
		{"nothing was loss-free", search{bad: lost(0.97, 0)}, setup{asked: 32 * mib, granted: 32 * mib}, "receive_cpu", "more --shards"},
		{"interrupted", search{}, setup{}, "none", ""},
	} {
		c.with.flows = 64
		r := newReport(&c.search, c.with)
		if r.Limit != c.limit || !strings.Contains(r.Remedy, c.remedy) {
			t.Errorf("%s: %s, %q, %q", c.name, r.Limit, r.Verdict, r.Remedy)
		}
		var b bytes.Buffer
		r.Print(&b)
		if !strings.Contains(b.String(), "\nverdict: "+r.Verdict+"\n") || strings.Contains(b.String(), "NaN") {
			t.Errorf("%s:\n%s", c.name, &b)
		}
	}
}

func TestSkewIsSeen(t *testing.T) {
	for share, skewed := range map[float64]bool{0.5: false, 0.6: false, 0.75: true} {
		s := search{best: &trial{Rate: 1000, Sent: 1, Shards: []shardTrial{{Share: share}, {Share: 1 - share}}}}
		if r := newReport(&s, setup{flows: 64}); r.Skewed != skewed {
			t.Errorf("a share of %.2f: %+v", share, r)
		}
	}
}

func TestFairShare(t *testing.T) {
	for _, c := range []struct {
		flows, shards   int
		mean, deviation float64
	}{
		{64, 1, 1, 0},
		{1, 4, 1, 0},
		{2, 2, 0.75, 0.25}, // both flows on one shard, or one on each
		// Half, and the mean of a folded normal: sqrt(1/(2 pi n)).
		{10_000, 2, 0.5 + math.Sqrt(1/(2*math.Pi*10_000)), 0.003},
		{6_400, 64, 0.0195, 0.0007}, // the largest of 64 shards: 2.4 deviations above the mean
	} {
		mean, deviation := fairShare(c.flows, c.shards)
		if math.Abs(mean-c.mean) > 0.01*c.mean || math.Abs(deviation-c.deviation) > 0.2*c.deviation+1e-9 {
			t.Errorf("%d flows over %d shards: %.4f ± %.4f", c.flows, c.shards, mean, deviation)
		}
	}
}

func TestJudge(t *testing.T) {
	for _, c := range []struct {
		trial trial
		want  outcome
	}{
		{trial{}, unsent},
		{trial{Sent: 5, Received: 5}, lossFree},
		{trial{Sent: 5, Received: 4}, lossy},
		{trial{Sent: 5, Received: 4, Kernel: 1}, lossy},
		{trial{Sent: 5, Received: 5, Backlog: 0.4}, lossFree},
		{trial{Sent: 5, Received: 5, Backlog: 0.9}, behind},
	} {
		if c.trial.judge(); c.trial.Verdict != c.want {
			t.Errorf("%+v", c.trial)
		}
	}
}

func TestRoundRate(t *testing.T) {
	for rate, want := range map[float64]uint64{0: 0, 7: 7, 999: 999, 1234: 1230, 399_600: 400_000, 1_234_567: 1_230_000} {
		if got := roundRate(rate); got != want {
			t.Errorf("%v: %d", rate, got)
		}
	}
}
