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

// trialRunner sends to the group under test.
type trialRunner struct {
	group   *shard.Group
	flows   int
	size    int
	gso     int
	threads int
	cpus    []int // of the senders
}

// sendProgram returns the command that runs send in a process of its own, so that the sender's CPU
// time is not the receiver's. The command runs this very program, also if the program's file has
// been replaced.
var sendProgram = func(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/proc/self/exe", args...)
	cmd.Args[0] = os.Args[0]
	return cmd
}

// run sends at a rate for a length of time, and waits until the queues are empty.
func (s *trialRunner) run(ctx context.Context, rate float64, length time.Duration) (trial, error) {
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
	// In a process group of its own the sender gets no interrupts from a terminal.
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL, Setpgid: true}

	before, delays := s.group.Listener().Read(), s.runDelays()
	if err := cmd.Start(); err != nil {
		return trial{}, fmt.Errorf("start the sender: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	watch := queueWatch{listener: s.group.Listener(), last: metrics.Sum(before).Received}
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
	waited := s.runDelays().since(delays)
	t.addReadings(before, s.waitAccounted(metrics.Sum(before), sent.Sent))
	for i := range t.Shards {
		t.Shards[i].Waited = waited[i]
	}
	return t, nil
}

// waitAccounted waits until all sent datagrams are accounted for, or no count changes for a second.
func (s *trialRunner) waitAccounted(before metrics.Reading, sent uint64) []metrics.Reading {
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

// runDelays are the times that each shard's thread has waited for its CPU, up to a moment.
type runDelays struct {
	at     time.Time
	shards []time.Duration
}

// since returns the waits as parts of the time between two moments. The sender's own time is
// shorter, without the start of the sender, which may take most of the time on a busy host. The
// kernel counts a wait at its end (sched_info_arrive, kernel/sched/stats.h), with the part before
// the first moment.
func (w runDelays) since(before runDelays) []float64 {
	parts := make([]float64, len(w.shards))
	for i, waited := range w.shards {
		parts[i] = min((waited-before.shards[i]).Seconds()/max(w.at.Sub(before.at).Seconds(), 1e-9), 1)
	}
	return parts
}

// runDelays returns 0 for each shard on a kernel without CONFIG_SCHED_INFO.
func (s *trialRunner) runDelays() runDelays {
	shards := s.group.Listener().Shards
	waited := make([]time.Duration, len(shards))
	for i, shard := range shards {
		var delay sys.RunDelay
		waited[i] = delay.Of(shard.Thread())
		delay.Close()
	}
	return runDelays{time.Now(), waited}
}

// addReadings adds what the shards did between two readings.
func (t *trial) addReadings(before, after []metrics.Reading) {
	b, a := metrics.Sum(before), metrics.Sum(after)
	t.Received, t.Kernel = a.Received-b.Received, a.Dropped.Kernel-b.Dropped.Kernel
	t.ReceiveCPU = a.CPUTime - b.CPUTime
	for i, now := range after {
		came := now.Received - before[i].Received + now.Dropped.Kernel - before[i].Dropped.Kernel
		t.Shards = append(t.Shards, shardTrial{
			Shard: now.Shard,
			CPU:   now.CPU,
			Share: float64(came) / max(float64(t.Received+t.Kernel), 1),
			// A full shard works on for a while after the sender has ended.
			Busy: min((now.CPUTime-before[i].CPUTime).Seconds()/max(t.Elapsed.Seconds(), 1e-9), 1),
		})
	}
}

// queueWatch samples the queues during a trial.
type queueWatch struct {
	listener     *metrics.Listener
	last         uint64
	seen, behind int
}

func (w *queueWatch) until(ended <-chan error) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			return err
		case <-tick.C:
			w.sample(w.listener.Read())
		}
	}
}

// sample counts only while datagrams arrive.
func (w *queueWatch) sample(shards []metrics.Reading) {
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

func (w *queueWatch) backlog() float64 { return float64(w.behind) / max(float64(w.seen), 1) }
