package preflight

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/config"
	"github.com/udpshard/udpshard/internal/handoff/takeover"
	"github.com/udpshard/udpshard/internal/output"
	"github.com/udpshard/udpshard/shard"
)

// TakeoverError says where the path was set, if what is there can be no socket's.
func TakeoverError(c *config.Config, err error) error {
	at, look := os.Lstat(c.Takeover)
	if look == nil && at.Mode().Type() != os.ModeSocket || errors.Is(look, unix.ENOTDIR) || errors.As(err, new(*takeover.SharedFolderError)) {
		return c.ErrorAt("takeover", err)
	}
	return fmt.Errorf("takeover: %w", err)
}

// WithTakeoverHint adds the remedy to the error of a port that another process has, where no process
// answers at the takeover path.
func WithTakeoverHint(c *config.Config, err error) error {
	if c.Takeover == "" || !errors.As(err, new(*shard.InUseError)) {
		return err
	}
	return cli.WithHint(err, fmt.Sprintf("no process listens at the takeover path: restart the process that "+
		"has the port with --takeover %s, or stop it, or use another port", config.Absolute(c.Takeover)))

}

// JoinError refuses to a standby a port that the process that serves does not have.
func JoinError(l *config.Listener) error {
	return l.ErrorAt("join", errors.New("the process that serves has no such listener, and a standby would take its part of what comes there without reading it: give that one to the process that serves first"))
}

// OutputError is the error of an output that can't be opened. Its hint makes the folder of the
// file, if the folder is missing.
func OutputError(l *config.Listener, err error) error {
	path, _ := strings.CutPrefix(l.Output, "file:")
	folder := filepath.Dir(path)
	_, look := os.Stat(folder)
	if errors.Is(err, os.ErrNotExist) && errors.Is(look, os.ErrNotExist) &&
		!strings.Contains(folder, output.PerShard) {
		err = cli.WithHint(err, "mkdir -p "+folder)
	}
	return l.ErrorAt("output", err)
}

// TCPError is the error of a listener of DNS whose TCP port is not free.
func TCPError(l *config.Listener, err error) error {
	return cli.WithHint(fmt.Errorf("listener %s: answers that do not fit into a datagram need TCP: %w", l.Name, err), "stop who has that port, or take another one")
}

// MaxHTTPConnections: how many connections the HTTP server keeps open. Scrapers and probes need a
// few; processes may open 1,024 files where nothing else is set. Where there are more connections,
// the connection that has waited longest without a request is closed, so that a new request is
// answered whatever other clients keep open.
const MaxHTTPConnections = 128

// HTTPError is the error of an HTTP server that cannot listen at its address.
func HTTPError(err error) error {
	return cli.WithHint(fmt.Errorf("http: %w", err), "--http ADDR takes another address, --http '' turns it off")
}
