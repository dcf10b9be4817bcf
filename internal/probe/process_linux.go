package probe

import (
	"errors"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/sys"
)

// affinity sets the calling thread's mask to what it is.
func affinity() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cpus, err := sys.Affinity(0)
	if err != nil {
		return err
	}
	return sys.SetAffinity(cpus...)
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
