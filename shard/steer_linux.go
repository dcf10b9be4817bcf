package shard

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/procfs"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// attachProgram gives the socket's whole group a program, in the place of the
// one that it has: a datagram sees one or the other (reuseport_attach_prog,
// Linux 6.18). It comes after bind: a socket that has one before can't join a
// group.
func attachProgram(fd int, program []bpf.RawInstruction) error {
	filters := make([]unix.SockFilter, len(program))
	for i, in := range program {
		filters[i] = unix.SockFilter{Code: in.Op, Jt: in.Jt, Jf: in.Jf, K: in.K}
	}
	err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF,
		&unix.SockFprog{Len: uint16(len(filters)), Filter: &filters[0]})
	switch {
	case errors.Is(err, unix.ENOPROTOOPT):
		return errNoSteering
	case err != nil:
		return fmt.Errorf("setsockopt SO_ATTACH_REUSEPORT_CBPF with %d instructions: %w", len(program), err)
	}
	return nil
}

// detachProgram gives the group back to the kernel's hash. Before Linux 5.3
// (SO_DETACH_REUSEPORT_BPF) a program does it whose result is past the group:
// the kernel then falls back to its hash (reuseport_select_sock).
func detachProgram(fd int) error {
	err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_REUSEPORT_BPF, 0)
	switch {
	case err == nil, errors.Is(err, unix.ENOENT): // there was none
		return nil
	case !errors.Is(err, unix.ENOPROTOOPT):
		return os.NewSyscallError("setsockopt SO_DETACH_REUSEPORT_BPF", err)
	}
	past, err := bpf.Assemble([]bpf.Instruction{bpf.RetConstant{Val: 1<<32 - 1}})
	if err != nil {
		return err
	}
	return attachProgram(fd, past)
}

// removeProgram detaches the group's program and says whether there was one. Before Linux 5.3
// (SO_DETACH_REUSEPORT_BPF) a program can't be detached: it is said to be there.
func removeProgram(fd int) (there bool, err error) {
	err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_REUSEPORT_BPF, 0)
	switch {
	case err == nil, errors.Is(err, unix.ENOPROTOOPT):
		return true, nil
	case errors.Is(err, unix.ENOENT):
		return false, nil
	}
	return false, os.NewSyscallError("setsockopt SO_DETACH_REUSEPORT_BPF", err)
}

// shared says whether the group has members that are not its own: sockets at
// the same address. What /proc does not show is not there.
func (g *Group) shared(now time.Time, age time.Duration) bool {
	own := make(map[uint64]bool)
	fds := slices.Clone(g.surplus)
	for _, s := range g.shards {
		fds = append(fds, s.fd)
	}
	for _, fd := range fds {
		var stat unix.Stat_t
		if err := unix.Fstat(fd, &stat); err != nil {
			return false
		}
		own[stat.Ino] = true
	}
	for _, line := range socketsOf(g.address.AddrPort, now, age) {
		here := line.LocalAddr.Equal(g.address.Addr().AsSlice())
		if here && !own[line.Inode] && line.RemPort == 0 {
			return true
		}
	}
	return false
}

// portsAge is how old a list of all UDP sockets may be that groups use together: with a list of
// its own for each group, their cost would be the square of the number of groups.
const portsAge = time.Second

// ports are the UDP sockets of a family, by port.
type ports struct {
	read   time.Time
	byPort map[uint16]procfs.NetUDP
}

var (
	portsMu sync.Mutex
	ports4  ports
	ports6  ports
)

// socketsOf returns the UDP sockets with the port and the family of an address, as they were at
// most age ago.
func socketsOf(at netip.AddrPort, now time.Time, age time.Duration) procfs.NetUDP {
	portsMu.Lock()
	defer portsMu.Unlock()
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return nil
	}
	known, read := &ports4, fs.NetUDP
	if at.Addr().Is6() {
		known, read = &ports6, fs.NetUDP6
	}
	if known.byPort == nil || now.Sub(known.read).Abs() >= age {
		known.read, known.byPort = now, make(map[uint16]procfs.NetUDP)
		lines, _ := read()
		for _, line := range lines {
			port := uint16(line.LocalPort)
			known.byPort[port] = append(known.byPort[port], line)
		}
	}
	return known.byPort[at.Port()]
}
