package loadgen

import (
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/format"
)

// maxCPUs is the largest CONFIG_NR_CPUS of x86 and arm64 kernels (8192, Linux
// 6.18); a smaller mask than the kernel's fails with EINVAL.
const maxCPUs = 8192

// UsableCPUs returns the affinity mask of the process's main thread.
func UsableCPUs() ([]int, error) {
	mask := unix.NewCPUSet(maxCPUs)
	if err := unix.SchedGetaffinityDynamic(os.Getpid(), mask); err != nil {
		return nil, fmt.Errorf("read this process's CPU affinity: %w", err)
	}
	var cpus []int
	for cpu := range maxCPUs {
		if mask.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	return cpus, nil
}

func checkCPUs(cpus, usable []int) error {
	for _, cpu := range cpus {
		if !slices.Contains(usable, cpu) {
			return &ConfigError{"CPUs", fmt.Errorf("cpu %d is not among those that this process may use (%s)",
				cpu, format.CPUs(usable))}
		}
	}
	return nil
}

// pin ties the calling thread to one CPU.
func pin(cpu int) error {
	mask := unix.NewCPUSet(maxCPUs)
	mask.Set(cpu)
	if err := unix.SchedSetaffinityDynamic(0, mask); err != nil {
		return fmt.Errorf("pin to cpu %d: %w", cpu, err)
	}
	return nil
}
