package selftest

import (
	"fmt"
	"math/bits"
	"time"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/format"
)

const (
	busyCPU       = 0.85                  // a shard that uses more of its CPU never pauses
	longWait      = 0.10                  // part of the time, for a CPU
	minBufferTime = 20 * time.Millisecond // that a receive buffer should last for: a few time slices of the scheduler
)

// conclude sets what limits the rate first, and the remedy.
func (r *Report) conclude(s *search, with setup) {
	enlarge := fmt.Sprintf("sysctl -w net.core.rmem_max=%d", with.asked)
	if s.bad == nil {
		r.concludeSender(s, with)
		return
	}
	bad, busiest := s.bad, s.bad.busiest()
	at := format.Count(roundRate(bad.Rate)) + " datagrams/s"
	switch lasts := bufferLasts(with, bad.Rate/float64(len(bad.Shards))); {
	case busiest.Busy >= busyCPU:
		r.Limit = "receive_cpu"
		r.Verdict = fmt.Sprintf("receive CPU is the limit: at %s shard %d used %.0f%% of CPU %d", at, busiest.Shard, 100*busiest.Busy, busiest.CPU)
		r.Remedy = "use more --shards on more CPUs, with several flows for each: a flow stays on its shard"
		if r.Skewed {
			r.Remedy = "use more flows, which spread better: the hash gave one shard too many datagrams"
		}
	case bad.longestWait() >= longWait && with.shared:
		r.Limit = "shared_cpus"
		r.Verdict = fmt.Sprintf("CPUs are the limit: the sender shares CPUs with shards, and at %s a shard waited for its CPU for %.0f%% of the time", at, 100*bad.longestWait())
		r.Remedy = "use fewer --shards, which leaves the sender a CPU; or send from another host with udpshard send"
	case bad.longestWait() >= longWait:
		r.Limit = "pauses"
		r.Verdict = fmt.Sprintf("other work on this host is the limit: at %s a shard waited for its CPU for %.0f%% of the time", at, 100*bad.longestWait())
		r.Remedy = "stop the other work, or give shards other CPUs with --cpus, and test again"
	case with.granted < with.asked:
		r.Limit = "receive_buffer"
		r.Verdict = fmt.Sprintf("the receive buffer is the limit: %s of %s was granted, which lasts %s at %s", cli.FormatSize(with.granted), cli.FormatSize(with.asked), brief(lasts), at)
		r.Remedy = enlarge
	case lasts < minBufferTime:
		r.Limit = "receive_buffer"
		r.Verdict = fmt.Sprintf("the receive buffer is the limit: %s lasts %s at %s", cli.FormatSize(with.granted), brief(lasts), at)
		r.Remedy = "use a larger --receive-buffer, which lasts for the usual pauses of a host"
	case s.slow:
		r.concludeSender(s, with)
	default:
		r.Limit = "pauses"
		r.Verdict = fmt.Sprintf("pauses are the limit: at %s datagrams were lost while the busiest shard used %.0f%% of its CPU", at, 100*busiest.Busy)
		r.Remedy = "check steal time: a virtual machine may not get its CPUs when needed; then test again"
	}
	if with.granted < with.asked && r.Limit != "receive_buffer" {
		r.Remedy += "; and " + enlarge + ", because the receive buffer is smaller than asked"
	}
}

// concludeSender sets the sender as the limit: the receiver could do more.
func (r *Report) concludeSender(s *search, with setup) {
	r.Limit = "sender"
	r.Verdict = "the sender was the limit, not the receiver"
	if busiest := s.best.busiest(); busiest.Busy > 0 && busiest.Busy < busyCPU {
		r.Verdict += fmt.Sprintf(": shard %d used %.0f%% of its CPU, which would be full near %s datagrams/s in all",
			busiest.Shard, 100*busiest.Busy, format.Count(roundRate(s.best.Rate/busiest.Busy)))
	}
	switch {
	case with.shared:
		r.Remedy = "use fewer --shards, which leaves the sender more CPU time; "
	case with.gso <= 1:
		r.Remedy = "use --gso 16, which makes sending cheaper; "
	}
	r.Remedy += "to test beyond loopback, send from another host with udpshard send"
}

func (t trial) longestWait() (longest float64) {
	for _, s := range t.Shards {
		longest = max(longest, s.Waited)
	}
	return longest
}

// bufferLasts returns how long a shard may pause at a rate until its buffer is full. The kernel
// doubles the size of the buffer and charges whole blocks of memory: 768 bytes for a small datagram
// (its truesize on loopback, Linux 6.18), and about the size below for larger datagrams.
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
