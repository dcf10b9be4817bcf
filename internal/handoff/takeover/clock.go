package takeover

import (
	"time"

	"golang.org/x/sys/unix"
)

// monotonicNow returns CLOCK_MONOTONIC in nanoseconds (clock_gettime(2)). The clock is common to
// all processes of a host, except those in time namespaces of their own.
func monotonicNow() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0 // every Linux kernel has the clock
	}
	return ts.Nano()
}

// timeOfClock converts a monotonicNow of another process. The result is the zero time if ns is 0
// or in the future: an older version sent nothing, or the process is in another time namespace.
func timeOfClock(ns int64) time.Time {
	ago := time.Duration(monotonicNow() - ns)
	if ns == 0 || ago < 0 {
		return time.Time{}
	}
	return time.Now().Add(-ago)
}
