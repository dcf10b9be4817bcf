package takeover

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/sys"
)

// credentials returns whose process the other end is (SO_PEERCRED, unix(7)):
// the one that connected, or the one that listened. PID is 0 for one that is
// not in this process's pid namespace.
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

// trusted says whether sockets may be exchanged with a process: one of the
// same effective user, or of root, who could take them anyway (ptrace(2)).
func isTrusted(cred unix.Ucred) bool {
	return cred.Uid == 0 || int(cred.Uid) == os.Geteuid()
}

// known returns the pid by which a process is known, and whether that is of
// another pid namespace. said is the pid that it gave itself.
func visiblePID(cred unix.Ucred, said int) (pid int, foreign bool) {
	if cred.Pid != 0 {
		return int(cred.Pid), false
	}
	return said, true
}

// process names a process in words. said is the pid that it gave itself.
func describeProcess(cred unix.Ucred, said int) string {
	switch {
	case cred.Pid != 0:
		return fmt.Sprintf("pid %d", cred.Pid)
	case said != 0:
		return fmt.Sprintf("pid %d of another pid namespace", said)
	}
	return fmt.Sprintf("a process of uid %d in another pid namespace", cred.Uid)
}
