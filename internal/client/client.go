// Package client asks a running instance over HTTP for its readiness and its status.
package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/history"
	"github.com/udpshard/udpshard/internal/hostport"
	"github.com/udpshard/udpshard/metrics"
)

// DefaultAddress is the default HTTP address of an instance.
const (
	DefaultAddress = defaultHost + ":" + defaultPort
	defaultHost    = "127.0.0.1"
	defaultPort    = "9514"
)

// GuessAddress is cli.GuessAddress, with the host and port of DefaultAddress.
func GuessAddress(text string) string { return cli.GuessAddress(text, defaultHost, defaultPort) }

// Instance is where a running instance answers HTTP.
type Instance struct {
	address string        // host:port or URL, as the user gave it
	status  url.URL       // where the status is
	timeout time.Duration // of each request
	hint    string        // where the connection is refused

	token     string // for requests that need one; "": none
	tokenFile string // a file with the token, instead of token
}

// New returns the instance at an address, host:port. place is where the address was set, for
// errors: --http, $UDPSHARD_HTTP. Each request may last for timeout.
func New(place, address string, timeout time.Duration) (Instance, error) {
	at, err := hostport.Parse("tcp", address)
	if err != nil {
		return Instance{}, cli.SettingError(place, cli.Suggest(err, GuessAddress(address)))
	}
	if at.IP.IsUnspecified() {
		at.Host = "localhost"
	}
	return Instance{
		address: address,
		status:  url.URL{Scheme: "http", Host: at.String(), Path: statusPath},
		timeout: timeout,
		hint:    "udpshard serve --http " + address + " starts an instance; --http ADDR asks at another address",
	}, nil
}

// NewURL returns the instance at http://HOST:PORT or https://HOST:PORT. A path in the URL is that
// of the status.
func NewURL(text string, timeout time.Duration) (Instance, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return Instance{}, fmt.Errorf("%q is not a URL such as http://%s", text, DefaultAddress)
	}
	if strings.Trim(u.Path, "/") == "" {
		u.Path = statusPath
	}
	return Instance{address: text, status: *u, timeout: timeout}, nil
}

const statusPath = "/api/v1/status"

// String returns the address or URL as the user gave it.
func (i Instance) String() string { return i.address }

// Ready returns the answer of a ready instance.
func (i Instance) Ready(ctx context.Context) (string, error) {
	code, body, err := i.Readiness(ctx)
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
		return "", errors.New("the PID namespace of this process is not known: /proc/self/ns/pid can't be read")
	}
	role := RoleIn(status, pid, here)
	switch {
	case role == metrics.Active || role == metrics.Standby:
		return role, nil
	case role != "":
		return "", fmt.Errorf("the instance at %s is %s", i.address, role)
	case pid == 0:
		return "", fmt.Errorf("no process of this PID namespace is the instance at %s or its standby", i.address)
	}
	return "", fmt.Errorf("pid %d of this PID namespace is neither the instance at %s nor its standby", pid, i.address)
}

// Status asks the instance for its status.
func (i Instance) Status(ctx context.Context) (status metrics.Status, err error) {
	err = i.getJSON(ctx, "status", i.status, &status)
	if err == nil && status.PID == 0 {
		err = fmt.Errorf("the instance at %s: the answer is not the status of udpshard", i.address)
	}
	return status, err
}

// History asks the instance for the history of all listeners and shards.
func (i Instance) History(ctx context.Context) (h history.History, err error) {
	u := i.status
	u.Path, u.RawQuery = "/api/v1/history", ""
	err = i.getJSON(ctx, "history", u, &h)
	return h, err
}

// getJSON decodes the answer of the instance. what is the name of the answer in errors.
func (i Instance) getJSON(ctx context.Context, what string, u url.URL, to any) error {
	token, err := i.readToken()
	if err != nil {
		return err
	}
	code, body, err := i.get(ctx, u, token)
	if err != nil {
		return err
	}
	if code != http.StatusOK {
		return fmt.Errorf("%s of the instance at %s: %d %s", what, i.address, code, http.StatusText(code))
	}
	if err := json.Unmarshal(body, to); err != nil {
		return fmt.Errorf("%s of the instance at %s: %w", what, i.address, err)
	}
	return nil
}

// Readiness asks the instance whether every shard reads. The code is http.StatusOK if so; else
// each line of the answer is a reason.
func (i Instance) Readiness(ctx context.Context) (code int, answer []byte, err error) {
	u := i.status
	u.Path, u.RawQuery = "/readyz", ""
	return i.get(ctx, u, "")
}

// RoleIn returns the role of a process of a PID namespace in a status, or "" for an unknown
// process.
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

// maxAnswer is the most bytes that are read of an answer. The status of a thousand listeners is
// shorter.
const maxAnswer = 64 << 20

// get sends a request to the instance itself, without a proxy. An answer with another address is not
// followed: the token is for this instance.
func (i Instance) get(
	ctx context.Context, u url.URL, token string,
) (code int, body []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, i.timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return 0, nil, err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	client := http.Client{Transport: &http.Transport{Proxy: nil, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		err = i.unanswered(errors.Unwrap(err))
		if errors.Is(err, unix.ECONNREFUSED) && i.hint != "" {
			err = cli.WithHint(err, i.hint)
		}
		return 0, nil, err
	}
	defer response.Body.Close()
	if err := i.refusal(response, u.Hostname(), token != ""); err != nil {
		return 0, nil, err
	}
	if body, err = io.ReadAll(io.LimitReader(response.Body, maxAnswer)); err != nil {
		return 0, nil, i.unanswered(err)
	}
	return response.StatusCode, body, nil
}

// unanswered returns the error of a request without a whole answer.
func (i Instance) unanswered(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("no answer within %s", i.timeout)
	}
	return fmt.Errorf("no instance answers at %s: %w", i.address, err)
}

// refusal returns the error of an answer that says that the instance does not answer this client.
func (i Instance) refusal(response *http.Response, host string, hasToken bool) error {
	var text, hint string
	switch response.StatusCode {
	case http.StatusUnauthorized:
		text, hint = "asks for a token", "--http-token-file FILE, or $"+TokenFileVariable+
			": a file with the token of http_token of the instance"
		if hasToken {
			text = "does not accept the token"
		}
	case http.StatusMisdirectedRequest:
		text = "does not answer requests for the host " + host
		hint = "ask at its IP address, or add " + host + " to http_hosts of the instance"
	case http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect,
		http.StatusPermanentRedirect:
		text = "has another address"
		hint = fmt.Sprintf("ask at %q", response.Header.Get("Location"))
	default:
		return nil
	}
	return cli.WithHint(fmt.Errorf("the instance at %s %s: %d %s", i.address, text, response.StatusCode,
		http.StatusText(response.StatusCode)), hint)
}

// PID returns the PID of the instance, or an error if the instance is in another PID namespace.
func (i Instance) PID(ctx context.Context) (int, error) {
	status, err := i.Status(ctx)
	if err != nil {
		return 0, err
	}
	if here := metrics.ThisProcess().PIDNamespace; status.PIDNamespace != here {
		return 0, fmt.Errorf("the instance at %s is in another PID namespace: run doctor there",
			i.address)
	}
	return status.PID, nil
}
