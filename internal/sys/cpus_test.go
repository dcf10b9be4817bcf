package sys

import (
	"runtime"
	"slices"
	"testing"
)

func TestCPUsString(t *testing.T) {
	for want, cpus := range map[string]CPUs{
		"": {}, "3": {3}, "0-1": {0, 1}, "0,2-5": {0, 2, 3, 4, 5}, "0-2,4,6-7": {0, 1, 2, 4, 6, 7},
	} {
		if got := cpus.String(); got != want {
			t.Errorf("%v is %q, want %q", []int(cpus), got, want)
		}
	}
}

func TestAffinity(t *testing.T) {
	usable, err := UsableCPUs()
	if err != nil || len(usable) == 0 {
		t.Fatal(usable, err)
	}
	last := usable[len(usable)-1]
	done := make(chan CPUs)
	go func() {
		runtime.LockOSThread() // the pinned thread ends with the goroutine
		if err := PinThread(last); err != nil {
			t.Error(err)
		}
		cpus, err := Affinity(0)
		if err != nil {
			t.Error(err)
		}
		done <- cpus
	}()
	if cpus := <-done; !slices.Equal(cpus, CPUs{last}) {
		t.Errorf("a thread pinned to cpu %d may use %s", last, cpus)
	}
	if _, err := Affinity(1 << 30); err == nil { // above the highest thread ID, 4,194,304 (PID_MAX_LIMIT)
		t.Error("no error for a thread that does not exist")
	}
}

func TestCheckCPUs(t *testing.T) {
	if err := (CPUs{0, 2}).Check([]int{2, 0, 2}); err != nil {
		t.Error(err)
	}
	if err := (CPUs{0, 2}).Check([]int{0, 1}); err == nil || err.Error() != "cpu 1 is not among those that this process may use (0,2)" {
		t.Error(err)
	}
}
