package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/client"
	"github.com/udpshard/udpshard/internal/config"
	"github.com/udpshard/udpshard/internal/doctor"
	"github.com/udpshard/udpshard/internal/preflight"
)

func doctorCommand() *cobra.Command {
	d := doctorRun{interval: time.Second}
	cmd := &cobra.Command{
		Use:   "doctor [flags]",
		Short: "Check this host, and print each finding with its remedy",
		Long: `Checks the way of a datagram from the network card to a shard, prints what loses
datagrams on this host, and the remedy. It changes nothing. Beside a running
instance, doctor checks the sockets and limits of that instance, and asks at
--http whether every shard reads. Without an instance, doctor checks what serve
would get here with the same flags or file. If serve would not start with the
file, doctor fails with all errors of serve --check.

  ok    nothing to do
  warn  datagrams may be lost under load, or were lost before doctor ran; or
        shards are used unevenly
  fail  datagrams are lost now, or will be with these settings
  skip  can't be seen from here

doctor reads counters twice: what grows between the two readings is lost now.
Exit code 1 if a check fails, else 0. Some checks need root.`,
		Args: cli.NoArguments,
		Example: `  udpshard doctor --listen :5514
  udpshard doctor --config /etc/udpshard/udpshard.yaml --interval 10s --json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := d.flags.Config()
			if err != nil && (d.flags.File == "" || cli.IsUsage(err)) {
				return err
			}
			if err != nil { // without listeners the host is not examined
				return d.print(cmd, preflight.Refusals(err), false)
			}
			return d.run(cmd, c)
		},
	}
	set := cmd.Flags()
	d.flags.Define(set, "YAML `FILE` of serve, whose listeners are all checked, instead of the listener flags",
		"listen", "shards", "cpus", "receive-buffer", "join", "http", "http-token-file")
	set.Lookup("http").Usage = "`ADDR` of a running instance, which doctor asks whether every shard " +
		"reads; empty: doctor does not ask; $" + client.AddressVariable + " changes the default"
	set.Lookup("http-token-file").Usage = "`FILE` with the token that the instance asks for; $" +
		client.TokenFileVariable + " changes the default"
	cli.AddFlag(set, &d.interval, "interval", cli.ParseDuration, "`DURATION` between the two readings of counters; 0 is one reading, which can't show what is lost now")
	set.BoolVar(&d.json, "json", false, "print a JSON array of findings")
	return cmd
}

// doctorRun is one run of doctor.
type doctorRun struct {
	flags    config.Flags
	interval time.Duration
	json     bool
}

func (d *doctorRun) run(cmd *cobra.Command, c *config.Config) error {
	ctx, stop := cli.InterruptContext()
	defer stop()
	findings, err := preflight.Examine(ctx, c, d.flags.File, d.interval)
	if err != nil {
		return err
	}
	return d.print(cmd, findings, len(c.Listeners) > 1)
}

func (d *doctorRun) print(cmd *cobra.Command, findings []doctor.Finding, named bool) (err error) {
	report := doctor.Report{Findings: findings, Named: named, Color: cli.WantsColor(cmd.OutOrStdout())}
	if d.json {
		err = report.JSON(cmd.OutOrStdout())
	} else {
		err = report.Text(cmd.OutOrStdout())
	}
	if err != nil {
		return err
	}
	return preflight.Verdict(findings)
}
