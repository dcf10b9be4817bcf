package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/spool/report"
)

func spoolCommand() *cobra.Command {
	var s spoolRun
	cmd := &cobra.Command{
		Use:   "spool [flags] DIR",
		Short: "Show what a spool has: records, positions of targets, and damage",
		Long: `Shows what the spool in the folder DIR has, or writes the records that wait.
Nothing is changed or locked, and a running instance is not disturbed.

shipped by      the process that brings records to targets
series          records of one epoch and shard: 12-0. Each process that writes
                begins an epoch
oldest          when the oldest record was written, in UTC
written by      the process that appends
size            bytes of the segments, and of what waits for a target
acknowledged, rejected, expired, resent
                records of a target's ledger, as the shipping process has saved
                it last: with each batch
being sent      the batch that the target has not acknowledged yet
next record     number of the first record that waits, in its series
segment, offset where that record is: the number of the segment's first record,
                and bytes in the segment
whole blocks    parts of a damaged segment whose checksum is right

--print writes the waiting records to standard output instead: one a line, as
they are stored, in the order of shipping. Without --to, these are the records
that at least one target has not acknowledged; without a target, all.

Exit code 1 if --verify finds damage, or --print can't read a record; 64 if DIR
is no spool.`,
		Args: func(cmd *cobra.Command, args []string) error {
			const example = "/var/lib/udpshard/spool"
			if len(args) != 1 {
				err := fmt.Errorf("%s takes one DIR, such as %s, not %d", cmd.CommandPath(), example,
					len(args))
				return cli.WithHint(cli.Usage(err), cmd.CommandPath()+" "+example)
			}
			return nil
		},
		Example: `  udpshard spool /var/lib/udpshard/spool
  udpshard spool --print --to tcp://192.0.2.1:6514 /var/lib/udpshard/spool`,
		RunE: s.run,
	}
	set := cmd.Flags()
	set.SortFlags = false
	set.BoolVar(&s.json, "json", false, "print one JSON object")
	set.BoolVar(&s.verify, "verify", false, "read all segments, and compare their checksums")
	set.BoolVar(&s.print, "print", false, "write the records that wait")
	set.StringVar(&s.of.Listener, "listener", "",
		"with --print: the records of the listener `NAME` alone")
	set.StringVar(&s.of.Target, "to", "",
		"with --print: the records that wait for the target `URL`")
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
		if err := printJSON(w, r); err != nil {
			return err
		}
	} else {
		r.Print(w)
	}
	return r.Check()
}
