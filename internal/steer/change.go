package steer

import (
	"fmt"
	"net/netip"
)

// Kind is a kind of change.
type Kind string

// The kinds, in pairs: what is done, and what undoes it.
const (
	Moving     Kind = "move"
	Returning  Kind = "return"
	Spraying   Kind = "spray"
	Unspraying Kind = "unspray"
	Avoiding   Kind = "avoid"
	Restoring  Kind = "restore"
)

// Reattaching: the program was gone from the sockets, and is attached again. Whoever opens
// another socket of the group, or holds one of its sockets, can detach the program.
const Reattaching Kind = "reattach"

// Unfiltering: a socket filter that another process had attached to a shard's socket, and that
// dropped what came there, is detached.
const Unfiltering Kind = "detach_filter"

// Where a stuck shard is not steered around, that it is stuck and that it
// reads again is told all the same. These change nothing.
const (
	Stalling Kind = "stall"
	Resuming Kind = "resume"
)

// Kinds are all kinds of change.
var Kinds = []Kind{Moving, Returning, Spraying, Unspraying, Avoiding, Restoring, Reattaching, Unfiltering}

// Change is one change of a plan, and why.
type Change struct {
	Kind    Kind
	Shard   int            // away from which, or back to which; of a sender, the one that had it; not of Reattaching
	Buckets int            // moved or returned
	Sender  netip.AddrPort // sprayed, or no longer
	Reason  string
}

// String says what changes, without the reason.
func (c Change) String() string {
	switch c.Kind {
	case Moving:
		return fmt.Sprintf("moved %d buckets away from shard %d", c.Buckets, c.Shard)
	case Returning:
		return fmt.Sprintf("returned %d buckets to shard %d", c.Buckets, c.Shard)
	case Spraying:
		return fmt.Sprintf("spraying %s, which was on shard %d", c.Sender, c.Shard)
	case Unspraying:
		return fmt.Sprintf("%s has shard %d again", c.Sender, c.Shard)
	case Avoiding:
		return fmt.Sprintf("steering around shard %d", c.Shard)
	case Stalling:
		return fmt.Sprintf("shard %d is stuck", c.Shard)
	case Unfiltering:
		return fmt.Sprintf("socket filter of shard %d detached", c.Shard)
	case Reattaching:
		return "steering program attached again"
	case Resuming:
		return fmt.Sprintf("shard %d reads again", c.Shard)
	default:
		return fmt.Sprintf("taking shard %d back", c.Shard)
	}
}
