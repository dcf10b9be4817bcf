package main

import (
	"strconv"
	"testing"

	"github.com/udpshard/udpshard/internal/sys"
)

// usableCPU returns the number of a CPU that this process may use.
func usableCPU(t testing.TB) string {
	cpus, err := sys.UsableCPUs()
	if err != nil {
		t.Fatal(err)
	}
	return strconv.Itoa(cpus[0])
}
