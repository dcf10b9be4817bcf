package preflight

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/config"
	"github.com/udpshard/udpshard/internal/doctor"
	"github.com/udpshard/udpshard/internal/holder"
	"github.com/udpshard/udpshard/internal/sockets"
	"github.com/udpshard/udpshard/shard"
)

// checkPorts checks the addresses and UDP ports of all listeners.
func (c *Check) checkPorts() error {
	var errs []error
	for _, l := range c.Config.Listeners {
		err := l.WithPosition(shard.Probe(l.Engine(), c.holders))
		switch {
		case err != nil && c.active == nil:
			errs = append(errs, WithTakeoverHint(c.Config, err))
		case err != nil:
			errs = append(errs, err)
		case l.Join && c.Config.Standby && c.active != nil && c.active.pid != 0 && !c.activeHas(l):
			errs = append(errs, JoinError(l))
		}
	}
	return cli.Join(errs...)
}

// activeHas reports whether the active process has a socket with the address of a listener.
func (c *Check) activeHas(l *config.Listener) bool {
	at := l.Resolved()
	all, err := sockets.List(at.Port())
	return err != nil || slices.ContainsFunc(all, func(s sockets.Socket) bool {
		isActive := func(p holder.Process) bool { return p.PID == c.active.pid }
		return hasAddress(s, at, l.DualStack()) && slices.ContainsFunc(s.Processes, isActive)
	})
}

// holders returns the sockets because of which serve cannot bind an address.
func (c *Check) holders(at netip.AddrPort, dual bool) ([]shard.Holder, error) {
	all, err := sockets.List(at.Port())
	if err != nil && all == nil {
		return nil, err
	}
	listener := doctor.Listener{Address: at, Dual: dual}
	var holders []shard.Holder
	for _, s := range all {
		if !listener.Holds(s.Local, s.V6Only) || c.countsAsFree(s, hasAddress(s, at, dual)) {
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

// hasAddress reports whether a socket has exactly the address, so that a takeover can pass the
// socket on.
func hasAddress(s sockets.Socket, at netip.AddrPort, dual bool) bool {
	return s.Local.Addr().Unmap() == at.Addr() && (!at.Addr().Is6() || s.V6Only != dual)
}

// countsAsFree reports whether a socket does not prevent the start: a process of Beside has the
// socket, or the active process, and a takeover passes the socket on.
func (c *Check) countsAsFree(s sockets.Socket, passedOn bool) bool {
	fromActive := passedOn && c.active != nil
	for _, p := range s.Processes {
		if c.Beside != nil && c.Beside(p.PID) || fromActive && c.active.pid == p.PID {
			return true
		}
	}
	return fromActive && c.active.pid == 0 && len(s.Processes) == 0
}

// checkTCPPorts checks the TCP ports of listeners with the protocol dns. checkPorts has checked
// that the host has the addresses.
func (c *Check) checkTCPPorts() error {
	var errs []error
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
		if at.Port() != 0 && c.isListening(at, l.DualStack(), l.Join) {
			errs = append(errs, TCPError(l, inUse(network, tcp)))
		}
	}
	return cli.Join(errs...)
}

func (c *Check) checkHTTP() error {
	if c.Config.HTTP == "" {
		return nil
	}
	at, err := net.ResolveTCPAddr("tcp", c.Config.HTTPResolved)
	if err != nil {
		return HTTPError(&net.OpError{Op: "listen", Net: "tcp", Err: err})
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
		return HTTPError(&net.OpError{Op: "listen", Net: "tcp", Addr: at, Err: err})
	case address.Port() != 0 && !c.Config.MayRunWithoutHTTP() && c.isListening(address, dual, false):
		return HTTPError(inUse("tcp", at))
	}
	return nil
}

// inUse returns the error of net.Listen for an address in use.
func inUse(network string, at net.Addr) error {
	err := os.NewSyscallError("bind", unix.EADDRINUSE)
	return &net.OpError{Op: "listen", Net: network, Addr: at, Err: err}
}

// isListening reports whether a socket listens at a TCP address and prevents the start. With
// shared, processes of this user can share the address (SO_REUSEPORT).
func (c *Check) isListening(at netip.AddrPort, dual, shared bool) bool {
	found, _ := sockets.Listening(at.Port()) // serve reports sockets that are not visible
	listener := doctor.Listener{Address: at, Dual: dual}
	return slices.ContainsFunc(found, func(s sockets.Socket) bool {
		own := shared && int(s.UID) == os.Geteuid()
		return listener.Holds(s.Local, s.V6Only) && !own && !c.countsAsFree(s, true)
	})
}
