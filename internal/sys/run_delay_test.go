package sys

import (
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// The total never falls, neither with another thread nor with a thread that does not exist.
func TestRunDelay(t *testing.T) {
	if _, err := os.Stat("/proc/self/schedstat"); err != nil {
		t.Skipf("needs CONFIG_SCHED_INFO: %v", err)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var r RunDelay
	defer r.Close()
	last := r.Of(0)
	if last != 0 {
		t.Errorf("%s without a thread", last)
	}
	for _, thread := range []int{unix.Gettid(), unix.Gettid(), os.Getpid(), unix.Gettid(), 0, 1 << 30, unix.Gettid()} {
		total := r.Of(thread)
		if total < last {
			t.Errorf("thread %d: %s after %s", thread, total, last)
		}
		last = total
	}
	if !r.missing || r.opened {
		t.Errorf("a thread that does not exist: %+v", r)
	}
}
