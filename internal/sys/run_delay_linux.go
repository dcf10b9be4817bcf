package sys

import (
	"bytes"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// RunDelay reads for how long a thread was ready to run while its CPU was
// another's: the second number of /proc/self/task/TID/schedstat (Linux's
// Documentation/scheduler/sched-stats.rst), in nanoseconds. Kernels without
// CONFIG_SCHED_INFO have no such file; then nothing is known.
type RunDelay struct {
	fd     int
	state  waitsState
	thread int
	waited time.Duration // in total, by all threads that there have been
	before time.Duration // by those before this one
	line   [96]byte      // three numbers of 20 digits at the most
}

type waitsState int

const (
	waitsUnknown waitsState = iota
	waitsOpen
	waitsNone // or no longer
)

// Of returns the total of a thread, or what was last known of it.
func (w *RunDelay) Of(thread int) time.Duration {
	if thread == 0 || w.state == waitsNone {
		return w.waited
	}
	if thread != w.thread {
		w.Close()
		w.state, w.thread, w.before = waitsUnknown, thread, w.waited
	}
	if w.state == waitsUnknown {
		fd, err := unix.Open(fmt.Sprintf("/proc/self/task/%d/schedstat", thread), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			w.state = waitsNone
			return w.waited
		}
		w.fd, w.state = fd, waitsOpen
	}
	n, err := unix.Pread(w.fd, w.line[:], 0)
	if err != nil { // it has ended
		return w.waited
	}
	if fields := bytes.Fields(w.line[:n]); len(fields) == 3 {
		if ns, err := strconv.ParseInt(string(fields[1]), 10, 64); err == nil {
			w.waited = max(w.waited, w.before+time.Duration(ns))
		}
	}
	return w.waited
}

func (w *RunDelay) Close() {
	if w.state == waitsOpen {
		unix.Close(w.fd)
	}
	w.state = waitsNone
}
