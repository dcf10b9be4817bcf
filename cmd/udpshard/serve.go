package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/config"
	"github.com/udpshard/udpshard/internal/format"
	"github.com/udpshard/udpshard/internal/preflight"
	"github.com/udpshard/udpshard/internal/server"
)

func serveCommand() *cobra.Command {
	var f config.Flags
	var checkOnly bool
	cmd := &cobra.Command{
		Use:   "serve [flags]",
		Short: "Receive datagrams, and write a record of each",
		Long: `Receives UDP datagrams on one socket for each CPU, and writes a record of each
datagram.

SIGTERM and SIGINT stop serve: it reads the queued datagrams, writes all
records, logs the final ledger and exits. With a standby, serve hands over to
the standby instead. A second signal ends the process at once. At SIGHUP,
serve reads the file and opens output files again, and keeps every socket.

--check says whether serve would start with these flags or this file, and prints
the errors. --check opens no port, no output and no takeover socket: run it as
the user of the service, also while the service runs.` + cli.ExitCodes + `

Environment:
UDPSHARD_HTTP             default of --http
UDPSHARD_HTTP_TOKEN_FILE  default of --http-token-file
RUNTIME_DIRECTORY         folder of the default of --takeover; set by systemd
STATE_DIRECTORY           folder of the default of --spool; set by systemd
XDG_STATE_HOME, HOME      the same, if STATE_DIRECTORY is not set
TZ                        time zone of syslog timestamps that name no zone
NO_COLOR                  if it is set, logs have no color
NOTIFY_SOCKET             where systemd expects readiness; set by systemd
WATCHDOG_USEC             interval of the watchdog; set by systemd
LISTEN_FDS                number of sockets that systemd passes; set by systemd

Files:
/etc/udpshard/udpshard.yaml  the file of --config of the service
/run/udpshard/takeover.sock  the takeover path of the service
/var/lib/udpshard/spool      the spool of the service
~/.local/state/udpshard      the spool without a service`,
		Args: cli.NoArguments,
		Example: `  udpshard serve --listen 127.0.0.1:5514 --output file:/tmp/records.json
  logger --udp --server 127.0.0.1 --port 5514 --rfc5424 hello
  udpshard serve --check --config /etc/udpshard/udpshard.yaml`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if checkOnly {
				return checkStart(&f, cmd.OutOrStdout())
			}
			c, err := f.Config()
			if err != nil {
				return err
			}
			build := thisBuild()
			return server.Run(server.Options{Flags: &f, Config: c,
				Stderr: cmd.ErrOrStderr(), Exit: exitWith(cmd.ErrOrStderr()),
				Version: build.Version, Revision: build.Commit})
		},
	}
	f.Define(cmd.Flags(), "YAML `FILE` with any number of listeners, instead of the listener flags")
	cmd.Flags().BoolVar(&checkOnly, "check", false, "say whether serve would start, and open nothing: exit code 0, or 64, 78 or 1 with the errors")
	return cmd
}

// exitWith returns a function that ends the process at once with an error, also if standard error
// is a pipe without a reader.
func exitWith(stderr io.Writer) func(error) {
	return func(err error) {
		go cli.PrintError(stderr, err)
		time.Sleep(10 * time.Millisecond) // enough for a standard error with a reader
		os.Exit(cli.ExitCode(err))
	}
}

// checkStart implements serve --check.
func checkStart(f *config.Flags, w io.Writer) error {
	c, err := f.Config()
	if err != nil {
		return err
	}
	check := &preflight.Check{Config: c}
	if err := check.Run(); err != nil {
		return err
	}
	would := "start"
	if from := check.Predecessor(); from != "" {
		would = "take over from " + from
		if c.Standby {
			would = "stand by for " + from
		}
	}
	fmt.Fprintf(w, "ok: %s: serve would %s, with %s of %s\n", cmp.Or(f.File, "flags"), would,
		format.Plural(c.Shards(), "shard"), format.Plural(len(c.Listeners), "listener"))
	return nil
}
