// Package selftest finds the highest rate at which a group of shards receives all datagrams of
// another process on loopback, the cost of a datagram, how evenly shards are used, and what limits
// the rate first.
package selftest

import (
	"context"
	"io"
	"slices"
	"time"

	"github.com/udpshard/udpshard/shard"
)

// Options are what a test sends, and its duration.
type Options struct {
	Protocol string // of the shards, for the report
	Flows    int    // source ports
	Size     int    // bytes of each payload; 0: a syslog line of some 75 bytes
	GSO      int    // segments in a GSO batch; 0 or 1: no GSO
	Threads  int    // senders
	CPUs     []int  // of the senders
	Budget   time.Duration
	Progress io.Writer // gets a line for each trial
	Live     bool      // Progress is a terminal, with a line that is overwritten
}

// Run tests a running group. At the end of ctx, Run returns the results so far. The error is an
// error of the sender, or of starting the sender.
func Run(ctx context.Context, group *shard.Group, o Options) (Report, error) {
	began := time.Now()
	runner := trialRunner{group: group, flows: o.Flows, size: o.Size, gso: o.GSO, threads: o.Threads, cpus: o.CPUs}
	progress := progress{w: o.Progress, live: o.Live}
	var s *search
	s = &search{
		length:    o.Budget / 20,
		noTimeFor: func(more time.Duration) bool { return time.Since(began)+more+more/4 > o.Budget },
		try: func(rate float64, length time.Duration) (trial, error) {
			progress.begin(rate, s.bounds(), length)
			result, err := runner.run(ctx, rate, length)
			if err == nil {
				progress.end(result)
			}
			return result, err
		},
	}
	err := s.run()
	progress.clear()
	if err != nil && ctx.Err() == nil {
		return Report{}, err
	}
	asked, granted := group.ReceiveBuffer()
	return newReport(s, setup{
		protocol: o.Protocol, flows: o.Flows, size: o.Size, gso: o.GSO,
		asked: asked, granted: granted, shared: sharesCPU(group, o.CPUs),
	}), nil
}

// sharesCPU reports whether senders and shards have a CPU in common.
func sharesCPU(group *shard.Group, senders []int) bool {
	for _, s := range group.Listener().Shards {
		if slices.Contains(senders, s.CPU) {
			return true
		}
	}
	return false
}
