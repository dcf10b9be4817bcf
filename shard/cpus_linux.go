package shard

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/sys"
)

// maxCPUs is the largest CONFIG_NR_CPUS of x86 and arm64 kernels (8192, Linux
// 6.18); a smaller mask than the kernel's fails with EINVAL
// (sched_getaffinity(2)).
const maxCPUs = 8192

// cpuSet is a set of CPUs in ascending order.
type cpuSet []int

func (s cpuSet) has(cpu int) bool { return slices.Contains(s, cpu) }
func (s cpuSet) list() []int      { return slices.Clone(s) }

// String is the kernel's list format: 0,2-5.
func (s cpuSet) String() string {
	var b strings.Builder
	for i := 0; i < len(s); {
		last := i
		for last+1 < len(s) && s[last+1] == s[last]+1 {
			last++
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(s[i]))
		if last > i {
			b.WriteByte('-')
			b.WriteString(strconv.Itoa(s[last]))
		}
		i = last + 1
	}
	return b.String()
}

// usableCPUs returns the process's affinity mask as it was before the first
// shard ran: a shard may get the main thread, and narrows the one it gets.
var usableCPUs = sync.OnceValues(readAffinity)

func readAffinity() (cpuSet, error) {
	mask := unix.NewCPUSet(maxCPUs)
	if err := unix.SchedGetaffinityDynamic(os.Getpid(), mask); err != nil {
		return nil, fmt.Errorf("read this process's CPU affinity: %w", err)
	}
	var set cpuSet
	for cpu := range maxCPUs {
		if mask.IsSet(cpu) {
			set = append(set, cpu)
		}
	}
	return set, nil
}

// pin ties the calling thread to one CPU and names it after its shard.
func pin(cpu, shard int) error {
	mask := unix.NewCPUSet(maxCPUs)
	mask.Set(cpu)
	if err := unix.SchedSetaffinityDynamic(0, mask); err != nil {
		return fmt.Errorf("pin to cpu %d: %w", cpu, err)
	}
	if err := sys.NameThread(fmt.Sprintf("shard %d", shard)); err != nil {
		return fmt.Errorf("name thread: %w", err)
	}
	return nil
}
