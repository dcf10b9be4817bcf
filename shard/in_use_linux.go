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
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/holder"
)

// Holder is a UDP socket that is bound to a port.
type Holder struct {
	Address netip.AddrPort
	UID     int    // of the socket
	PID     int    // of a process that holds the socket; 0: not known
	Command string // of PID

	own bool // this process holds the socket too
}

func (h Holder) String() string {
	if h.PID == 0 {
		return fmt.Sprintf("a process of uid %d, whose pid is not visible to uid %d", h.UID, os.Geteuid())
	}
	return fmt.Sprintf("%s of uid %d", holder.Process{PID: h.PID, Command: h.Command}, h.UID)
}

// InUseError: another UDP socket keeps Listen from the port.
type InUseError struct {
	Address string
	Holders []Holder // one for each process and address, as far as /proc shows
	Join    bool     // of Config
}

func (e *InUseError) Error() string {
	names := make([]string, len(e.Holders))
	for i, h := range e.Holders {
		names[i] = h.String()
	}
	who := strings.Join(names, ", ")
	if who == "" {
		who = "a socket that this process can't see in /proc"
	}
	return "address already in use: held by " + who
}

// Hint returns a remedy.
func (e *InUseError) Hint() string {
	if e.foreign() {
		return fmt.Sprintf("the kernel lets only sockets of one user share a port (SO_REUSEPORT, socket(7)): run both processes as one user, or use another port than %s", e.Address)
	}
	if e.Join {
		return "the other socket has no SO_REUSEPORT, so no socket can join: stop that process, or use another port"
	}
	return "stop that process, use another port, or share the port with --join"
}

// foreign reports whether a holder's socket is of another user.
func (e *InUseError) foreign() bool {
	return slices.ContainsFunc(e.Holders, func(h Holder) bool { return h.UID != os.Geteuid() })
}

// Unwrap returns EADDRINUSE.
func (e *InUseError) Unwrap() error { return unix.EADDRINUSE }

// openGroups counts the groups of this process by address, since /proc may be missing.
var openGroups = struct {
	sync.Mutex
	byAddress map[netip.AddrPort]int
}{byAddress: make(map[netip.AddrPort]int)}

func countGroup(at netip.AddrPort, n int) {
	openGroups.Lock()
	defer openGroups.Unlock()
	openGroups.byAddress[at] += n
}

// isOwnGroup reports whether only groups of this process hold the port, at other addresses than at:
// 127.0.0.2 beside the wildcard.
func (e *InUseError) isOwnGroup(at address) bool {
	for _, h := range e.Holders {
		if !h.own {
			return false
		}
	}
	openGroups.Lock()
	defer openGroups.Unlock()
	found := false
	for own, groups := range openGroups.byAddress {
		if groups > 0 && own.Port() == at.Port() && overlap(own.Addr(), at.Addr()) {
			if own == at.AddrPort {
				return false
			}
			found = true
		}
	}
	return found
}

// newInUseError finds the holders of an address that the kernel has refused, as far as /proc shows.
func newInUseError(at address, join bool) *InUseError {
	e := &InUseError{Address: at.String(), Join: join}
	sockets := make(map[uint64]*Holder)
	for _, v6 := range []bool{false, true} {
		for _, line := range holder.SocketsOfPort(at.Port(), v6, time.Now(), 0) {
			if held, _ := netip.AddrFromSlice(line.LocalAddr); overlap(held, at.Addr()) {
				sockets[line.Inode] = &Holder{Address: netip.AddrPortFrom(held, at.Port()), UID: int(line.UID)}
			}
		}
	}
	holders, _ := holder.Of(slices.Collect(maps.Keys(sockets)))
	for inode, processes := range holders {
		h, first := sockets[inode], processes[0]
		if h.own = first.PID == os.Getpid(); h.own && len(processes) > 1 {
			first = processes[1] // the predecessor in a takeover
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

// overlap reports whether binding both addresses can conflict. A wildcard conflicts with all
// addresses; :: counts as dual stack, since /proc does not show IPV6_V6ONLY.
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

// hinted is an error with a remedy, which the command line shows.
type hinted struct {
	error
	hint string
}

func (e hinted) Hint() string  { return e.hint }
func (e hinted) Unwrap() error { return e.error }

// bindError adds a remedy to an error of bind.
func bindError(at address, err error) error {
	switch {
	case errors.Is(err, unix.EACCES):
		return hinted{fmt.Errorf("bind: %w", err), fmt.Sprintf(
			"ports below net.ipv4.ip_unprivileged_port_start need CAP_NET_BIND_SERVICE: grant the capability, use a port above 1023, or sysctl -w net.ipv4.ip_unprivileged_port_start=%d", at.Port())}
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return hinted{fmt.Errorf("bind: %w", err), "no interface of this host has the address: ip address lists all addresses"}
	}
	return fmt.Errorf("bind: %w", err)
}
