package takeover

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/sys"
)

// credentials returns the credentials of the process at the other end (SO_PEERCRED, unix(7)): of
// the process that connected, or of the process that listened. PID is 0 for a process outside this
// process's pid namespace.
func credentials(conn *net.UnixConn) (unix.Ucred, error) {
	var cred unix.Ucred
	err := sys.Control(conn, func(fd int) error {
		c, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
		if err != nil {
			return os.NewSyscallError("getsockopt SO_PEERCRED", err)
		}
		cred = *c
		return nil
	})
	return cred, err
}

// isTrusted reports whether sockets may be exchanged with a process: of the same effective user,
// or of root, who could take the sockets anyway (ptrace(2)).
func isTrusted(cred unix.Ucred) bool {
	return cred.Uid == 0 || int(cred.Uid) == os.Geteuid()
}

// visiblePID returns the pid of a process. foreign: the pid is of a pid namespace that this
// process cannot see, and is said, the pid that the process sent.
func visiblePID(cred unix.Ucred, said int) (pid int, foreign bool) {
	if cred.Pid != 0 {
		return int(cred.Pid), false
	}
	return said, true
}

// describeProcess describes a process for error texts. said is the pid that the process sent.
func describeProcess(cred unix.Ucred, said int) string {
	switch {
	case cred.Pid != 0:
		return fmt.Sprintf("pid %d", cred.Pid)
	case said != 0:
		return fmt.Sprintf("pid %d of another pid namespace", said)
	}
	return fmt.Sprintf("a process of uid %d in another pid namespace", cred.Uid)
}
