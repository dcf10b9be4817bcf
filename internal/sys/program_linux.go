package sys

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// ErrNoPrograms: the kernel, or the sandbox around the process, has no programs that choose a
// socket.
var ErrNoPrograms = errors.New("this kernel takes no steering programs (SO_ATTACH_REUSEPORT_CBPF, Linux 4.5): use hash")

// AttachProgram attaches a program that chooses the socket of each datagram to the SO_REUSEPORT
// group of a socket, in place of the program before: a datagram sees one or the other
// (reuseport_attach_prog, Linux 6.18). The socket is bound: a socket with a program before bind
// can't join a group.
func AttachProgram(fd int, program []bpf.RawInstruction) error {
	err := attach(fd, unix.SO_ATTACH_REUSEPORT_CBPF, program)
	switch {
	case errors.Is(err, unix.ENOPROTOOPT):
		return ErrNoPrograms
	case err != nil:
		return fmt.Errorf("setsockopt SO_ATTACH_REUSEPORT_CBPF with %d instructions: %w", len(program), err)
	}
	return nil
}

// DetachProgram makes the kernel's hash choose sockets. Before Linux 5.3 a program can't be
// detached: DetachProgram attaches a program instead whose result is past the group, for which
// the kernel uses its hash (reuseport_select_sock).
func DetachProgram(fd int) error {
	_, err := RemoveProgram(fd)
	if !errors.Is(err, unix.ENOPROTOOPT) {
		return err
	}
	program, err := bpf.Assemble([]bpf.Instruction{bpf.RetConstant{Val: 1<<32 - 1}})
	if err != nil {
		return err
	}
	return AttachProgram(fd, program)
}

// RemoveProgram detaches the group's program (SO_DETACH_REUSEPORT_BPF, Linux 5.3, ENOPROTOOPT
// before), and reports whether there was a program.
func RemoveProgram(fd int) (attached bool, err error) {
	err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_REUSEPORT_BPF, 0)
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	return err == nil, os.NewSyscallError("setsockopt SO_DETACH_REUSEPORT_BPF", err)
}

// RejectNew attaches a socket filter that drops each datagram from now on. Queued datagrams stay.
// The kernel counts these drops as drops of the socket (udp_queue_rcv_one_skb, Linux 6.18).
func RejectNew(fd int) error {
	program, err := bpf.Assemble([]bpf.Instruction{bpf.RetConstant{Val: 0}})
	if err != nil {
		return err
	}
	return os.NewSyscallError("setsockopt SO_ATTACH_FILTER", attach(fd, unix.SO_ATTACH_FILTER, program))
}

// DetachFilter detaches the socket filter, and reports whether there was a filter.
func DetachFilter(fd int) (attached bool, err error) {
	err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0)
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	return err == nil, os.NewSyscallError("setsockopt SO_DETACH_FILTER", err)
}

func attach(fd, option int, program []bpf.RawInstruction) error {
	filters := make([]unix.SockFilter, len(program))
	for i, in := range program {
		filters[i] = unix.SockFilter{Code: in.Op, Jt: in.Jt, Jf: in.Jf, K: in.K}
	}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, option, &unix.SockFprog{Len: uint16(len(filters)), Filter: &filters[0]})
}
