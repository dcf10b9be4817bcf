package probe

import (
	"errors"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/sys"
)

// maxCPUs is the largest CONFIG_NR_CPUS of x86 and arm64 kernels (8192, Linux
// 6.18); a smaller mask than the kernel's fails with EINVAL.
const maxCPUs = 8192

// affinity sets the calling thread's mask to what it is.
func affinity() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	mask := unix.NewCPUSet(maxCPUs)
	if err := unix.SchedGetaffinityDynamic(0, mask); err != nil {
		return err
	}
	return unix.SchedSetaffinityDynamic(0, mask)
}

func memoryFile() error {
	fd, err := unix.MemfdCreate("probe", unix.MFD_CLOEXEC)
	if err == nil {
		unix.Close(fd)
	}
	return err
}

func barrier() error {
	commands, err := sys.Membarrier(sys.MembarrierQuery)
	if err == nil && commands&sys.MembarrierGlobal == 0 {
		err = errors.New("the kernel does not have it while CPUs run without a tick (nohz_full)")
	}
	return err
}

func processFile() error {
	fd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err == nil {
		unix.Close(fd)
	}
	return err
}

func threadWaits() error {
	_, err := os.ReadFile("/proc/thread-self/schedstat")
	return err
}
