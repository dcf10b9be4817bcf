package systemd

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/sys"
)

// cookie returns the cookie of a socket: see sys.SocketCookie.
func cookie(file *os.File) (cookie uint64, err error) {
	err = sys.Control(file, func(fd int) error {
		cookie, err = sys.SocketCookie(fd)
		return err
	})
	return cookie, err
}

// inode returns the inode number of a memory file. All duplicates have the same number; no other
// memory file has the number while the file lives.
func inode(file *os.File) (uint64, error) {
	var stat unix.Stat_t
	err := sys.Control(file, func(fd int) error { return os.NewSyscallError("fstat", unix.Fstat(fd, &stat)) })
	return stat.Ino, err
}
