package sys

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// NewMemory makes size bytes of zeroed memory that processes can share by
// passing the file: it has no name in any folder, and ends with the last
// descriptor and mapping of it (memfd_create(2), Linux 3.17). Its size is
// sealed, so nobody can shrink it under a mapping, which would be a SIGBUS to
// all who have one.
func NewMemory(name string, size int) (*os.File, error) {
	// Since Linux 6.3 a memfd can be executable or not, and with
	// vm.memfd_noexec=2 the executable ones, which is what one gets who does
	// not say, are refused with EACCES (Documentation/userspace-api/mfd_noexec.rst).
	// Before, MFD_NOEXEC_SEAL is EINVAL. So we ask with it, and then without.
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate(name, flags|unix.MFD_NOEXEC_SEAL)
	if errors.Is(err, unix.EINVAL) {
		fd, err = unix.MemfdCreate(name, flags)
	}
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	file := os.NewFile(uintptr(fd), "memfd:"+name)
	if err = unix.Ftruncate(fd, int64(size)); err != nil {
		file.Close()
		return nil, fmt.Errorf("ftruncate to %d bytes: %w", size, err)
	}
	if _, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL); err != nil {
		file.Close()
		return nil, os.NewSyscallError("fcntl F_ADD_SEALS", err)
	}
	return file, nil
}

// errUnsealed: whoever has it could make it shorter.
var errUnsealed = errors.New("its size is not sealed (F_SEAL_SHRINK, F_SEAL_GROW)")

// MapMemory maps all of a file that NewMemory made, in this process or another,
// to be read and written. It refuses memory whose size is not sealed.
func MapMemory(file *os.File) ([]byte, error) {
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, err
	}
	const fixed = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW
	var memory []byte
	controlErr := raw.Control(func(fd uintptr) {
		var seals int
		if seals, err = unix.FcntlInt(fd, unix.F_GET_SEALS, 0); err != nil {
			err = fmt.Errorf("it is no shared memory: %w", os.NewSyscallError("fcntl F_GET_SEALS", err))
			return
		}
		if seals&fixed != fixed {
			err = errUnsealed
			return
		}
		var stat unix.Stat_t
		if err = unix.Fstat(int(fd), &stat); err != nil {
			err = os.NewSyscallError("fstat", err)
			return
		}
		if stat.Size <= 0 || stat.Size != int64(int(stat.Size)) {
			err = fmt.Errorf("it has %d bytes", stat.Size)
			return
		}
		memory, err = unix.Mmap(int(fd), 0, int(stat.Size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		err = os.NewSyscallError("mmap", err)
	})
	return memory, errors.Join(controlErr, err)
}

// UnmapMemory undoes MapMemory. Nothing may point into memory any more.
func UnmapMemory(memory []byte) error { return os.NewSyscallError("munmap", unix.Munmap(memory)) }

// At returns the T that lies at offset in memory. It panics if it does not
// lie there whole, or not as T has to be aligned: whoever calls has checked.
// A T with pointers is for memory that nobody else reads them from; the
// garbage collector does not see them there.
func At[T any](memory []byte, offset int) *T {
	var t T
	if size := int(unsafe.Sizeof(t)); offset < 0 || offset > len(memory) || size > len(memory)-offset || size == 0 {
		panic(fmt.Sprintf("sys: %d bytes at %d of %d", size, offset, len(memory)))
	}
	p := unsafe.Pointer(&memory[offset])
	if uintptr(p)%unsafe.Alignof(t) != 0 {
		panic(fmt.Sprintf("sys: offset %d is not aligned to %d", offset, unsafe.Alignof(t)))
	}
	return (*T)(p)
}

// Slice returns n of them that lie one after the other, as At does.
func Slice[T any](memory []byte, offset, n int) []T {
	var t T
	if n <= 0 || n > len(memory)/int(unsafe.Sizeof(t)) {
		panic(fmt.Sprintf("sys: %d of %d bytes in %d", n, unsafe.Sizeof(t), len(memory)))
	}
	first := At[T](memory, offset)
	At[T](memory, offset+(n-1)*int(unsafe.Sizeof(t)))
	return unsafe.Slice(first, n)
}
