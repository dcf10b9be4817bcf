package steer

import "net/netip"

// Kind is a kind of change.
type Kind string

// The kinds of the Balancer, each followed by the kind that undoes it.
const (
	Moving     Kind = "move"    // of buckets to other shards
	Returning  Kind = "return"  // of buckets to their home shard
	Spraying   Kind = "spray"   // of a sender over all shards
	Unspraying Kind = "unspray" // of a sender, which has one shard again
	Avoiding   Kind = "avoid"   // of a stalled shard
	Restoring  Kind = "restore" // of an avoided shard
)

// Kinds that are counted, and that the Balancer does not make.
const (
	// Reattaching: the program was detached from the sockets, and is attached again. A process
	// that opens another socket of the group, or holds a socket of the group, can detach it.
	Reattaching Kind = "reattach"
	// Unfiltering: a socket filter that another process had attached to a shard's socket, and
	// that dropped datagrams, is detached.
	Unfiltering Kind = "detach_filter"
)

// Kinds of events that change nothing: a stall that steering does not avoid, and its end.
const (
	Stalling Kind = "stall"
	Resuming Kind = "resume"
)

// Kinds are all kinds that are counted.
var Kinds = []Kind{Moving, Returning, Spraying, Unspraying, Avoiding, Restoring, Reattaching, Unfiltering}

// Change is a change of a plan, with its reason.
type Change struct {
	Kind    Kind
	Shard   int            // which had or has the buckets or the sender; 0 for Reattaching
	Buckets int            // number, for Moving and Returning
	Sender  netip.AddrPort // for Spraying and Unspraying
	Reason  string
}

var messages = map[Kind]string{
	Moving:      "buckets moved to other shards",
	Returning:   "buckets returned to their shard",
	Spraying:    "sender sprayed over all shards",
	Unspraying:  "sender back on one shard",
	Avoiding:    "shard stalled, datagrams go to other shards",
	Restoring:   "shard resumed, datagrams come back",
	Stalling:    "shard stalled",
	Resuming:    "shard resumed",
	Reattaching: "steering program attached again",
	Unfiltering: "socket filter detached",
}

// String returns the change as a log message, without its fields.
func (c Change) String() string { return messages[c.Kind] }
