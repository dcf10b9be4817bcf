package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/spool/report"
)

func spoolCommand() *cobra.Command {
	var s spoolRun
	cmd := &cobra.Command{
		Use:   "spool [flags] DIR",
		Short: "Show the records, targets and damage of a spool, or print the waiting records",
		Long: `Shows the content of the spool in the folder DIR: series of records, targets and
damage. The command changes and locks nothing, so it can run beside a running
instance.

shipped by      the process that sends records to targets
series          the records that one shard wrote in one spool epoch: 12-0 is
                spool epoch 12, shard 0. A spool epoch is the number of a
                process among the processes that have written to the spool
oldest          when the oldest record was written, in UTC
written by      the process that may still append to the series
size            bytes of the segments, or of the records that wait for a target
acknowledged    records that the target has acknowledged
rejected        records that the target has refused: they are in rejected.json
expired         records that were removed before the target had acknowledged
                them, or that were damaged
resent          acknowledged records that were sent again after a reconnect
being sent      the batch that the target has not acknowledged yet
next record     number of the first record of the series that waits
segment         number of the first record in the segment of the next record
offset          where the next record begins in its segment
whole blocks    blocks of a damaged segment whose checksum is right

--print writes the waiting records to standard output instead, one a line, in
the order of shipping. Without --to, these are the records that at least one
target has not acknowledged. In a spool without targets, these are all records.

Exit code 1 if --verify finds damage, or --print can't read a record; 64 if DIR
is no spool.`,
		Args:              cli.OneArgument("DIR", "/var/lib/udpshard/spool"),
		ValidArgsFunction: cli.CompleteFolder,
		Example: `  udpshard spool /var/lib/udpshard/spool
  udpshard spool --print --to tcp://192.0.2.1:6514 /var/lib/udpshard/spool`,
		RunE: s.run,
	}
	set := cmd.Flags()
	set.SortFlags = false
	set.BoolVar(&s.json, "json", false, "print one JSON object")
	set.BoolVar(&s.verify, "verify", false, "read all segments, and compare their checksums")
	set.BoolVar(&s.print, "print", false, "print the waiting records instead")
	set.StringVar(&s.of.Listener, "listener", "",
		"with --print: only the records of the listener `NAME`")
	set.StringVar(&s.of.Target, "to", "",
		"with --print: only the records that wait for the target `URL`")
	return cmd
}

// spoolRun is one run of spool.
type spoolRun struct {
	json, verify, print bool
	of                  report.Selection
}

func (s *spoolRun) run(cmd *cobra.Command, args []string) error {
	switch {
	case s.print && (s.json || s.verify):
		return cli.Usage(errors.New("--print: use it without --json and --verify"))
	case !s.print && s.of != report.Selection{}:
		err := errors.New("--listener and --to choose records of --print")
		return cli.WithHint(cli.Usage(err), "add --print")
	}
	r, err := report.Open(args[0])
	if err != nil {
		return err
	}
	w := cmd.OutOrStdout()
	if s.print {
		return r.WriteWaiting(cli.Direct(w), s.of)
	}
	if s.verify {
		if err := r.Verify(); err != nil {
			return err
		}
	}
	if s.json {
		if err := cli.PrintJSON(w, r); err != nil {
			return err
		}
	} else {
		r.Print(w)
	}
	return r.Check()
}
