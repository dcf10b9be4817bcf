package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/spf13/cobra"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/config"
	"github.com/udpshard/udpshard/internal/sockets"
)

func socketsCommand() *cobra.Command {
	interval := 300 * time.Millisecond
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "sockets [flags] ADDR",
		Short: "List every UDP socket bound to an address, with its process and its drops",
		Long: `Lists the UDP sockets, of any program, that can receive datagrams sent to ADDR:
the sockets bound to ADDR, and wildcard sockets. Says which of these sockets the
kernel chooses. ADDR is 127.0.0.1:5514, [::1]:5514, or :5514 or 5514 for the
whole port. Any user may ask; the pids and commands of other users' processes
need root.

member   number in the SO_REUSEPORT group, from 0 in the order of bind. When a
         socket closes, the last socket gets its number: the kernel does not
         report this, so the list can have another order. With SO_REUSEADDR,
         also not reported, the socket bound last receives all datagrams
queue    bytes that wait
buffer   bytes that may wait (SO_RCVBUF as granted, twice what was asked); queue
         and buffer include the kernel's overhead
full     queue, in percent of buffer
drops    datagrams that the kernel dropped since the socket was opened
drops/s  the same for each second of --interval
cookie   the kernel's number of the socket

Connected sockets receive only what their peer sends, and are listed apart.

"not read" is a socket that no process seems to read: in about 100 readings
during --interval, its queue was never empty and never shrank, and the kernel's
accounts show no read. A socket that is read slowly, or has no senders, is not
reported. A socket whose reader paused during the whole interval is reported
too: use a longer --interval then.

Exit code 1 if no socket is found.`,
		Args: cli.OneArgument("ADDR", ":"+config.DefaultPort),
		Example: `  udpshard sockets :5514
  udpshard sockets --interval 2s --json 127.0.0.1:5514`,
		RunE: func(cmd *cobra.Command, args []string) error {
			address, err := sockets.ParseAddress(args[0])
			if err != nil {
				example := cmp.Or(cli.GuessAddress(args[0], "", config.DefaultPort), ":"+config.DefaultPort)
				return cli.WithHint(cli.Usage(fmt.Errorf("ADDR: %w", err)), cmd.CommandPath()+" "+example)
			}
			if interval > 0 && interval < sockets.LeastInterval {
				return cli.Usage(fmt.Errorf("--interval: %s is less than %s", interval, sockets.LeastInterval))
			}
			return listSockets(cmd.OutOrStdout(), address, interval, asJSON)
		},
	}
	set := cmd.Flags()
	set.SortFlags = false
	cli.AddFlag(set, &interval, "interval", cli.ParseDuration, "watch the sockets for `DURATION`, from 100ms; 0 is one reading")
	set.BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// listSockets watches the sockets for the interval, or until SIGINT or SIGTERM.
func listSockets(stdout io.Writer, address netip.AddrPort, interval time.Duration, asJSON bool) error {
	ctx, stop := cli.InterruptContext()
	defer stop()
	watch, err := sockets.WatchFor(ctx, address.Port(), interval)
	if err != nil && watch.Looks == 0 {
		return err
	}
	report := sockets.NewReport(address, watch)
	if err != nil {
		report.Unseen = err.Error()
	}
	if asJSON {
		if err := cli.PrintJSON(stdout, report); err != nil {
			return err
		}
	}
	if len(report.Groups)+len(report.Connected) == 0 {
		return noSockets(report.Address, address, len(watch.Sockets))
	}
	if !asJSON {
		report.Print(stdout)
	}
	return nil
}

// noSockets returns the error of an address without sockets. elsewhere is the number of sockets that
// the port has at other addresses.
func noSockets(name string, address netip.AddrPort, elsewhere int) error {
	if elsewhere > 0 {
		return cli.WithHint(fmt.Errorf("no UDP socket receives what is sent to %s", name), fmt.Sprintf("the port has sockets at other addresses: udpshard sockets %d", address.Port()))
	}
	return cli.WithHint(errors.New("no UDP socket of this network namespace has "+name), "udpshard serve --listen "+name)
}
