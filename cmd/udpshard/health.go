package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/metrics"
)

func healthCommand() *cobra.Command {
	var address string
	timeout := 2 * time.Second
	pid := 0
	cmd := &cobra.Command{
		Use:   "health [flags]",
		Short: "Ask a running instance whether every shard reads; exit 0 or 1",
		Long: `Asks a running instance's /readyz: exit 0 while every shard reads, else 1 and
the reasons. For HEALTHCHECK and probes.

With --pid it asks for the role of one process instead, and prints active or
standby: exit 0 if the instance is that process, or can hand over to it, else
1. A PID is that of the PID namespace in which health runs, such as a
container's; 0 is any process of it.`,
		Args: noArguments,
		Example: `  udpshard health --http 127.0.0.1:9514
  docker exec udpshard-b /udpshard health --pid 0`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			i := instance{"--http", address}
			if _, set := os.LookupEnv(httpVariable); set && !cmd.Flags().Changed("http") {
				i.place = "$" + httpVariable
			}
			ctx, cancel := context.WithTimeout(cmp.Or(cmd.Context(), context.Background()), timeout)
			defer cancel()
			answer, err := "", error(nil)
			if cmd.Flags().Changed("pid") {
				answer, err = i.askRole(ctx, pid)
			} else {
				answer, err = i.askReady(ctx)
			}
			if err == nil {
				fmt.Fprintln(cmd.OutOrStdout(), answer)
			}
			return err
		},
	}
	cmd.Flags().StringVar(&address, "http", cmp.Or(os.Getenv(httpVariable), defaultHTTP), "`ADDR` of the instance's HTTP server; $"+httpVariable+" changes the default")
	addFlag(cmd.Flags(), &timeout, "timeout", cli.ParseDuration, "`DURATION` to wait for the answer")
	addFlag(cmd.Flags(), &pid, "pid", parsePID, "`N`: print the role of the process with this PID, 0 being any of this PID namespace")
	return cmd
}

func parsePID(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%q is not a PID, or 0", text)
	}
	return n, nil
}

// instance is where a running instance answers HTTP.
type instance struct {
	place   string // where its address was set, for errors
	address string
}

// askReady returns the answer of an instance that is ready.
func (i instance) askReady(ctx context.Context) (string, error) {
	code, body, err := i.ask(ctx, "/readyz")
	if err != nil {
		return "", err
	}
	answer := strings.TrimSpace(string(body))
	if code != http.StatusOK {
		return "", errors.New("not ready: " + strings.ReplaceAll(answer, "\n", "; "))
	}
	return answer, nil
}

// askRole returns the role of a process of this PID namespace, by the status of the
// instance that answers.
func (i instance) askRole(ctx context.Context, pid int) (string, error) {
	status, err := i.status(ctx)
	if err != nil {
		return "", err
	}
	here := thisProcess().PIDNamespace
	if here == 0 {
		return "", errors.New("the PID namespace of this process can't be seen: /proc/self/ns/pid is not there")
	}
	role := roleIn(status, pid, here)
	switch {
	case role == metrics.Active || role == metrics.Standby:
		return role, nil
	case role != "":
		return "", fmt.Errorf("the instance at %s is %s", i.address, role)
	case pid == 0:
		return "", fmt.Errorf("no process of this PID namespace is the instance at %s, or stands by for it", i.address)
	}
	return "", fmt.Errorf("pid %d of this PID namespace is not the instance at %s, and does not stand by for it", pid, i.address)
}

// status asks the instance for its status.
func (i instance) status(ctx context.Context) (status metrics.Status, err error) {
	code, body, err := i.ask(ctx, "/api/v1/status")
	if err == nil && code != http.StatusOK {
		err = fmt.Errorf("status of the instance at %s: %d %s", i.address, code, http.StatusText(code))
	}
	if err == nil {
		if err = json.Unmarshal(body, &status); err != nil {
			err = fmt.Errorf("status of the instance at %s: %w", i.address, err)
		}
	}
	return status, err
}

// roleIn returns the role that a status gives to a process of a PID namespace, and ""
// where it does not know the process.
func roleIn(status metrics.Status, pid int, namespace uint64) string {
	is := func(p metrics.ProcessStatus) bool { return p.PIDNamespace == namespace && (pid == 0 || p.PID == pid) }
	if is(status.ProcessStatus) {
		return status.Role
	}
	if slices.ContainsFunc(status.Standbys, func(s metrics.StandbyStatus) bool { return is(s.ProcessStatus) }) {
		return metrics.Standby
	}
	return ""
}

// maxAnswer bounds what an instance is read of: the status of a thousand listeners.
const maxAnswer = 64 << 20

// ask sends a request to the instance.
func (i instance) ask(ctx context.Context, path string) (code int, body []byte, err error) {
	host, port, err := net.SplitHostPort(i.address)
	if err != nil {
		host, port, _ := net.SplitHostPort(defaultHTTP)
		err = cli.Suggest(fmt.Errorf("%q is not host:port", i.address), cli.MeantAddress(i.address, host, port))
		return 0, nil, cli.Unusable(i.place, err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+path, nil)
	if err != nil {
		return 0, nil, cli.Unusable(i.place, err)
	}
	client := http.Client{Transport: &http.Transport{Proxy: nil, DisableKeepAlives: true}} // an instance is asked itself
	response, err := client.Do(request)
	if err != nil {
		err = errors.Unwrap(err)
		if errors.Is(err, context.DeadlineExceeded) {
			err = errors.New("no answer came within --timeout")
		}
		err = fmt.Errorf("no instance answers at %s: %w", i.address, err)
		if errors.Is(err, unix.ECONNREFUSED) {
			err = cli.WithHint(err, "udpshard serve --http "+i.address+
				" starts an instance; --http ADDR asks at another address")

		}
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	return response.StatusCode, body, err
}
