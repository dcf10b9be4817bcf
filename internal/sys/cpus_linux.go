package sys

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// maxCPUs is the largest CONFIG_NR_CPUS of x86 and arm64 kernels (8192, Linux 6.18). A mask
// shorter than the kernel's fails with EINVAL (sched_getaffinity(2)).
const maxCPUs = 8192

// CPUs are numbers of CPUs in ascending order.
type CPUs []int

// String returns the kernel's list format: 0,2-5.
func (c CPUs) String() string {
	var parts []string
	for i := 0; i < len(c); {
		last := i
		for last+1 < len(c) && c[last+1] == c[last]+1 {
			last++
		}
		part := strconv.Itoa(c[i])
		if last > i {
			part += "-" + strconv.Itoa(c[last])
		}
		parts = append(parts, part)
		i = last + 1
	}
	return strings.Join(parts, ",")
}

// Check returns an error for the first CPU that c does not have.
func (c CPUs) Check(cpus []int) error {
	for _, cpu := range cpus {
		if !slices.Contains(c, cpu) {
			return fmt.Errorf("cpu %d is not among those that this process may use (%s)", cpu, c)
		}
	}
	return nil
}

// UsableCPUs returns the affinity mask of the process's main thread, as the mask was at the
// first call. A later mask may be narrower: Go may run a pinned goroutine on the main thread.
func UsableCPUs() (CPUs, error) {
	cpus, err := usableCPUs()
	if err != nil {
		return nil, fmt.Errorf("read this process's CPU affinity: %w", err)
	}
	return slices.Clone(cpus), nil
}

var usableCPUs = sync.OnceValues(func() (CPUs, error) { return Affinity(os.Getpid()) })

// Affinity returns the affinity mask of a thread; 0 is the calling thread.
func Affinity(thread int) (CPUs, error) {
	mask := unix.NewCPUSet(maxCPUs)
	if err := unix.SchedGetaffinityDynamic(thread, mask); err != nil {
		return nil, err
	}
	var cpus CPUs
	for cpu := range maxCPUs {
		if mask.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	return cpus, nil
}

// SetAffinity sets the affinity mask of the calling thread.
func SetAffinity(cpus ...int) error {
	mask := unix.NewCPUSet(maxCPUs)
	for _, cpu := range cpus {
		mask.Set(cpu)
	}
	return unix.SchedSetaffinityDynamic(0, mask)
}

// PinThread makes the calling thread run on one CPU alone.
func PinThread(cpu int) error {
	if err := SetAffinity(cpu); err != nil {
		return fmt.Errorf("pin to cpu %d: %w", cpu, err)
	}
	return nil
}
