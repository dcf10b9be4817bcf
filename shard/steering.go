package shard

import (
	"fmt"
	"slices"
	"time"

	"github.com/udpshard/udpshard/internal/steer"
)

// Mode is a way of choosing the shard of a datagram.
type Mode = steer.Mode

// The modes.
const (
	// Auto keeps the datagrams of a flow (source address and port) on one shard, by a hash of
	// its own, and corrects skew. It is the default.
	Auto = steer.Auto
	// Hash is the kernel's hash of the 4-tuple.
	Hash = steer.Hash
	// CPU is the shard that is pinned to the CPU on which the kernel received the datagram.
	CPU = steer.CPU
	// Source keeps all ports of a source address on one shard.
	Source = steer.Source
	// Spray is any shard, at random, for each datagram: flows lose their order.
	Spray = steer.Spray
)

// Steering says how datagrams are spread over a group's shards. The zero
// Steering is automatic.
type Steering struct {
	// Mode is Auto where it is empty. Where the kernel takes no steering
	// programs, Auto is Hash: the listener's Steering tells.
	Mode Mode
	// StallAfter is how long a shard may be away from a queue that isn't
	// empty before others get its datagrams, from 10 ms up; 0 is 500 ms, and
	// less than that is for ever. In Hash it is only told.
	StallAfter time.Duration
	// SprayAbove is how many datagrams a second of one sender go to one
	// shard at the most in Auto, if that is more than a fair part; what
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
