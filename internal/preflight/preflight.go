// Package preflight finds the errors with which serve would not start: of ports, files, zones,
// addresses, the takeover path and limits. The checks change nothing on the host: they bind free
// ports only, and open no file for writing. serve --check and doctor run the checks before a start,
// and serve runs them after a failed start, so that all errors are reported at once.
package preflight

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/config"
	"github.com/udpshard/udpshard/internal/format"
	"github.com/udpshard/udpshard/internal/handoff/takeover"
	"github.com/udpshard/udpshard/internal/output"
	"github.com/udpshard/udpshard/internal/spool"
	"github.com/udpshard/udpshard/shard"
)

// Check checks whether serve would start with a configuration. One goroutine may use a Check.
type Check struct {
	Config *config.Config
	Beside func(pid int) bool // reports whether the ports of a process count as free; nil: no

	active *activeProcess // from which serve would take over; nil: none
}

// activeProcess is the process that listens at the takeover path.
type activeProcess struct {
	pid  int // 0: in a PID namespace that is not visible
	name string
}

// checks are in the order in which serve acquires the resources (server.open, server.start).
var checks = []struct {
	name string
	run  func(*Check) error
}{
	{"takeover", (*Check).checkTakeover},
	{"zone", (*Check).checkZones},
	{"spool", (*Check).checkSpool},
	{"port", (*Check).checkPorts},
	{"output", (*Check).checkOutputs},
	{"tcp", (*Check).checkTCPPorts},
	{"http", (*Check).checkHTTP},
	{"files", (*Check).checkOpenFiles},
}

// Run returns the errors of all checks except the named checks.
func (c *Check) Run(except ...string) error {
	var errs []error
	for _, check := range checks {
		if !slices.Contains(except, check.name) {
			errs = append(errs, check.run(c))
		}
	}
	return cli.Join(errs...)
}

// Predecessor returns, after Run, the name of the process from which serve would take over, or "".
func (c *Check) Predecessor() string {
	if c.active == nil {
		return ""
	}
	return c.active.name
}

// StartError returns the error of a start that failed with err. If the checks find all parts of
// err, the error has everything that the checks find, since serve stops at the first error.
func StartError(c *config.Config, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EMFILE):
		return openFilesError(c, err)
	}
	all := cli.Separate((&Check{Config: c}).Run())
	for _, part := range cli.Separate(err) {
		i := slices.IndexFunc(all, func(found error) bool { return isSame(found, part) })
		if i < 0 {
			return err
		}
		all[i] = part // the hint of serve is more exact
	}
	return cli.Join(all...)
}

// isSame reports whether two errors have one cause. Errors of a port in use may name the holders of
// the port in any order.
func isSame(a, b error) bool {
	var first, second *shard.InUseError
	if errors.As(a, &first) && errors.As(b, &second) {
		return first.Address == second.Address
	}
	return a.Error() == b.Error()
}

// dialTimeout limits the connection to the process at the takeover path.
const dialTimeout = 2 * time.Second

// checkTakeover connects to the takeover path, and closes the connection without a message.
func (c *Check) checkTakeover() error {
	path := c.Config.Takeover
	if path == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
	defer cancel()
	conn, err := takeover.Dial(ctx, path)
	switch {
	case err == nil:
		c.active = &activeProcess{conn.PID(), conn.Process()}
		conn.Close()
		return nil
	case errors.Is(err, takeover.ErrNotListening):
		err = takeover.ProbePath(path)
	}
	if err == nil {
		return nil
	}
	return TakeoverError(c.Config, err)
}

// checkSpool checks the folder of the spool. The process from which serve would take over passes the
// spool on, and this process may have the lock still, after a failed start.
func (c *Check) checkSpool() error {
	hasTargets := func(l *config.Listener) bool { return len(l.To) > 0 }
	if !slices.ContainsFunc(c.Config.Listeners, hasTargets) {
		return nil
	}
	err := spool.Probe(c.Config.Spool.Path)
	var by *spool.InUseError
	if err == nil || errors.As(err, &by) && c.passesSpool(by.PID) {
		return nil
	}
	return SpoolError(c.Config, err)
}

func (c *Check) passesSpool(pid int) bool {
	isActive := c.active != nil && (c.active.pid == 0 || c.active.pid == pid)
	return isActive || c.Beside != nil && c.Beside(pid) || pid == os.Getpid()
}

func (c *Check) checkOutputs() error {
	var errs []error
	for _, l := range c.Config.Listeners {
		if len(l.To) > 0 {
			continue // the spool is the output
		}
		files := 1
		if l.HasOutputPerShard() {
			files = len(l.ShardCPUs())
		}
		for i := range files {
			if err := output.Probe(l.Output, i); err != nil {
				errs = append(errs, OutputError(l, err))
			}
		}
	}
	return cli.Join(errs...)
}

// processFiles are the files that serve with one listener has open beside the sockets of the
// shards: standard input, output and error, epoll, an eventfd, and a pipe for signals (Go 1.26).
const processFiles = 6

// checkOpenFiles compares the files that serve opens with the hard limit (RLIMIT_NOFILE): the Go
// runtime raises the soft limit to the hard limit (package os, Go 1.19).
func (c *Check) checkOpenFiles() error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return nil // serve reports the error
	}
	need := minOpenFiles(c.Config)
	if uint64(need) <= limit.Max {
		return nil
	}
	err := fmt.Errorf("%s and their outputs need %d files at the least, and this process may open %d",
		format.Plural(c.Config.Shards(), "shard"), need, limit.Max)
	return openFilesError(c.Config, err)
}

func minOpenFiles(c *config.Config) (n int) {
	n = processFiles + c.Shards()
	for _, l := range c.Listeners {
		if l.HasOutputPerShard() {
			n += len(l.ShardCPUs())
		}
	}
	return n
}

// openFilesError adds a hint with a sufficient limit. During a takeover serve has the sockets of
// two processes, and each HTTP connection is a file.
func openFilesError(c *config.Config, err error) error {
	return cli.NeedsFiles(err, 2*minOpenFiles(c)+MaxHTTPConnections)
}
