package metrics

import (
	"time"

	"golang.org/x/sys/unix"
)

// began and beganClock are one moment: as a Go time, and in nanoseconds of CLOCK_MONOTONIC
// (clock_gettime(2)). All processes of a host share this clock, except in time namespaces of their
// own.
var began, beganClock = func() (time.Time, int64) {
	var ts unix.Timespec
	now := time.Now()
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return now, 1 // Linux always has the clock; without it, times compare within this process
	}
	return now, ts.Nano()
}()

// clock returns a time in nanoseconds of the clock that processes share. The cost is a
// subtraction, since Go's monotonic clock is the same.
func clock(at time.Time) int64 { return int64(at.Sub(began)) + beganClock }

// moment returns the time for which clock has returned ns, in any process.
func moment(ns int64) time.Time { return began.Add(time.Duration(ns - beganClock)) }
