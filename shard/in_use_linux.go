package shard

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/holder"
)

// Holder is a UDP socket that has an address.
type Holder struct {
	Address netip.AddrPort
	UID     int    // of the socket
	PID     int    // 0 where this process may not see whose it is
	Command string // of PID

	own bool // this process holds it too
}

func (h Holder) String() string {
	if h.PID == 0 {
		return fmt.Sprintf("a process of uid %d that uid %d may not look into", h.UID, os.Geteuid())
	}
	return fmt.Sprintf("%s of uid %d", holder.Process{PID: h.PID, Command: h.Command}, h.UID)
}

// InUseError says that a port has a UDP socket that keeps us out of it.
type InUseError struct {
	Address string
	Holders []Holder // that were found, each once however many sockets it has
	Join    bool     // sharing was asked for
}

func (e *InUseError) Error() string {
	names := make([]string, len(e.Holders))
	for i, h := range e.Holders {
		names[i] = h.String()
	}
	who := strings.Join(names, ", ")
	if who == "" {
		who = "a socket that is not in this process's view of /proc"
	}
	return "address already in use: held by " + who
}

// Hint says what to do about it.
func (e *InUseError) Hint() string {
	if e.foreign() {
		return fmt.Sprintf("the kernel lets only sockets of one user share a port (SO_REUSEPORT, socket(7)): run both as one user, or take another port than %s", e.Address)
	}
	if e.Join {
		return "the socket there does not have SO_REUSEPORT set, so nothing can join it: stop that process, or take another port"
	}
	return "stop it, take another port, or share the port with --join"
}

// foreign says whether another user has a socket there.
func (e *InUseError) foreign() bool {
	return slices.ContainsFunc(e.Holders, func(h Holder) bool { return h.UID != os.Geteuid() })
}

// Unwrap returns EADDRINUSE.
func (e *InUseError) Unwrap() error { return unix.EADDRINUSE }

// ownAddresses are those that this process's groups are bound to, and how
// many: /proc may not be there to tell.
var ownAddresses = struct {
	sync.Mutex
	groups map[netip.AddrPort]int
}{groups: make(map[netip.AddrPort]int)}

func countOwn(at netip.AddrPort, n int) {
	ownAddresses.Lock()
	defer ownAddresses.Unlock()
	ownAddresses.groups[at] += n
}

// beside says that it is a group of this process that has the port, at
// another address than at: 127.0.0.2 beside the wildcard.
func (e *InUseError) beside(at address) bool {
	for _, h := range e.Holders {
		if !h.own {
			return false
		}
	}
	ownAddresses.Lock()
	defer ownAddresses.Unlock()
	found := false
	for own, groups := range ownAddresses.groups {
		if groups > 0 && own.Port() == at.Port() && overlap(own.Addr(), at.Addr()) {
			if own == at.AddrPort {
				return false
			}
			found = true
		}
	}
	return found
}

// newInUseError looks for those who hold an address. What can't be found out
// is left out: the kernel has refused the address in any case.
func newInUseError(at address, join bool) *InUseError {
	e := &InUseError{Address: at.String(), Join: join}
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return e
	}
	sockets := make(map[uint64]*Holder)
	for _, read := range []func() (procfs.NetUDP, error){fs.NetUDP, fs.NetUDP6} {
		lines, _ := read() // /proc/net/udp6 is missing on hosts without IPv6
		for _, line := range lines {
			held, _ := netip.AddrFromSlice(line.LocalAddr)
			if uint16(line.LocalPort) == at.Port() && overlap(held, at.Addr()) {
				sockets[line.Inode] = &Holder{Address: netip.AddrPortFrom(held, at.Port()), UID: int(line.UID)}
			}
		}
	}
	holders, _ := holder.Of(slices.Collect(maps.Keys(sockets)))
	for inode, processes := range holders {
		h, first := sockets[inode], processes[0]
		if h.own = first.PID == os.Getpid(); h.own && len(processes) > 1 {
			first = processes[1] // the one that it is taken over from
		}
		h.PID, h.Command = first.PID, first.Command
	}
	seen := make(map[Holder]bool)
	for _, h := range sockets {
		if !seen[*h] {
			seen[*h] = true
			e.Holders = append(e.Holders, *h)
		}
	}
	return e
}

// overlap says whether binding both addresses can conflict. A wildcard
// conflicts with all; :: counts as dual stack, since /proc does not tell.
func overlap(a, b netip.Addr) bool {
	switch {
	case a == b:
		return true
	case a.Is6() && a.IsUnspecified(), b.Is6() && b.IsUnspecified():
		return true
	case a.IsUnspecified(), b.IsUnspecified():
		return a.Is4() == b.Is4()
	}
	return false
}

// hinted is an error with a remedy.
type hinted struct {
	error
	hint string
}

func (e hinted) Hint() string  { return e.hint }
func (e hinted) Unwrap() error { return e.error }

// bindError adds what the kernel's refusal means.
func bindError(at address, err error) error {
	switch {
	case errors.Is(err, unix.EACCES):
		return hinted{fmt.Errorf("bind: %w", err), fmt.Sprintf(
			"ports below net.ipv4.ip_unprivileged_port_start need CAP_NET_BIND_SERVICE: grant it, or take a port above 1023, or sysctl -w net.ipv4.ip_unprivileged_port_start=%d", at.Port())}
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return hinted{fmt.Errorf("bind: %w", err), "no interface of this host has that address: see ip address"}
	}
	return fmt.Errorf("bind: %w", err)
}
