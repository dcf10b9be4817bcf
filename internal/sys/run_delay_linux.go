package sys

import (
	"bytes"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// RunDelay reads how long a thread of this process has waited for its CPU while another thread had
// the CPU: the second number of /proc/self/task/TID/schedstat, in nanoseconds (Linux's
// Documentation/scheduler/sched-stats.rst). Kernels without CONFIG_SCHED_INFO have no such file,
// and the result stays 0. A RunDelay is for one goroutine at a time.
type RunDelay struct {
	fd      int
	opened  bool
	missing bool // the file can't be opened
	thread  int
	total   time.Duration // of all threads
	before  time.Duration // of the threads before this thread
	line    [96]byte      // three numbers of at most 20 digits
}

// Of returns the total of a thread and of the threads of the calls before; after the end of the
// thread, the last known total.
func (r *RunDelay) Of(thread int) time.Duration {
	if thread == 0 || r.missing {
		return r.total
	}
	if thread != r.thread {
		r.Close()
		r.thread, r.before = thread, r.total
	}
	if !r.opened {
		fd, err := unix.Open(fmt.Sprintf("/proc/self/task/%d/schedstat", thread), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			r.missing = true
			return r.total
		}
		r.fd, r.opened = fd, true
	}
	n, err := unix.Pread(r.fd, r.line[:], 0)
	if err != nil { // the thread has ended
		return r.total
	}
	if fields := bytes.Fields(r.line[:n]); len(fields) == 3 {
		if ns, err := strconv.ParseInt(string(fields[1]), 10, 64); err == nil {
			r.total = max(r.total, r.before+time.Duration(ns))
		}
	}
	return r.total
}

// Close closes the file.
func (r *RunDelay) Close() {
	if r.opened {
		unix.Close(r.fd)
		r.opened = false
	}
}
