// Package client asks a running instance over HTTP: whether it is ready, and for its status.
package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/hostport"
	"github.com/udpshard/udpshard/metrics"
)

// DefaultAddress is where an instance answers HTTP that was not told otherwise.
const (
	DefaultAddress = defaultHost + ":" + defaultPort
	defaultHost    = "127.0.0.1"
	defaultPort    = "9514"
)

// MeantAddress is cli.MeantAddress, with DefaultAddress for what is missing.
func MeantAddress(text string) string { return cli.MeantAddress(text, defaultHost, defaultPort) }

// Instance is where a running instance answers HTTP.
type Instance struct {
	Place   string // where its address was set, for errors: --http, $UDPSHARD_HTTP
	Address string // host:port
}

// Ready returns the answer of an instance that is ready.
func (i Instance) Ready(ctx context.Context) (string, error) {
	code, body, err := i.Ask(ctx, "/readyz")
	if err != nil {
		return "", err
	}
	answer := strings.TrimSpace(string(body))
	if code != http.StatusOK {
		return "", errors.New("not ready: " + strings.ReplaceAll(answer, "\n", "; "))
	}
	return answer, nil
}

// Role returns the role of a process of this PID namespace, by the status of the
// instance that answers.
func (i Instance) Role(ctx context.Context, pid int) (string, error) {
	status, err := i.Status(ctx)
	if err != nil {
		return "", err
	}
	here := metrics.ThisProcess().PIDNamespace
	if here == 0 {
		return "", errors.New("the PID namespace of this process can't be seen: /proc/self/ns/pid is not there")
	}
	role := RoleIn(status, pid, here)
	switch {
	case role == metrics.Active || role == metrics.Standby:
		return role, nil
	case role != "":
		return "", fmt.Errorf("the instance at %s is %s", i.Address, role)
	case pid == 0:
		return "", fmt.Errorf("no process of this PID namespace is the instance at %s, or stands by for it", i.Address)
	}
	return "", fmt.Errorf("pid %d of this PID namespace is not the instance at %s, and does not stand by for it", pid, i.Address)
}

// Status asks the instance for its status.
func (i Instance) Status(ctx context.Context) (status metrics.Status, err error) {
	code, body, err := i.Ask(ctx, "/api/v1/status")
	if err == nil && code != http.StatusOK {
		err = fmt.Errorf("status of the instance at %s: %d %s", i.Address, code, http.StatusText(code))
	}
	if err == nil {
		if err = json.Unmarshal(body, &status); err != nil {
			err = fmt.Errorf("status of the instance at %s: %w", i.Address, err)
		}
	}
	return status, err
}

// RoleIn returns the role that a status gives to a process of a PID namespace, and ""
// where it does not know the process.
func RoleIn(status metrics.Status, pid int, namespace uint64) string {
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

// Ask sends a request to the instance.
func (i Instance) Ask(ctx context.Context, path string) (code int, body []byte, err error) {
	at, err := hostport.Parse("tcp", i.Address)
	if err != nil {
		return 0, nil, cli.Unusable(i.Place, cli.Suggest(err, MeantAddress(i.Address)))
	}
	if at.IP.IsUnspecified() {
		at.Host = "localhost"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+at.String()+path, nil)
	if err != nil {
		return 0, nil, cli.Unusable(i.Place, err)
	}
	client := http.Client{Transport: &http.Transport{Proxy: nil, DisableKeepAlives: true}} // an instance is asked itself
	response, err := client.Do(request)
	if err != nil {
		err = errors.Unwrap(err)
		if errors.Is(err, context.DeadlineExceeded) {
			err = errors.New("no answer came within --timeout")
		}
		err = fmt.Errorf("no instance answers at %s: %w", i.Address, err)
		if errors.Is(err, unix.ECONNREFUSED) {
			err = cli.WithHint(err, "udpshard serve --http "+i.Address+
				" starts an instance; --http ADDR asks at another address")

		}
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	return response.StatusCode, body, err
}

// PID returns the PID of the instance, or an error if the instance is in another PID namespace.
func (i Instance) PID(ctx context.Context) (int, error) {
	status, err := i.Status(ctx)
	if err != nil {
		return 0, err
	}
	if here := metrics.ThisProcess().PIDNamespace; status.PIDNamespace != here {
		return 0, fmt.Errorf("the instance at %s is of another PID namespace: run doctor in that one",
			i.Address)
	}
	return status.PID, nil
}
