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
	"github.com/udpshard/udpshard/internal/spool"
	"github.com/udpshard/udpshard/shard"
)

// TakeoverError returns an error at the takeover path. If the path cannot be the path of a socket,
// the error has the position of the setting.
func TakeoverError(c *config.Config, err error) error {
	file, statErr := os.Lstat(c.Takeover)
	noSocket := statErr == nil && file.Mode().Type() != os.ModeSocket
	noFolder := errors.Is(statErr, unix.ENOTDIR)
	if noSocket || noFolder || errors.As(err, new(*takeover.SharedFolderError)) {
		return c.ErrorAt("takeover", err)
	}
	return fmt.Errorf("takeover: %w", err)
}

// WithTakeoverHint adds a hint to the error of a port in use, after no process has answered at the
// takeover path.
func WithTakeoverHint(c *config.Config, err error) error {
	if c.Takeover == "" || !errors.As(err, new(*shard.InUseError)) {
		return err
	}
	return cli.WithHint(err, fmt.Sprintf("no process listens at the takeover path: restart the "+
		"process that has the port with --takeover %s, or stop that process, or use another port",
		config.Absolute(c.Takeover)))
}

// JoinError returns the error of a standby whose listener joins a port without a socket of the
// active process: the kernel would queue datagrams for the standby, which does not read.
func JoinError(l *config.Listener) error {
	err := errors.New("the active process has no such listener, and a standby does not read " +
		"the datagrams of the port")
	const hint = "add the listener to the active process, then start the standby"
	return l.ErrorAt("join", cli.WithHint(err, hint))
}

// OutputError returns the error of an output. If the folder of the file is missing, the hint makes
// the folder.
func OutputError(l *config.Listener, err error) error {
	path, _ := strings.CutPrefix(l.Output, "file:")
	folder := filepath.Dir(path)
	_, statErr := os.Stat(folder)
	if errors.Is(err, os.ErrNotExist) && errors.Is(statErr, os.ErrNotExist) &&
		!strings.Contains(folder, output.PerShard) {
		err = cli.WithHint(err, "mkdir -p "+folder)
	}
	return l.ErrorAt("output", err)
}

// SpoolError returns the error of the spool, with the position of its path.
func SpoolError(c *config.Config, err error) error {
	var by *spool.InUseError
	switch {
	case errors.As(err, &by):
		err = cli.WithHint(err, "give each instance a spool of its own, or the same takeover path")
	case errors.Is(err, os.ErrPermission):
		err = cli.WithHint(err, fmt.Sprintf("chown the folder to user %d, or set another path", os.Getuid()))
	}
	return c.ErrorAt("spool.path", err)
}

// TCPError returns the error of the TCP port of a listener with the protocol dns.
func TCPError(l *config.Listener, err error) error {
	err = fmt.Errorf("listener %s: answers that do not fit into a datagram need TCP: %w", l.Name, err)
	return cli.WithHint(err, "stop the process that has the port, or use another port")
}

// MaxHTTPConnections limits the open connections of the HTTP server. Scrapers and probes need a
// few; a process may open 1,024 files by default. Above the limit, the server closes the connection
// with the longest time since its last request, so that new requests are always answered.
const MaxHTTPConnections = 128

// HTTPError returns the error of an HTTP address at which serve cannot listen.
func HTTPError(err error) error {
	const hint = "--http ADDR sets another address, --http '' turns HTTP off"
	return cli.WithHint(fmt.Errorf("http: %w", err), hint)
}
