package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/handoff/takeover"
	"github.com/udpshard/udpshard/shard"
)

// runtimeFolder is the variable in which systemd names the folders of a service, with colons
// between them (RuntimeDirectory=, systemd.exec(5)).
const runtimeFolder = "RUNTIME_DIRECTORY"

// defaultTakeover returns the takeover path in the first of the runtime folders; "" without one.
func defaultTakeover(folders string) string {
	if folder, _, _ := strings.Cut(folders, ":"); folder != "" {
		return filepath.Join(folder, "takeover.sock")
	}
	return ""
}

// TakeoverError says where the path was set, if what is there can be no socket's.
func (c *Config) TakeoverError(err error) error {
	at, look := os.Lstat(c.Takeover)
	if look == nil && at.Mode().Type() != os.ModeSocket || errors.Is(look, unix.ENOTDIR) || errors.As(err, new(*takeover.SharedFolderError)) {
		return c.ErrorAt("takeover", err)
	}
	return fmt.Errorf("takeover: %w", err)
}

// WithTakeoverHint adds the remedy to the error of a port that another process has, where no process
// answers at the takeover path.
func (c *Config) WithTakeoverHint(err error) error {
	if c.Takeover == "" || !errors.As(err, new(*shard.InUseError)) {
		return err
	}
	return cli.WithHint(err, fmt.Sprintf("no process listens at the takeover path: restart the process that "+
		"has the port with --takeover %s, or stop it, or use another port", absolute(c.Takeover)))

}

// JoinError refuses to a standby a port that the process that serves does not have.
func (l *Listener) JoinError() error {
	return l.ErrorAt("join", errors.New("the process that serves has no such listener, and a standby would take its part of what comes there without reading it: give that one to the process that serves first"))
}
