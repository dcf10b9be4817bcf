package preflight

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/config"
	"github.com/udpshard/udpshard/internal/doctor"
	"github.com/udpshard/udpshard/internal/format"
	"github.com/udpshard/udpshard/internal/sys"
)

// The error at the end of a run with findings that fail. The findings have the details.
var (
	errLossy   = errors.New("this host would lose datagrams")
	errNoStart = errors.New("serve would not start") // all that fail are of startCheck
)

// Examine examines this host for a configuration, which is that of a file, or "" of flags.
func Examine(ctx context.Context, c *config.Config, file string, interval time.Duration) ([]doctor.Finding, error) {
	usable, err := sys.UsableCPUs()
	if err != nil {
		return nil, err
	}
	var listeners []doctor.Listener
	for _, l := range c.Listeners {
		listeners = append(listeners, examined(l, usable))
	}
	findings, err := doctor.New().Examine(ctx, listeners, interval)
	if err != nil {
		return nil, fmt.Errorf("examine this host: %w", err)
	}
	running := doctor.New().Instances(listeners)
	findings = append(ready(ctx, c, running), findings...)
	if file != "" {
		findings = append(start(c, file, running), findings...)
	}
	return findings, nil
}

const startCheck = "start"

// start returns whether serve would start with a file, or start again where instances already
// have its ports. running are their PIDs. Ports are checked by the examination of the host.
func start(c *config.Config, file string, running []int) []doctor.Finding {
	but := []string{"port"}
	if len(running) > 0 { // the takeover path is that instance's, and lets in its user alone
		but = append(but, "takeover")
	}
	beside := func(pid int) bool { return slices.Contains(running, pid) }
	if err := (&Check{Config: c, Beside: beside}).Run(but...); err != nil {
		return Refusals(err)
	}
	return []doctor.Finding{{Check: startCheck, Level: doctor.OK, Finding: "serve can use all that " + file + " names"}}
}

// Refusals are the findings of what serve would not start with.
func Refusals(err error) (findings []doctor.Finding) {
	for _, err := range cli.Separate(err) {
		findings = append(findings, doctor.Finding{Check: startCheck, Level: doctor.Fail, Finding: "serve would not start: " + err.Error(), Remedy: cli.Hint(err)})
	}
	return findings
}

// Verdict is the error of a run with findings that fail.
func Verdict(findings []doctor.Finding) error {
	report := doctor.Report{Findings: findings}
	n := report.Count(doctor.Fail)
	if n == 0 {
		return nil
	}
	reason := errNoStart
	if slices.ContainsFunc(findings, func(f doctor.Finding) bool {
		return f.Level == doctor.Fail && f.Check != startCheck
	}) {
		reason = errLossy
	}
	return fmt.Errorf("%w: %s of %d failed", reason, format.Plural(n, "check"), len(findings))
}

// examined is the listener as far as the host matters to it.
func examined(l *config.Listener, usable []int) doctor.Listener {
	e := doctor.Listener{
		Name: l.Name, Address: l.Resolved(), Dual: l.DualStack(),
		Shards: l.Shards, CPUs: l.CPUs, ReceiveBuffer: l.ReceiveBuffer, Join: l.Join,
		ShardMemory: l.Batch*l.MaxDatagram + outputMemory, ShardFiles: 1,
	}
	e.DefaultReceiveBuffer, e.DefaultCPUs = !l.IsSet("receive_buffer"), len(l.CPUs) == 0
	if l.GRO {
		e.ShardMemory = l.Batch*longestTrain + outputMemory
	}
	if len(e.CPUs) == 0 {
		e.CPUs = usable
	}
	if e.Shards == 0 {
		e.Shards = len(e.CPUs)
	}
	if strings.Contains(l.Output, "{shard}") {
		e.ShardFiles++
	}
	return e
}

const (
	outputMemory = 3 << 19  // 1.5 MiB of records per shard are on their way at most
	longestTrain = 64 << 10 // which UDP_GRO may put into one message (udp(7))
)
