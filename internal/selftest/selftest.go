// Package selftest finds the highest rate at which a group of shards loses nothing of what is
// sent to it on loopback by a process of its own, what a datagram costs, how evenly shards are
// used, and what limits first.
package selftest

import (
	"context"
	"io"
	"slices"
	"time"

	"github.com/udpshard/udpshard/shard"
)

// Options are what a test sends, and for how long.
type Options struct {
	Protocol string // of the shards, for the report
	Flows    int    // source ports
	Size     int    // bytes of each payload; 0: a syslog line of some 75 bytes
	GSO      int    // datagrams to a train; 0 or 1: no trains
	Threads  int    // senders
	CPUs     []int  // of the senders
	Budget   time.Duration
	Progress io.Writer // what is told of each trial
	Live     bool      // Progress is a terminal: one line is overwritten
}

// Run searches, with a group that runs. When ctx ends it returns what it has found by then. The
// error is the sender's, or that of starting one.
func Run(ctx context.Context, group *shard.Group, o Options) (Report, error) {
	began := time.Now()
	stand := stand{group: group, flows: o.Flows, size: o.Size, gso: o.GSO, threads: o.Threads, cpus: o.CPUs}
	progress := progress{w: o.Progress, live: o.Live}
	var s *search
	s = &search{
		length: o.Budget / 20,
		enough: func(more time.Duration) bool { return time.Since(began)+more+more/4 > o.Budget },
		try: func(rate float64, length time.Duration) (trial, error) {
			progress.begin(rate, s.between(), length)
			result, err := stand.try(ctx, rate, length)
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
		asked: asked, granted: granted, shared: shared(group, o.CPUs),
	}), nil
}

// shared says whether senders and shards have a core in common.
func shared(group *shard.Group, senders []int) bool {
	for _, s := range group.Listener().Shards {
		if slices.Contains(senders, s.CPU) {
			return true
		}
	}
	return false
}
