package sys

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Access is what processes with a descriptor of shared memory may do with the memory.
type Access bool

const (
	// ReadOnly: only the process that made the memory writes to the memory.
	ReadOnly Access = false
	// ReadWrite: every process with a descriptor of the memory may write to the memory.
	ReadWrite Access = true
)

// NewMemory makes size bytes of zeroed memory, and maps the memory for reading and writing. Other
// processes get the memory by its file. The memory has no name in any folder, and ends with its
// last descriptor and mapping (memfd_create(2), Linux 3.17). The size is sealed: no process can
// shrink the memory under a mapping, which would be a SIGBUS in all processes with a mapping.
//
// access is what other processes may do. ReadOnly memory is sealed with F_SEAL_FUTURE_WRITE
// (fcntl(2), Linux 5.1): only the mapping that NewMemory returns is writable. sealed reports
// whether the kernel has that seal; without the seal, every process with a descriptor can write.
func NewMemory(name string, size int, access Access) (file *os.File, memory []byte, sealed bool, err error) {
	// Since Linux 6.3 a memfd is executable or not. With vm.memfd_noexec=2, executable ones, which
	// are the default, are refused with EACCES (Documentation/userspace-api/mfd_noexec.rst). Before
	// Linux 6.3, MFD_NOEXEC_SEAL is EINVAL. So NewMemory asks with MFD_NOEXEC_SEAL, and then
	// without.
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate(name, flags|unix.MFD_NOEXEC_SEAL)
	if errors.Is(err, unix.EINVAL) {
		fd, err = unix.MemfdCreate(name, flags)
	}
	if err != nil {
		return nil, nil, false, os.NewSyscallError("memfd_create", err)
	}
	file = os.NewFile(uintptr(fd), "memfd:"+name)
	defer func() {
		if err != nil {
			file.Close()
			file, memory = nil, nil
		}
	}()
	if err = unix.Ftruncate(fd, int64(size)); err != nil {
		return file, nil, false, fmt.Errorf("ftruncate to %d bytes: %w", size, err)
	}
	if err = addSeals(fd, fixedSize); err != nil {
		return file, nil, false, err
	}
	if memory, err = MapMemory(file, ReadWrite); err != nil {
		return file, nil, false, err
	}
	if access == ReadOnly {
		err = addSeals(fd, unix.F_SEAL_FUTURE_WRITE)
		sealed = err == nil
		if errors.Is(err, unix.EINVAL) { // before Linux 5.1
			err = nil
		}
	}
	if err == nil {
		err = addSeals(fd, unix.F_SEAL_SEAL)
	}
	if err != nil {
		err = errors.Join(err, UnmapMemory(memory))
	}
	return file, memory, sealed, err
}

const fixedSize = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW

func addSeals(fd, seals int) error {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals)
	return os.NewSyscallError("fcntl F_ADD_SEALS", err)
}

// errUnsealed: any process with a descriptor could make the file shorter.
var errUnsealed = errors.New("size not sealed (F_SEAL_SHRINK, F_SEAL_GROW)")

// CheckMemory returns an error for a file that NewMemory did not make, in this or another process,
// such as a file in a folder or a device.
func CheckMemory(file *os.File) error {
	return Control(file, checkSeals)
}

func checkSeals(fd int) error {
	seals, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	if err != nil {
		return fmt.Errorf("not shared memory: %w", os.NewSyscallError("fcntl F_GET_SEALS", err))
	}
	if seals&fixedSize != fixedSize {
		return errUnsealed
	}
	return nil
}

// MapMemory maps all of a file that NewMemory made, in this or another process. Memory whose size
// is not sealed is an error. A store to memory that is mapped ReadOnly is a SIGSEGV.
func MapMemory(file *os.File, access Access) ([]byte, error) {
	protection := unix.PROT_READ
	if access == ReadWrite {
		protection |= unix.PROT_WRITE
	}
	var memory []byte
	err := Control(file, func(fd int) error {
		if err := checkSeals(fd); err != nil {
			return err
		}
		var stat unix.Stat_t
		if err := unix.Fstat(fd, &stat); err != nil {
			return os.NewSyscallError("fstat", err)
		}
		if stat.Size <= 0 || stat.Size != int64(int(stat.Size)) {
			return fmt.Errorf("size of %d bytes", stat.Size)
		}
		mapped, err := unix.Mmap(fd, 0, int(stat.Size), protection, unix.MAP_SHARED)
		memory = mapped
		return os.NewSyscallError("mmap", err)
	})
	return memory, err
}

// UnmapMemory undoes MapMemory. Nothing may point into memory any more.
func UnmapMemory(memory []byte) error { return os.NewSyscallError("munmap", unix.Munmap(memory)) }

// At returns the T at offset in memory. At panics if the T is not completely inside of memory, or
// not aligned: callers check the offset before. The garbage collector does not see pointers in
// memory, so a T with pointers needs other references to what its pointers point to.
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

// Slice returns n consecutive values of T from offset on, under the conditions of At.
func Slice[T any](memory []byte, offset, n int) []T {
	var t T
	if n <= 0 || n > len(memory)/int(unsafe.Sizeof(t)) {
		panic(fmt.Sprintf("sys: %d of %d bytes in %d", n, unsafe.Sizeof(t), len(memory)))
	}
	first := At[T](memory, offset)
	At[T](memory, offset+(n-1)*int(unsafe.Sizeof(t)))
	return unsafe.Slice(first, n)
}
