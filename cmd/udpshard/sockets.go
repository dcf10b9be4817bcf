package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os/signal"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/config"
	"github.com/udpshard/udpshard/internal/hostport"
	"github.com/udpshard/udpshard/internal/sockets"
)

func socketsCommand() *cobra.Command {
	interval := 300 * time.Millisecond
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "sockets [flags] ADDR",
		Short: "List every UDP socket bound to an address, who reads it, and who drops",
		Long: `Lists the UDP sockets that get, or would get, what is sent to ADDR, whoever they
belong to: those bound to it, and wildcards, with a word on who outranks whom.
ADDR is 127.0.0.1:5514, [::1]:5514, or :5514 or 5514 for all of the port.
Needs no privilege; pids and commands of other users' processes need root.

Sockets that share an address are numbered from 0 in the order in which they
were bound, as the kernel does for SO_REUSEPORT. When one closes, the last
takes its number, and the kernel does not tell: the order may then be another.
Nor does it tell SO_REUSEADDR, with which the socket bound last gets all.
Connected sockets, which get what their peer sends alone, stand apart.

The queue is what waits, the buffer what may (SO_RCVBUF as granted, twice what
was asked; both with the kernel's overhead). Drops count from the socket's
birth; drops/s is the rate while it looked.

It looks some 100 times in the interval. A socket is called "not read" if its
queue never was empty and never shrank, nor is anything read from it seen in
the kernel's accounts. One whose reader is merely too slow is not called so;
one that nobody sends to is not found out. A reader that paused for all of the
interval is called so, too: a longer --interval tells.

Exit code 1 if there is no such socket.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				err := fmt.Errorf("%s takes one ADDR, such as :5514; there are %d", cmd.CommandPath(), len(args))
				return cli.WithHint(cli.Usage(err), cmd.CommandPath()+" :"+config.DefaultPort)
			}
			return nil
		},
		Example: `  udpshard sockets :5514
  udpshard sockets --interval 2s --json 127.0.0.1:5514`,
		RunE: func(cmd *cobra.Command, args []string) error {
			address, err := parseSocketsAddress(args[0])
			if err != nil {
				example := cmp.Or(cli.MeantAddress(args[0], "", config.DefaultPort), ":"+config.DefaultPort)
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
	cli.AddFlag(set, &interval, "interval", cli.ParseDuration, "`DURATION` in which it looks again and again, from 100ms; 0 is one look")
	set.BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// parseSocketsAddress parses an address as serve's --listen has it, or a port alone. An
// unspecified address means all sockets of the port.
func parseSocketsAddress(text string) (at netip.AddrPort, err error) {
	withColon := text
	if !strings.Contains(text, ":") && !strings.Contains(text, ".") {
		withColon = ":" + text
	}
	address, err := hostport.Parse("udp", withColon)
	if err != nil {
		return at, err
	}
	if at, err = address.Resolve(); err != nil {
		return at, fmt.Errorf("%q: %w", text, err)
	}
	if at.Port() == 0 {
		return at, fmt.Errorf("%q: no socket is bound to port 0", text)
	}
	if ip := at.Addr(); ip.IsMulticast() || ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return at, fmt.Errorf("%s is no address of one receiver: each socket that listens gets a copy; ask for port %d alone", ip, at.Port())
	}
	return at, nil
}

// listSockets looks for the interval, or until SIGINT or SIGTERM.
func listSockets(stdout io.Writer, address netip.AddrPort, interval time.Duration, asJSON bool) error {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
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
		encoder := json.NewEncoder(stdout)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(report); err != nil {
			return err
		}
	}
	if len(report.Groups)+len(report.Connected) == 0 {
		return nobodyThere(report.Address, address, len(watch.Sockets))
	}
	if !asJSON {
		report.Print(stdout)
	}
	return nil
}

// nobodyThere says that no socket gets what is sent to an address, whose port
// has other sockets.
func nobodyThere(name string, address netip.AddrPort, others int) error {
	if others > 0 {
		return cli.WithHint(fmt.Errorf("no UDP socket gets what is sent to %s", name), fmt.Sprintf("the port has sockets at other addresses: udpshard sockets %d", address.Port()))
	}
	return cli.WithHint(errors.New("no UDP socket of this network namespace has "+name), "udpshard serve --listen "+name)
}
