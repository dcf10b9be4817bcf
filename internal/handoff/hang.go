package handoff

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/udpshard/udpshard/metrics"
)

const (
	// HangTimeout is how long a shard may go without a heartbeat before the process stops waiting
	// for the shard. A busy shard has a heartbeat with each batch, an idle shard every 250 ms, and a
	// shard that waits for its output every 10 ms. A shard whose thread is ready to run and gets no
	// CPU does not hang.
	HangTimeout = 5 * time.Second
	// HangCheckInterval is the time between two calls of HangDetector.Check. A shard hangs if two
	// checks find the same state: after a long wait for its output, a shard has the next heartbeat
	// at the end of the batch.
	HangCheckInterval = 200 * time.Millisecond
)

// HangDetector finds shards of this process that hang, in a handler or in a system call. A
// HangDetector is for one goroutine.
type HangDetector struct {
	ledger   *metrics.Ledger
	suspects map[*metrics.Shard]silentShard // at the last check
}

// silentShard is a shard without a heartbeat for HangTimeout.
type silentShard struct {
	heartbeat int64
	thread    threadState
}

// NewHangDetector returns a HangDetector for the shards of a ledger.
func NewHangDetector(ledger *metrics.Ledger) *HangDetector { return &HangDetector{ledger: ledger} }

// Check returns the shards that hang, and whether the next check may find more.
func (d *HangDetector) Check(now time.Time) (hanging []metrics.StalledShard, more bool) {
	suspects := make(map[*metrics.Shard]silentShard)
	for _, s := range d.ledger.Stalled(now, HangTimeout) {
		if s.Shard.Thread() == 0 {
			continue // not started yet
		}
		is := silentShard{s.Shard.LastHeartbeat(), threadStateOf(s.Shard.Thread())}
		suspects[s.Shard] = is
		was, known := d.suspects[s.Shard]
		if known && was.heartbeat == is.heartbeat && !is.thread.starved(was.thread) {
			hanging = append(hanging, s)
		}
	}
	d.suspects = suspects
	return hanging, len(suspects) > 0
}

// threadState is the kernel's state of a thread of this process (proc_pid_stat(5)).
type threadState struct {
	state      byte   // R: running, or ready to run
	user, kern uint64 // CPU time, in ticks of 10 ms
}

// threadStateOf returns the zero threadState if /proc does not have the thread.
func threadStateOf(thread int) (t threadState) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/stat", thread))
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:])) // from state on
	if err != nil || len(fields) < 13 {
		return threadState{}
	}
	t.state = fields[0][0]
	t.user, _ = strconv.ParseUint(fields[11], 10, 64)
	t.kern, _ = strconv.ParseUint(fields[12], 10, 64)
	return t
}

// starved returns whether a thread is ready to run, and has got no CPU since before.
func (t threadState) starved(before threadState) bool { return t.state == 'R' && t == before }
