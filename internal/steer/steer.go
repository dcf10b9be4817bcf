// Package steer decides which shard gets which datagram, and writes the
// decision down as a classic BPF program for the kernel to run
// (SO_ATTACH_REUSEPORT_CBPF, socket(7), Linux 4.5; it needs no privilege).
//
// A Plan is the decision, and a pure function turns it into a program. The
// controller of Auto makes plans: it is shown, ten times a second, how each
// shard does and who its heaviest senders are (a Sketch, which the shard's
// thread keeps of a sample of its datagrams), and it changes the plan only
// where a shard falls behind or one sender is too much for any, and takes the
// change back once its cause has gone. Nothing here knows a socket.
package steer

import (
	"fmt"
	"strings"
)

// Mode is a way of spreading datagrams over shards.
type Mode string

// The modes.
const (
	// Auto keeps the datagrams of a flow (source address and port) on one
	// shard, like Hash, by a hash of its own, and corrects skew.
	Auto Mode = "auto"
	// Hash is the kernel's hash of the 4-tuple: no program.
	Hash Mode = "hash"
	// CPU is the shard that is pinned to the CPU on which the kernel received
	// the datagram.
	CPU Mode = "cpu"
	// Source keeps all ports of a source address on one shard.
	Source Mode = "source"
	// Spray is any shard, at random, for each datagram: flows lose their order.
	Spray Mode = "spray"
)

// Modes are all of them; the first is the default.
var Modes = []Mode{Auto, Hash, CPU, Source, Spray}

// Parse returns the mode that is spelled so.
func Parse(text string) (Mode, error) {
	var names []string
	for _, m := range Modes {
		if text == string(m) {
			return m, nil
		}
		names = append(names, string(m))
	}
	return "", fmt.Errorf("%q is not one of %s", text, strings.Join(names, ", "))
}
