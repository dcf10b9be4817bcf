// Package doctor checks what a Linux host does to datagrams on their way to a
// shard: the interface's queues, the kernel's backlog, connection tracking,
// who else has the port, receive buffers, cores and limits. Nothing is
// changed; what can't be seen is said to be unseen, never guessed.
//
// Counters are totals since boot, so Examine looks twice: what grows between
// the looks is lost now, and what grew before is history. Each check is a
// function of what was read, in a file of its theme.
package doctor

import (
	"context"
	"net/netip"
	"time"

	"github.com/prometheus/procfs"

	"github.com/udpshard/udpshard/internal/probe"
	"github.com/udpshard/udpshard/internal/sockets"
	"github.com/udpshard/udpshard/internal/sys"
)

// Host is where to read. New's is the one that it runs on.
type Host struct {
	Proc, Sys  string                      // mount points of procfs and sysfs
	Features   []probe.Feature             // to be probed
	Interfaces func() ([]Interface, error) // of the network namespace
	Watch      func(ctx context.Context, port uint16, interval time.Duration) (sockets.Watch, error)
	Ethtool    Ethtool
	Grant      func(bytes int) (granted int, forced bool, err error) // asks for a receive buffer
	MayBind    func(netip.AddrPort) error                            // whether this process may
}

// New returns the host that the calling process runs on.
func New() Host {
	return Host{
		Proc: "/proc", Sys: "/sys", Features: probe.Features(),
		Interfaces: interfaces, Watch: sockets.WatchFor, Ethtool: Ethtool{sys.FlowHash, sys.InterfaceChannels, sys.ReceiveRing}, Grant: grant, MayBind: mayBind,
	}
}

// Examine looks at the host for as long as interval, 0 being a single look,
// and returns what it finds for listeners, by theme. If ctx ends before, so
// does the interval. The error is that of procfs, without which nothing can be
// told.
func (h Host) Examine(ctx context.Context, listeners []Listener, interval time.Duration) ([]Finding, error) {
	fs, err := procfs.NewFS(h.Proc)
	if err != nil {
		return nil, err
	}
	self, err := fs.Self()
	if err != nil {
		return nil, err
	}
	e := examination{Host: h, fs: fs, self: self.PID, listeners: listeners}
	e.name = program(self)
	e.interfaces, e.interfacesErr = h.Interfaces()
	e.ports = h.watch(ctx, listeners, 0)                          // to find the instance
	if e.process, err = h.subject(fs, e.instance()); err != nil { // it has ended meanwhile
		e.process, err = h.subject(fs, 0)
	}
	if err != nil {
		return nil, err
	}
	e.groups, e.groupsErr = h.cgroups(fs, e.process)

	e.before = e.read()
	rest := time.NewTimer(interval) // also where the sockets could not be watched
	defer rest.Stop()
	e.ports = h.watch(ctx, listeners, interval)
	if interval > 0 {
		select {
		case <-rest.C:
		case <-ctx.Done():
		}
	}
	e.after = e.read()
	if interval == 0 {
		e.before = e.after
	}
	e.listeners = e.asRunning(listeners)
	return e.findings(), nil
}

// examination is all that was read.
type examination struct {
	Host
	fs            procfs.FS
	self          int    // this process
	name          string // and what its program is called
	listeners     []Listener
	interfaces    []Interface
	interfacesErr error
	process       process
	groups        cgroups
	groupsErr     error
	ports         map[uint16]watched // while the interval went by
	before, after reading
}

// within says how long was looked.
func (e *examination) within() string { return within(e.after.at.Sub(e.before.at)) }

// findings are those of all checks.
func (e *examination) findings() []Finding {
	findings := kernelFeatures(e.Features)
	for _, l := range e.listeners {
		for _, check := range []func(Listener) []Finding{e.port, e.receiveBuffer, e.cores} {
			for _, f := range check(l) {
				f.Listener = l.Name
				findings = append(findings, f)
			}
		}
	}
	for _, check := range []func() []Finding{
		e.quota, e.queues, e.rings, e.softnet, e.conntrack, e.udpErrors, e.udpMemory, e.files, e.threads, e.memory, e.goRuntime,
	} {
		findings = append(findings, check()...)
	}
	return findings
}
