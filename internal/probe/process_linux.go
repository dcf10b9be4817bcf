package probe

import (
	"errors"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/sys"
)

// setAffinity sets the mask of the calling thread to its present value.
func setAffinity() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cpus, err := sys.Affinity(0)
	if err != nil {
		return err
	}
	return sys.SetAffinity(cpus...)
}

func createMemfd() error {
	fd, err := unix.MemfdCreate("probe", unix.MFD_CLOEXEC)
	if err == nil {
		unix.Close(fd)
	}
	return err
}

func membarrier() error {
	commands, err := sys.Membarrier(sys.MembarrierQuery)
	if err == nil && commands&sys.MembarrierGlobal == 0 {
		err = errors.New("not available with CPUs that run without a tick (nohz_full)")
	}
	return err
}

func openPidfd() error {
	fd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err == nil {
		unix.Close(fd)
	}
	return err
}

func readSchedstat() error {
	_, err := os.ReadFile("/proc/thread-self/schedstat")
	return err
}
