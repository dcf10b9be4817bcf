package sys

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Control calls do with the descriptor of a file, connection or listener, and returns the error
// of do. c stays open meanwhile. os.File.Fd is no alternative: Fd clears O_NONBLOCK, a flag of
// the open file, and so changes every duplicate in every process.
func Control(c syscall.Conn, do func(fd int) error) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	return ControlRaw(raw, do)
}

// ControlRaw is Control for the argument of a net.ListenConfig's Control function.
func ControlRaw(raw syscall.RawConn, do func(fd int) error) error {
	var doErr error
	if err := raw.Control(func(fd uintptr) { doErr = do(int(fd)) }); err != nil {
		return err
	}
	return doErr
}

// Descriptors returns the descriptors of files. The caller keeps the files open during the use of
// the descriptors (runtime.KeepAlive).
func Descriptors(files ...*os.File) ([]int, error) {
	fds := make([]int, 0, len(files))
	for _, f := range files {
		err := Control(f, func(fd int) error {
			fds = append(fds, fd)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return fds, nil
}

// Duplicate returns a new descriptor of the same open file, with close-on-exec set.
func Duplicate(fd int) (int, error) {
	duplicate, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	return duplicate, os.NewSyscallError("fcntl F_DUPFD_CLOEXEC", err)
}

// DuplicateFile returns a file of the given name with a Duplicate of c's descriptor.
func DuplicateFile(c syscall.Conn, name string) (file *os.File, err error) {
	err = Control(c, func(fd int) error {
		duplicate, err := Duplicate(fd)
		if err == nil {
			file = os.NewFile(uintptr(duplicate), name)
		}
		return err
	})
	return file, err
}
