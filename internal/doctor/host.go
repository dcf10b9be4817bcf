// Package doctor checks what a Linux host does to datagrams on their way to a shard: the queues of
// the interface, the kernel's backlog, connection tracking, the sockets at the port, receive
// buffers, CPUs and limits. Package doctor changes nothing. What is not visible is reported as
// skipped, never guessed.
//
// Counters are totals since boot, so Examine reads them twice: growth between the readings is
// loss now, growth before is history. Each check is a method of examination, in a file of its
// theme, and works on what was read.
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

// Host is what Examine reads. New returns the host that the calling process runs on.
type Host struct {
	Proc, Sys  string                      // mount points of procfs and sysfs
	Features   []probe.Feature             // to probe
	Interfaces func() ([]Interface, error) // of the network namespace
	Watch      func(ctx context.Context, port uint16, interval time.Duration) (sockets.Watch, error)
	Ethtool    Ethtool
	Grant      func(bytes int) (granted int, err error) // asks for a receive buffer
	MayBind    func(netip.AddrPort) error               // whether this process may bind
}

// New returns the host that the calling process runs on.
func New() Host {
	return Host{
		Proc: "/proc", Sys: "/sys", Features: probe.Features(),
		Interfaces: interfaces, Watch: sockets.WatchFor, Grant: grant, MayBind: mayBind,
		Ethtool: Ethtool{sys.FlowHash, sys.InterfaceChannels, sys.ReceiveRing},
	}
}

// hostChecks are the checks of the host, in the order of the report.
var hostChecks = []struct {
	name string
	run  func(*examination, *results)
}{
	{"cpu quota", (*examination).quota},
	{"rx queues", (*examination).queues},
	{"udp hash", (*examination).hash},
	{"rx ring", (*examination).rings},
	{"softnet", (*examination).softnet},
	{"conntrack", (*examination).conntrack},
	{"udp errors", (*examination).udpErrors},
	{"udp memory", (*examination).udpMemory},
	{"open files", (*examination).files},
	{"threads", (*examination).threads},
	{"memory", (*examination).memory},
	{"go runtime", (*examination).goRuntime},
}

// listenerChecks are the checks of each listener, in the order of the report.
var listenerChecks = []struct {
	name string
	run  func(*examination, *results, Listener)
}{
	{"port", (*examination).port},
	{"receive buffer", (*examination).receiveBuffer},
	{"cpus", (*examination).cores},
}

// Examine runs all checks, with interval between the two readings of counters; 0 is one reading.
// The interval ends early if ctx does. The error is that of procfs, which every check needs.
func (h Host) Examine(ctx context.Context, listeners []Listener, interval time.Duration) ([]Finding, error) {
	fs, err := procfs.NewFS(h.Proc)
	if err != nil {
		return nil, err
	}
	self, err := fs.Self()
	if err != nil {
		return nil, err
	}
	e := examination{Host: h, fs: fs, self: self.PID, program: program(self), listeners: listeners}
	e.interfaces, e.interfacesErr = h.Interfaces()
	e.ports = h.watch(ctx, listeners, 0) // finds the instance
	if e.process, err = h.process(fs, e.instance()); err != nil {
		e.process, err = h.process(fs, 0) // the instance has ended meanwhile
	}
	if err != nil {
		return nil, err
	}
	e.groups = h.cgroups(fs, e.process)

	e.before = e.read()
	rest := time.NewTimer(interval) // Watch returns early where it can't list sockets
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
	self          int    // PID of this process
	program       string // name of this program
	listeners     []Listener
	interfaces    []Interface
	interfacesErr error
	process       process
	groups        cgroups
	ports         map[uint16]watched // between the readings
	before, after reading
}

// watching reports whether there were two readings.
func (e *examination) watching() bool { return e.after.at.After(e.before.at) }

// within writes the time between the readings.
func (e *examination) within() string {
	d, unit := e.after.at.Sub(e.before.at), time.Millisecond
	if d >= time.Second {
		unit = time.Second / 10
	}
	return "in " + d.Round(unit).String()
}

func (e *examination) findings() (all []Finding) {
	kernel := results{check: "kernel"}
	kernel.features(e.Features)
	all = kernel.findings
	for _, l := range e.listeners {
		for _, c := range listenerChecks {
			r := results{check: c.name, listener: l.Name}
			c.run(e, &r, l)
			all = append(all, r.findings...)
		}
	}
	for _, c := range hostChecks {
		r := results{check: c.name}
		c.run(e, &r)
		all = append(all, r.findings...)
	}
	return all
}
