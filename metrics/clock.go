package metrics

import (
	"time"

	"golang.org/x/sys/unix"
)

// began is the same moment twice: as Go tells time, and in nanoseconds of
// CLOCK_MONOTONIC (clock_gettime(2)), which all processes of a host share, as
// long as nobody puts them into time namespaces of their own.
var began, beganClock = func() (time.Time, int64) {
	var ts unix.Timespec
	now := time.Now()
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return now, 1 // no Linux is without it; then only this process's own times compare
	}
	return now, ts.Nano()
}()

// moment returns the moment of which clock has returned ns, in whichever process.
func moment(ns int64) time.Time { return began.Add(time.Duration(ns - beganClock)) }

// clock returns a moment in nanoseconds that other processes understand. It
// costs a subtraction: Go's own clock is that one.
func clock(at time.Time) int64 { return int64(at.Sub(began)) + beganClock }
