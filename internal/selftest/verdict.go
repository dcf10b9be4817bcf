package selftest

import (
	"fmt"
	"math/bits"
	"time"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/format"
)

const (
	busyCore  = 0.85                  // a shard that uses more of its core has no pauses left
	waitsLong = 0.10                  // of the time, for its core
	bridges   = 20 * time.Millisecond // what a buffer should: a few turns of the scheduler
)

// conclude says what limits first, and what to do about it.
func (r *Report) conclude(s *search, with setup) {
	enlarge := fmt.Sprintf("sysctl -w net.core.rmem_max=%d", with.asked)
	if s.bad == nil {
		r.blameSender(s, with)
		return
	}
	bad, busiest := s.bad, s.bad.busiest()
	at := format.Count(roundRate(bad.Rate)) + " datagrams/s"
	switch lasts := bufferLasts(with, bad.Rate/float64(len(bad.Shards))); {
	case busiest.Busy >= busyCore:
		r.Limit = "receive_cpu"
		r.Verdict = fmt.Sprintf("receive CPU is the limit: at %s shard %d used %.0f%% of CPU %d", at, busiest.Shard, 100*busiest.Busy, busiest.CPU)
		r.Remedy = "more --shards on more CPUs, with several flows to each: a flow never leaves its shard"
		if r.Skewed {
			r.Remedy = "the hash gave one shard too much: more flows spread better"
		}
	case bad.longestWait() >= waitsLong && with.shared:
		r.Limit = "shared_cpus"
		r.Verdict = fmt.Sprintf("cores are the limit: the sender shares them with shards, and at %s one waited %.0f%% of the time for its own", at, 100*bad.longestWait())
		r.Remedy = "fewer --shards leave the sender a core; or send from another host with udpshard send"
	case bad.longestWait() >= waitsLong:
		r.Limit = "pauses"
		r.Verdict = fmt.Sprintf("other work on this host is the limit: at %s a shard waited %.0f%% of the time for its core", at, 100*bad.longestWait())
		r.Remedy = "stop it, or give shards other cores with --cpus, and test again"
	case with.granted < with.asked:
		r.Limit = "receive_buffer"
		r.Verdict = fmt.Sprintf("the receive buffer is the limit: %s of %s was granted, which lasts %s at %s", cli.FormatSize(with.granted), cli.FormatSize(with.asked), brief(lasts), at)
		r.Remedy = enlarge
	case lasts < bridges:
		r.Limit = "receive_buffer"
		r.Verdict = fmt.Sprintf("the receive buffer is the limit: %s lasts %s at %s", cli.FormatSize(with.granted), brief(lasts), at)
		r.Remedy = "a larger --receive-buffer bridges the pauses that every host has"
	case s.slow:
		r.blameSender(s, with)
	default:
		r.Limit = "pauses"
		r.Verdict = fmt.Sprintf("pauses are the limit: at %s datagrams were lost with the busiest shard at %.0f%% of its core", at, 100*busiest.Busy)
		r.Remedy = "a virtual machine may not get its CPUs when it wants them: look at steal time, and test again"
	}
	if with.granted < with.asked && r.Limit != "receive_buffer" {
		r.Remedy += "; and " + enlarge + ", for the receive buffer is smaller than asked"
	}
}

// blameSender: the receiver could do more.
func (r *Report) blameSender(s *search, with setup) {
	r.Limit = "sender"
	r.Verdict = "the sender was the limit, not the receiver"
	if busiest := s.best.busiest(); busiest.Busy > 0 && busiest.Busy < busyCore {
		r.Verdict += fmt.Sprintf(": shard %d used %.0f%% of its core, which by that would be full near %s datagrams/s in all",
			busiest.Shard, 100*busiest.Busy, format.Count(roundRate(s.best.Rate/busiest.Busy)))
	}
	switch {
	case with.shared:
		r.Remedy = "the sender shares cores with shards here: fewer --shards leave it more; "
	case with.gso <= 1:
		r.Remedy = "--gso 16 makes sending cheaper; "
	}
	r.Remedy += "to see more than loopback can, send from another host with udpshard send"
}

func (t trial) longestWait() (longest float64) {
	for _, s := range t.Shards {
		longest = max(longest, s.Waited)
	}
	return longest
}

// bufferLasts is how long a shard may pause at a rate until its buffer is
// full. The kernel doubles the buffer and charges whole blocks of memory: 768
// bytes for a small datagram (its truesize on loopback, Linux 6.18), and about
// this for others.
func bufferLasts(with setup, rate float64) time.Duration {
	truesize := 768
	if with.size > 256 {
		truesize = 256 + 1<<bits.Len(uint(with.size+320-1))
	}
	return time.Duration(float64(2*with.granted/truesize) / max(rate, 1) * float64(time.Second))
}

func brief(d time.Duration) string {
	if d < 10*time.Millisecond {
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(time.Millisecond).String()
}
