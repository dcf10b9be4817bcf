package takeover

import (
	"time"

	"golang.org/x/sys/unix"
)

// clock returns the time in nanoseconds of CLOCK_MONOTONIC (clock_gettime(2)), which all
// processes of a host share, as long as nobody puts them into time namespaces of their own.
func monotonicNow() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0 // no Linux is without it
	}
	return ts.Nano()
}

// moment returns the time of which another process says that its clock was ns; the zero time
// where it has not said so, or is in another time namespace.
func timeOfClock(ns int64) time.Time {
	ago := time.Duration(monotonicNow() - ns)
	if ns == 0 || ago < 0 {
		return time.Time{}
	}
	return time.Now().Add(-ago)
}
