package preflight

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/config"
	"github.com/udpshard/udpshard/internal/doctor"
	"github.com/udpshard/udpshard/internal/format"
	"github.com/udpshard/udpshard/internal/sys"
)

// Examine returns the findings of doctor about this host and a configuration. The checks of a start
// are for the configuration of a file; file is "" for flags. Counters are read twice, interval
// apart.
func Examine(ctx context.Context, c *config.Config, file string, interval time.Duration,
) ([]doctor.Finding, error) {
	usable, err := sys.UsableCPUs()
	if err != nil {
		return nil, err
	}
	var listeners []doctor.Listener
	for _, l := range c.Listeners {
		listeners = append(listeners, requirements(l, usable))
	}
	findings, err := doctor.New().Examine(ctx, listeners, interval)
	if err != nil {
		return nil, fmt.Errorf("examine this host: %w", err)
	}
	running := doctor.New().Instances(listeners)
	findings = append(checkReadiness(ctx, c, running), findings...)
	if file != "" {
		findings = append(checkStart(c, file, running), findings...)
	}
	return findings, nil
}

const startCheck = "start"

// checkStart reports whether serve would start with a file, also beside running instances, whose
// PIDs are given. The examination of the host has checked the ports.
func checkStart(c *config.Config, file string, running []int) []doctor.Finding {
	except := []string{"port"}
	if len(running) > 0 { // an instance listens at the takeover path, and accepts only its own user
		except = append(except, "takeover")
	}
	beside := func(pid int) bool { return slices.Contains(running, pid) }
	if err := (&Check{Config: c, Beside: beside}).Run(except...); err != nil {
		return Refusals(err)
	}
	return []doctor.Finding{{Check: startCheck, Level: doctor.OK,
		Finding: "serve can use everything in " + file}}
}

// Refusals returns a finding for each error with which serve would not start.
func Refusals(err error) (findings []doctor.Finding) {
	for _, err := range cli.Separate(err) {
		findings = append(findings, doctor.Finding{Check: startCheck, Level: doctor.Fail,
			Finding: "serve would not start: " + err.Error(), Remedy: cli.Hint(err)})
	}
	return findings
}

// Verdict returns the error of findings of which some fail.
func Verdict(findings []doctor.Finding) error {
	report := doctor.Report{Findings: findings}
	n := report.Count(doctor.Fail)
	if n == 0 {
		return nil
	}
	reason := "serve would not start"
	if slices.ContainsFunc(findings, func(f doctor.Finding) bool {
		return f.Level == doctor.Fail && f.Check != startCheck
	}) {
		reason = "this host would lose datagrams"
	}
	return fmt.Errorf("%s: %s of %d failed", reason, format.Plural(n, "check"), len(findings))
}

// requirements returns what a listener requires of the host.
func requirements(l *config.Listener, usable []int) doctor.Listener {
	e := doctor.Listener{
		Name: l.Name, Address: l.Resolved(), Dual: l.DualStack(),
		Shards: l.Shards, CPUs: l.CPUs, ReceiveBuffer: l.ReceiveBuffer, Join: l.Join,
		ShardMemory: l.Batch*l.MaxDatagram + outputMemory, ShardFiles: 1,
	}
	e.DefaultReceiveBuffer, e.DefaultCPUs = !l.IsSet("receive_buffer"), len(l.CPUs) == 0
	if l.GRO {
		e.ShardMemory = l.Batch*maxGROBatch + outputMemory
	}
	if len(e.CPUs) == 0 {
		e.CPUs = usable
	}
	if e.Shards == 0 {
		e.Shards = len(e.CPUs)
	}
	if l.HasOutputPerShard() {
		e.ShardFiles++
	}
	return e
}

const (
	outputMemory = 3 << 19  // bytes of records of a shard in its buffers and queue, at most
	maxGROBatch  = 64 << 10 // bytes of one message with UDP_GRO (udp(7))
)
