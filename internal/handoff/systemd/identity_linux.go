package systemd

import (
	"os"

	"golang.org/x/sys/unix"
)

// cookie returns the number of a socket, which no other gets until the next
// boot: all duplicates have it, in whatever process (SO_COOKIE, socket(7),
// Linux 4.12).
func cookie(file *os.File) (uint64, error) {
	raw, err := file.SyscallConn()
	if err != nil {
		return 0, err
	}
	var number uint64
	var asked error
	if err := raw.Control(func(fd uintptr) {
		number, asked = unix.GetsockoptUint64(int(fd), unix.SOL_SOCKET, unix.SO_COOKIE)
	}); err != nil {
		return 0, err
	}
	return number, os.NewSyscallError("getsockopt SO_COOKIE", asked)
}

// inode returns the number of a memory file, which no other has while it
// lives: all duplicates have it.
func inode(file *os.File) (uint64, error) {
	raw, err := file.SyscallConn()
	if err != nil {
		return 0, err
	}
	var stat unix.Stat_t
	var asked error
	if err := raw.Control(func(fd uintptr) { asked = unix.Fstat(int(fd), &stat) }); err != nil {
		return 0, err
	}
	return stat.Ino, os.NewSyscallError("fstat", asked)
}
