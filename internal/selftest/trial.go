package selftest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/loadgen"
	"github.com/udpshard/udpshard/internal/sys"
	"github.com/udpshard/udpshard/metrics"
	"github.com/udpshard/udpshard/shard"
)

// stand is the group under test, and how its senders are started.
type stand struct {
	group   *shard.Group
	flows   int
	size    int
	gso     int
	threads int
	cpus    []int // of the senders
}

// sendProgram makes the command that runs send in a process of its own, so
// that its CPU is not the receiver's. It is this very program, even if its
// file has been replaced since.
var sendProgram = func(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/proc/self/exe", args...)
	cmd.Args[0] = os.Args[0]
	return cmd
}

// try sends at a rate for so long, and waits until the queues are empty.
func (s *stand) try(ctx context.Context, rate float64, length time.Duration) (trial, error) {
	args := []string{"send", "--json", "--to", s.group.Addr().String(), "--rate", strconv.FormatFloat(rate, 'f', 0, 64),
		"--duration", length.String(), "--flows", strconv.Itoa(s.flows), "--threads", strconv.Itoa(s.threads),
		"--cpus", sys.CPUs(s.cpus).String()}
	if s.size > 0 {
		args = append(args, "--size", strconv.Itoa(s.size))
	}
	if s.gso > 1 {
		args = append(args, "--gso", strconv.Itoa(s.gso))
	}
	cmd := sendProgram(ctx, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL, Setpgid: true} // an interrupt is ours to handle

	before, waits := s.group.Listener().Read(), s.waits()
	if err := cmd.Start(); err != nil {
		return trial{}, fmt.Errorf("start the sender: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	watch := watch{listener: s.group.Listener(), last: metrics.Sum(before).Received}
	err := watch.until(ended)
	if ctx.Err() != nil {
		return trial{}, ctx.Err()
	}
	if err != nil {
		said := strings.TrimPrefix(strings.TrimSpace(stderr.String()), "udpshard: error: ")
		return trial{}, fmt.Errorf("the sender: %w: %s", err, said)
	}
	var sent loadgen.Summary
	if err := json.Unmarshal(stdout.Bytes(), &sent); err != nil {
		return trial{}, fmt.Errorf("the sender's report: %w", err)
	}
	t := trial{
		Asked: rate, Rate: sent.Rate, Sent: sent.Sent, Bytes: sent.Bytes, Backlog: watch.backlog(),
		Elapsed:   time.Duration(sent.Seconds * float64(time.Second)),
		SenderCPU: time.Duration(sent.CPUSeconds * float64(time.Second)),
	}
	waited := s.waits().since(waits)
	t.count(before, s.settle(metrics.Sum(before), sent.Sent))
	for i := range t.Shards {
		t.Shards[i].Waited = waited[i]
	}
	return t, nil
}

// settle waits until everything is accounted for or nothing moves any more:
// a socket of the kernel can lose nothing silently, so that is soon.
func (s *stand) settle(before metrics.Reading, sent uint64) []metrics.Reading {
	last := before.Received
	for moved := time.Now(); ; time.Sleep(2 * time.Millisecond) {
		now := s.group.Listener().Read()
		sum := metrics.Sum(now)
		if sum.Received != last {
			last, moved = sum.Received, time.Now()
		}
		came := sum.Received - before.Received + sum.Dropped.Kernel - before.Dropped.Kernel
		if came >= sent && sum.InFlight == 0 || time.Since(moved) > time.Second {
			return now
		}
	}
}

// waits are how long each shard's thread was ready to run and had no core, up to
// a moment.
type waits struct {
	at     time.Time
	shards []time.Duration
}

// since returns the parts of the time in between. The sender's own time is less: it
// takes some to start, and on a busy host it may be most. A wait is counted when it
// ends (sched_info_arrive, kernel/sched/stats.h), also what of it came before.
func (w waits) since(before waits) []float64 {
	parts := make([]float64, len(w.shards))
	for i, waited := range w.shards {
		parts[i] = min((waited-before.shards[i]).Seconds()/max(w.at.Sub(before.at).Seconds(), 1e-9), 1)
	}
	return parts
}

// waits reads the second number of schedstat (Documentation/scheduler/sched-stats.rst),
// which kernels without CONFIG_SCHED_INFO leave out; then it is 0.
func (s *stand) waits() waits {
	shards := s.group.Listener().Shards
	waited := make([]time.Duration, len(shards))
	for i, page := range shards {
		text, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/schedstat", page.Thread()))
		if fields := strings.Fields(string(text)); err == nil && len(fields) == 3 {
			nanos, _ := strconv.ParseInt(fields[1], 10, 64)
			waited[i] = time.Duration(nanos)
		}
	}
	return waits{time.Now(), waited}
}

// count fills in what the shards did between two readings.
func (t *trial) count(before, after []metrics.Reading) {
	b, a := metrics.Sum(before), metrics.Sum(after)
	t.Received, t.Kernel = a.Received-b.Received, a.Dropped.Kernel-b.Dropped.Kernel
	t.ReceiveCPU = a.CPUTime - b.CPUTime
	for i, now := range after {
		came := now.Received - before[i].Received + now.Dropped.Kernel - before[i].Dropped.Kernel
		t.Shards = append(t.Shards, shardTrial{
			Shard: now.Shard,
			CPU:   now.CPU,
			Share: float64(came) / max(float64(t.Received+t.Kernel), 1),
			// A full core goes on for a while after the sender has ended.
			Busy: min((now.CPUTime-before[i].CPUTime).Seconds()/max(t.Elapsed.Seconds(), 1e-9), 1),
		})
	}
}

// watch looks at the queues while a trial runs.
type watch struct {
	listener     *metrics.Listener
	last         uint64
	seen, behind int
}

func (w *watch) until(ended <-chan error) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			return err
		case <-tick.C:
			w.look(w.listener.Read())
		}
	}
}

// look counts only while something arrives.
func (w *watch) look(shards []metrics.Reading) {
	received := metrics.Sum(shards).Received
	if received == w.last {
		return
	}
	w.last = received
	w.seen++
	for _, s := range shards {
		if s.QueueBytes*10 > s.BufferBytes {
			w.behind++
			return
		}
	}
}

func (w *watch) backlog() float64 { return float64(w.behind) / max(float64(w.seen), 1) }
