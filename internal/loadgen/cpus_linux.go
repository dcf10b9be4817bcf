package loadgen

import (
	"fmt"
	"slices"

	"github.com/udpshard/udpshard/internal/sys"
)

func checkCPUs(cpus []int, usable sys.CPUs) error {
	for _, cpu := range cpus {
		if !slices.Contains(usable, cpu) {
			return &ConfigError{"CPUs", fmt.Errorf("cpu %d is not among those that this process may use (%s)", cpu, usable)}
		}
	}
	return nil
}

// pin ties the calling thread to one CPU.
func pin(cpu int) error {
	if err := sys.SetAffinity(cpu); err != nil {
		return fmt.Errorf("pin to cpu %d: %w", cpu, err)
	}
	return nil
}
