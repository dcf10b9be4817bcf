package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/config"
	"github.com/udpshard/udpshard/internal/doctor"
	"github.com/udpshard/udpshard/internal/format"
	"github.com/udpshard/udpshard/internal/preflight"
	"github.com/udpshard/udpshard/internal/sys"
)

func doctorCommand() *cobra.Command {
	d := doctorRun{interval: time.Second}
	cmd := &cobra.Command{
		Use:   "doctor [flags]",
		Short: "Check this host, and print each finding with its remedy",
		Long: `Checks the way of a datagram from the network card to a shard, prints what loses
datagrams on this host, and the remedy. It changes nothing. Beside a running
instance, doctor checks that instance's sockets and limits, and asks it at
--http whether every shard reads. Without an instance, doctor checks what serve
would get here with the same flags or file. If serve would not start with the
file, doctor fails with all errors of serve --check.

  ok    nothing to do
  warn  datagrams may be lost under load, or shards used unevenly
  fail  datagrams are lost now, or will be with these settings
  skip  can't be seen from here

doctor reads counters twice: what grows between the two readings is lost now.
Exit code 1 if a check fails, else 0. Some checks need root.`,
		Args: noArguments,
		Example: `  udpshard doctor --listen :5514
  udpshard doctor --config /etc/udpshard.yaml --interval 10s --json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := d.flags.Config()
			if err != nil && (d.flags.File == "" || cli.IsUsage(err)) {
				return err
			}
			if err != nil { // there is nothing to examine the host for
				return d.print(cmd, refusals(err), false)
			}
			return d.run(cmd, c)
		},
	}
	set := cmd.Flags()
	d.flags.Define(set, "YAML `FILE` of serve, whose listeners are all checked, instead of the listener flags",
		"listen", "shards", "cpus", "receive-buffer", "join", "http")
	set.Lookup("http").Usage = "`ADDR` of a running instance, which doctor asks whether every shard " +
		"reads; empty: doctor does not ask; $" + config.HTTPVariable + " changes the default"
	cli.AddFlag(set, &d.interval, "interval", cli.ParseDuration, "`DURATION` between the two readings of counters; 0 is one reading, which can't show what is lost now")
	set.BoolVar(&d.json, "json", false, "print a JSON array of findings")
	return cmd
}

// doctorRun is one run of it.
type doctorRun struct {
	flags    config.Flags
	interval time.Duration
	json     bool
}

// The error at the end of a run with findings that fail. The findings have the details.
var (
	errLossy   = errors.New("this host would lose datagrams")
	errNoStart = errors.New("serve would not start") // all that fail are of startCheck
)

func (d *doctorRun) run(cmd *cobra.Command, c *config.Config) error {
	usable, err := sys.UsableCPUs()
	if err != nil {
		return err
	}
	var listeners []doctor.Listener
	for _, l := range c.Listeners {
		listeners = append(listeners, examined(l, usable))
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends it at once
	findings, err := doctor.New().Examine(ctx, listeners, d.interval)
	if err != nil {
		return fmt.Errorf("examine this host: %w", err)
	}
	running := doctor.New().Instances(listeners)
	findings = append(d.ready(ctx, c, running), findings...)
	if d.flags.File != "" {
		findings = append(d.start(c, running), findings...)
	}
	return d.print(cmd, findings, len(listeners) > 1)
}

const startCheck = "start"

// start returns whether serve would start with a file, or start again where instances already
// have its ports. running are their PIDs. Ports are checked by the examination of the host.
func (d *doctorRun) start(c *config.Config, running []int) []doctor.Finding {
	but := []string{"port"}
	if len(running) > 0 { // the takeover path is that instance's, and lets in its user alone
		but = append(but, "takeover")
	}
	beside := func(pid int) bool { return slices.Contains(running, pid) }
	if err := (&preflight.Check{Config: c, Beside: beside}).Run(but...); err != nil {
		return refusals(err)
	}
	return []doctor.Finding{{Check: startCheck, Level: doctor.OK, Finding: "serve can use all that " + d.flags.File + " names"}}
}

// refusals are the findings of what serve would not start with.
func refusals(err error) (findings []doctor.Finding) {
	for _, err := range cli.Separate(err) {
		findings = append(findings, doctor.Finding{Check: startCheck, Level: doctor.Fail, Finding: "serve would not start: " + err.Error(), Remedy: cli.Hint(err)})
	}
	return findings
}

func (d *doctorRun) print(cmd *cobra.Command, findings []doctor.Finding, named bool) (err error) {
	report := doctor.Report{Findings: findings, Named: named, Color: wantsColor(cmd.OutOrStdout())}
	if d.json {
		err = report.JSON(cmd.OutOrStdout())
	} else {
		err = report.Text(cmd.OutOrStdout())
	}
	if err != nil {
		return err
	}
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

// wantsColor says whether w is a terminal whose user has not said no
// (no-color.org).
func wantsColor(w io.Writer) bool {
	return os.Getenv("NO_COLOR") == "" && cli.IsTerminal(w)
}
