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
		Short: "List every UDP socket bound to an address, who reads it, and who drops",
		Long: `Lists the UDP sockets of any program that get, or would get, datagrams sent to
ADDR: sockets bound to ADDR, and wildcard sockets; and says which of them come
first. ADDR is 127.0.0.1:5514, [::1]:5514, or :5514 or 5514 for the whole port.
Needs no privilege; pids and commands of other users' processes need root.

member   number in the SO_REUSEPORT group, from 0 in the order of bind. When a
         socket closes, the last takes its number, which the kernel does not
         report: the order can then be another. With SO_REUSEADDR, which the
         kernel does not report either, the socket bound last gets everything
queue    bytes that wait
buffer   bytes that may wait (SO_RCVBUF as granted, twice what was asked); queue
         and buffer include the kernel's overhead
drops    since the socket was opened
drops/s  during --interval

Connected sockets get only what their peer sends, and are listed apart.

"not read" is a socket whose queue never was empty and never shrank in some 100
looks during --interval, and from which the kernel's accounts show no read. A
slow reader is not reported, nor a socket without senders. A reader that paused
during the whole interval is reported too: then use a longer --interval.

Exit code 1 if there is no such socket.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				err := fmt.Errorf("%s takes one ADDR, such as :5514, not %d", cmd.CommandPath(), len(args))
				return cli.WithHint(cli.Usage(err), cmd.CommandPath()+" :"+config.DefaultPort)
			}
			return nil
		},
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
	cli.AddFlag(set, &interval, "interval", cli.ParseDuration, "look again and again for `DURATION`, from 100ms; 0 is one look")
	set.BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// listSockets watches the sockets for the interval, or until SIGINT or SIGTERM.
func listSockets(stdout io.Writer, address netip.AddrPort, interval time.Duration, asJSON bool) error {
	ctx, stop := interruptContext()
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
		if err := printJSON(stdout, report); err != nil {
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
