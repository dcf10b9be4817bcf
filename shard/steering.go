package shard

import (
	"fmt"
	"slices"
	"time"

	"github.com/udpshard/udpshard/internal/steer"
)

// Steering says how datagrams are spread over a group's shards. The zero
// Steering is automatic.
type Steering struct {
	// Mode is steer.Auto where it is empty. Where the kernel takes no steering
	// programs, steer.Auto is steer.Hash: the listener's Steering tells.
	Mode steer.Mode
	// StallAfter is how long a shard may be away from a queue that isn't
	// empty before others get its datagrams, from 10 ms up; 0 is 500 ms, and
	// less than that is for ever. In steer.Hash it is only told.
	StallAfter time.Duration
	// SprayAbove is how many datagrams a second of one sender go to one
	// shard at the most in steer.Auto, if that is more than a fair part; what
	// is above is spread over all, and loses its order. 0 is 50,000; less
	// than that is any number that the shard can keep up with.
	SprayAbove int
}

const (
	defaultStallAfter = 500 * time.Millisecond
	shortestStall     = 10 * time.Millisecond

	// defaultSprayAbove is what a shard bears with a default receive buffer
	// of 208 KiB (net.core.rmem_default), which holds some 500 small
	// datagrams: 10 ms of it, about three turns of the scheduler.
	defaultSprayAbove = 50_000
)

// complete returns s with defaults filled in, or a *ConfigError.
func (s Steering) complete(join bool) (Steering, error) {
	asked := s.Mode
	if asked == "" {
		s.Mode = steer.Auto
	}
	switch {
	case !slices.Contains(steer.Modes, s.Mode):
		return s, &ConfigError{"Steering.Mode", fmt.Errorf("there is no mode %q", s.Mode)}
	case join && s.Mode != steer.Auto && s.Mode != steer.Hash:
		return s, &ConfigError{"Steering.Mode", fmt.Errorf("%s can't be had where sockets of other processes share the port: nothing but the kernel's hash knows them all", s.Mode)}
	case join:
		s.Mode = steer.Hash
	}
	switch {
	case s.StallAfter == 0:
		s.StallAfter = defaultStallAfter
	case s.StallAfter < 0:
		s.StallAfter = 0
	case s.StallAfter < shortestStall:
		return s, &ConfigError{"Steering.StallAfter", fmt.Errorf("%s is less than %s", s.StallAfter, shortestStall)}
	}
	switch {
	case s.SprayAbove == 0:
		s.SprayAbove = defaultSprayAbove
	case s.SprayAbove < 0:
		s.SprayAbove = 0
	}
	return s, nil
}

// Event is something about a group that people may want to be told. Whoever
// is told may call the group.
type Event struct {
	Change steer.Change // of steering, if its Kind is not empty
	Shared bool         // another process's sockets have joined: the kernel's hash spreads datagrams now
	Alone  bool         // they have left: steering goes on
	Filter bool         // it is about the socket filter of a shard, which Change or Err says more of
	Err    error        // steering could not be put into force, what was stays; or the filter could not be detached
}
