// Package preflight finds what would keep serve from its start with a configuration: ports, files,
// zones, addresses, the takeover path, limits. A check takes nothing: no port but free ones, no
// file, no takeover path. It is for serve --check, doctor, and for a start that fails.
package preflight

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/config"
	"github.com/udpshard/udpshard/internal/doctor"
	"github.com/udpshard/udpshard/internal/format"
	"github.com/udpshard/udpshard/internal/handoff/takeover"
	"github.com/udpshard/udpshard/internal/holder"
	"github.com/udpshard/udpshard/internal/output"
	"github.com/udpshard/udpshard/internal/sockets"
	"github.com/udpshard/udpshard/shard"
)

// Check finds what would keep serve from its start with a configuration. It is for one goroutine.
type Check struct {
	Config *config.Config
	Beside func(pid int) bool // whether the ports of a process are no obstacle; nil: each port is

	from *active // the process from which serve would take over; nil: there is none
}

// active is the process that listens at the takeover path.
type active struct {
	pid  int // 0: it can't be seen from here
	name string
}

// checks are what serve takes, in the order in which it takes it (server.open, server.start).
var checks = []struct {
	name string
	look func(*Check) []error
}{
	{"takeover", (*Check).takeover},
	{"zone", (*Check).zones},
	{"port", (*Check).ports},
	{"output", (*Check).outputs},
	{"stream", (*Check).streams},
	{"http", (*Check).web},
	{"files", (*Check).files},
}

// Run returns all on which serve would stop, but for the checks that are left out.
func (c *Check) Run(but ...string) error {
	var errs []error
	for _, one := range checks {
		if !slices.Contains(but, one.name) {
			errs = append(errs, one.look(c)...)
		}
	}
	return cli.Join(errs...)
}

// Predecessor names the process from which serve would take over, after run; "" without one.
func (c *Check) Predecessor() string {
	if c.from == nil {
		return ""
	}
	return c.from.name
}

// explain returns all that keeps serve from its start, where each part of err is one of that:
// what serve meets first is not all that has to be mended. Otherwise it returns err.
func explain(c *config.Config, err error) error {
	all := cli.Separate((&Check{Config: c}).Run())
	for _, part := range cli.Separate(err) {
		i := slices.IndexFunc(all, func(found error) bool { return isSame(found, part) })
		if i < 0 {
			return err
		}
		all[i] = part // its hint knows more
	}
	return cli.Join(all...)
}

// isSame says whether two errors are of one cause. Who holds a port may be told in any order.
func isSame(a, b error) bool {
	var first, second *shard.InUseError
	if errors.As(a, &first) && errors.As(b, &second) {
		return first.Address == second.Address
	}
	return a.Error() == b.Error()
}

// StartError is the error with which serve does not start.
func StartError(c *config.Config, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EMFILE):
		return filesError(c, err)
	}
	return explain(c, err)
}

// checkPatience is for how long the process at the takeover path may not accept.
const checkPatience = 2 * time.Second

// takeover asks who listens at the takeover path, and hangs up without a word.
func (c *Check) takeover() []error {
	path := c.Config.Takeover
	if path == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), checkPatience)
	defer cancel()
	conn, err := takeover.Dial(ctx, path)
	switch {
	case err == nil:
		c.from = &active{conn.PID(), conn.Process()}
		conn.Close()
		return nil
	case errors.Is(err, takeover.ErrNotListening):
		err = takeover.ProbePath(path)
	}
	if err == nil {
		return nil
	}
	return []error{TakeoverError(c.Config, err)}
}

func (c *Check) zones() (errs []error) {
	_, err := LoadZones(c.Config.Listeners)
	return cli.Separate(err)
}

func (c *Check) ports() (errs []error) {
	for _, l := range c.Config.Listeners {
		holders := func(at netip.AddrPort, dual bool) ([]shard.Holder, error) { return c.holders(at, dual) }
		err := shard.Probe(l.Engine(), holders)
		switch {
		case err != nil && c.from == nil:
			errs = append(errs, WithTakeoverHint(c.Config, l.WithPosition(err)))
		case err != nil:
			errs = append(errs, l.WithPosition(err))
		case l.Join && c.Config.Standby && c.from != nil && c.from.pid != 0 && !c.passesOn(l):
			errs = append(errs, JoinError(l))
		}
	}
	return errs
}

// passesOn says whether the process that would be taken over from has a listener's address.
func (c *Check) passesOn(l *config.Listener) bool {
	at := l.Resolved()
	all, err := sockets.List(at.Port())
	return err != nil || slices.ContainsFunc(all, func(s sockets.Socket) bool {
		isFrom := func(p holder.Process) bool { return p.PID == c.from.pid }
		return canPassOn(s, at, l.DualStack()) && slices.ContainsFunc(s.Processes, isFrom)
	})
}

// holders returns the sockets that keep serve from an address.
func (c *Check) holders(at netip.AddrPort, dual bool) ([]shard.Holder, error) {
	all, err := sockets.List(at.Port())
	if err != nil && all == nil {
		return nil, err
	}
	listener := doctor.Listener{Address: at, Dual: dual}
	var holders []shard.Holder
	for _, s := range all {
		if !listener.Holds(s.Local, s.V6Only) || c.yields(s.Processes, canPassOn(s, at, dual)) {
			continue
		}
		h := shard.Holder{Address: s.Local, UID: int(s.UID)}
		if len(s.Processes) > 0 {
			h.PID, h.Command = s.Processes[0].PID, s.Processes[0].Command
		}
		if !slices.Contains(holders, h) {
			holders = append(holders, h)
		}
	}
	return holders, nil
}

// canPassOn says whether a socket can be taken over as one of an address.
func canPassOn(s sockets.Socket, at netip.AddrPort, dual bool) bool {
	return s.Local.Addr().Unmap() == at.Addr() && (!at.Addr().Is6() || s.V6Only != dual)
}

// yields says whether a socket is none that keeps serve out: it would be handed over, or is that
// of a process beside which this is looked at.
func (c *Check) yields(processes []holder.Process, same bool) bool {
	for _, p := range processes {
		if c.Beside != nil && c.Beside(p.PID) || same && c.from != nil && c.from.pid == p.PID {
			return true
		}
	}
	return same && c.from != nil && c.from.pid == 0 && len(processes) == 0
}

func (c *Check) outputs() (errs []error) {
	for _, l := range c.Config.Listeners {
		shards := 1
		if engine, err := l.Engine().Complete(); err == nil && strings.Contains(l.Output, output.PerShard) {
			shards = engine.Shards
		}
		for i := range shards {
			if err := output.Probe(l.Output, i); err != nil {
				errs = append(errs, OutputError(l, err))
			}
		}
	}
	return errs
}

// streams looks at the TCP ports of listeners of DNS. That an address is this host's, the UDP
// port's check says.
func (c *Check) streams() (errs []error) {
	for _, l := range c.Config.Listeners {
		if l.Protocol != "dns" {
			continue
		}
		at := l.Resolved()
		tcp, network := net.TCPAddrFromAddrPort(at), "tcp6" // as listenTCP
		switch {
		case l.DualStack():
			tcp.IP, network = nil, "tcp"
		case at.Addr().Is4():
			network = "tcp4"
		}
		if at.Port() != 0 && c.listens(at, l.DualStack(), l.Join) {
			errs = append(errs, TCPError(l, portTaken(network, tcp)))
		}
	}
	return errs
}

func (c *Check) web() []error {
	if c.Config.HTTP == "" {
		return nil
	}
	at, err := net.ResolveTCPAddr("tcp", c.Config.HTTPResolved)
	if err != nil {
		return []error{HTTPError(&net.OpError{Op: "listen", Net: "tcp", Err: err})}
	}
	address := at.AddrPort()
	dual := !address.Addr().IsValid() || address.Addr().IsUnspecified()
	if dual {
		address = netip.AddrPortFrom(netip.IPv6Unspecified(), address.Port())
	}
	address = netip.AddrPortFrom(address.Addr().Unmap(), address.Port())
	err = doctor.New().MayBind(address)
	if dual && errors.Is(err, unix.EAFNOSUPPORT) {
		err = doctor.New().MayBind(netip.AddrPortFrom(netip.IPv4Unspecified(), address.Port()))
	}
	switch {
	case err != nil:
		return []error{HTTPError(&net.OpError{Op: "listen", Net: "tcp", Addr: at, Err: err})}
	case address.Port() != 0 && !c.Config.MayRunWithoutHTTP() && c.listens(address, dual, false):
		return []error{HTTPError(portTaken("tcp", at))}
	}
	return nil
}

// portTaken is what net.Listen says of an address that somebody has.
func portTaken(network string, at net.Addr) error {
	return &net.OpError{Op: "listen", Net: network, Addr: at, Err: os.NewSyscallError("bind", unix.EADDRINUSE)}
}

// listens says whether somebody listens at a TCP address who keeps serve out. shared says that
// this user's processes may have it too (SO_REUSEPORT).
func (c *Check) listens(at netip.AddrPort, dual, shared bool) bool {
	found, _ := sockets.Listening(at.Port()) // what can't be seen, serve says
	listener := doctor.Listener{Address: at, Dual: dual}
	return slices.ContainsFunc(found, func(s sockets.Socket) bool {
		own := shared && int(s.UID) == os.Geteuid()
		return listener.Holds(s.Local, s.V6Only) && !own && !c.yields(s.Processes, true)
	})
}

// processFiles: the files that serve has open with one listener beside its shards' sockets: standard ones,
// epoll, an eventfd and the signals' end (Go 1.26).
const processFiles = 6

// files compares what serve opens at the least with RLIMIT_NOFILE. The hard limit counts: the Go
// runtime raises the soft one to it (package os, Go 1.19).
func (c *Check) files() []error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return nil // serve says it
	}
	if need := leastFiles(c.Config); uint64(need) > limit.Max {
		return []error{filesError(c.Config, fmt.Errorf("%s and their outputs need %d files at the least, and this process may open %d",
			format.Plural(c.Config.Shards(), "shard"), need, limit.Max))}
	}
	return nil
}

func leastFiles(c *config.Config) (n int) {
	n = processFiles + c.Shards()
	for _, l := range c.Listeners {
		if strings.Contains(l.Output, output.PerShard) {
			n += len(l.ShardCPUs())
		}
	}
	return n
}

// filesError adds what to do to an error that is for want of descriptors: a takeover holds the
// other process's sockets too, and each request to the HTTP server has one.
func filesError(c *config.Config, err error) error {
	return cli.NeedsFiles(err, 2*leastFiles(c)+MaxHTTPConnections)
}
