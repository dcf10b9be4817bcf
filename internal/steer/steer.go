// Package steer chooses the shard of each datagram. A Plan is the choice, and Plan.Program writes
// the plan as a classic BPF program, which the kernel runs for the sockets of a SO_REUSEPORT group
// (SO_ATTACH_REUSEPORT_CBPF, socket(7), Linux 4.5; no privilege needed).
//
// A Balancer makes the plans of the mode Auto. Ten times a second it gets a Sample of each shard
// and the heaviest senders, in a Sketch that the shard's thread fills from a sample of datagrams.
// The Balancer changes the plan only where a shard falls behind or a sender is too much for one
// shard, and takes the change back after the cause has gone.
//
// The package is pure: it has no sockets, files or clocks.
package steer

// Mode is a way of spreading datagrams over shards.
type Mode string

// The modes.
const (
	// Auto keeps the datagrams of a flow (source address and port) on one shard by a seeded hash,
	// and corrects skew.
	Auto Mode = "auto"
	// Hash is the kernel's hash of the 4-tuple, without a program.
	Hash Mode = "hash"
	// CPU is the shard that is pinned to the CPU on which the kernel received the datagram.
	CPU Mode = "cpu"
	// Source keeps all ports of a source address on one shard.
	Source Mode = "source"
	// Spray is a random shard for each datagram: flows lose their order.
	Spray Mode = "spray"
)

// Modes are all modes. The first is the default.
var Modes = []Mode{Auto, Hash, CPU, Source, Spray}
