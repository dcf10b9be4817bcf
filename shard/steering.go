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
	// Auto keeps the datagrams of a flow (source address and port) on one shard by a seeded hash,
	// and corrects skew. Auto is the default.
	Auto = steer.Auto
	// Hash is the kernel's hash of the 4-tuple.
	Hash = steer.Hash
	// CPU is the shard that is pinned to the CPU on which the kernel received the datagram.
	CPU = steer.CPU
	// Source keeps all ports of a source address on one shard.
	Source = steer.Source
	// Spray is a random shard for each datagram: flows lose their order.
	Spray = steer.Spray
)

// Steering chooses the shard of each datagram. The zero Steering is Auto with defaults.
type Steering struct {
	// Mode is Auto if empty. Where the kernel has no steering programs, Auto is Hash: see
	// Listener.Steering.
	Mode Mode
	// StallAfter is how long a shard may be away from a queue with datagrams before other shards
	// get its datagrams, at least 10 ms; 0 is 500 ms, and negative is for ever. In Hash a stall
	// is only reported.
	StallAfter time.Duration
	// SprayAbove is how many datagrams a second of one sender stay on one shard in Auto, if these
	// are more than the fair share of a shard. A sender above is spread over all shards, and loses
	// its order. 0 is 50,000; negative is no limit but the capacity of a shard.
	SprayAbove int
}

const (
	defaultStallAfter = 500 * time.Millisecond
	minStallAfter     = 10 * time.Millisecond

	// defaultSprayAbove is the capacity of a shard with the kernel's default receive buffer of 208
	// KiB (net.core.rmem_default), which holds some 500 small datagrams: 10 ms at this rate, about
	// three time slices of the scheduler.
	defaultSprayAbove = 50_000
)

// complete returns s with defaults, or a *ConfigError.
func (s Steering) complete(join bool) (Steering, error) {
	if s.Mode == "" {
		s.Mode = Auto
	}
	switch {
	case !slices.Contains(steer.Modes, s.Mode):
		return s, &ConfigError{"Steering.Mode", fmt.Errorf("there is no mode %q", s.Mode)}
	case join && s.Mode != Auto && s.Mode != Hash:
		return s, &ConfigError{"Steering.Mode", fmt.Errorf("%s does not work at a port that is shared with another process: only the kernel's hash chooses among the sockets of both", s.Mode)}
	case join:
		s.Mode = Hash
	}
	switch {
	case s.StallAfter == 0:
		s.StallAfter = defaultStallAfter
	case s.StallAfter < 0:
		s.StallAfter = 0
	case s.StallAfter < minStallAfter:
		return s, &ConfigError{"Steering.StallAfter", fmt.Errorf("%s is less than %s", s.StallAfter, minStallAfter)}
	}
	switch {
	case s.SprayAbove == 0:
		s.SprayAbove = defaultSprayAbove
	case s.SprayAbove < 0:
		s.SprayAbove = 0
	}
	return s, nil
}
