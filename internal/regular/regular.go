// Package regular reads files that an operator names: configuration, zones. Whoever
// reads them has other things to do, so no read waits for ever: what is not a regular
// file is refused, a file has a largest size, and a read that hangs in the kernel, as one
// of a file server that is away does, is given up.
package regular

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// maxLeaseBreak is longer than the kernel gives the holder of a lease to give it up
// (fs.lease-break-time, 45 s by default, fcntl(2)): a file server takes leases.
const maxLeaseBreak = 50 * time.Second

// leaseRetryInterval is how long to wait before the next try to open a file that has a lease.
const leaseRetryInterval = 20 * time.Millisecond

// Open opens a regular file for reading. Anything else is an error that names it: a
// pipe may never be written to, and a device never end.
func Open(name string) (*os.File, error) {
	// A device is not even opened: /dev/watchdog begins to count when it is.
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		return nil, notRegularError(name)
	}
	// O_NONBLOCK: what is there now may be another file than it was (open(2)).
	for began := time.Now(); ; time.Sleep(leaseRetryInterval) {
		file, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
		if errors.Is(err, unix.EAGAIN) && time.Since(began) < maxLeaseBreak {
			continue
		}
		if err != nil {
			return nil, err
		}
		info, err := file.Stat()
		if err == nil && !info.Mode().IsRegular() {
			err = notRegularError(name)
		}
		if err != nil {
			file.Close()
			return nil, err
		}
		return file, nil
	}
}

func notRegularError(name string) error { return fmt.Errorf("%s: not a regular file", name) }

// Read returns what a regular file has. A file of more than most bytes is an error, and
// so is a read that takes longer than the limit: see WithTimeout.
func Read(name string, maxSize int64, timeout time.Duration) ([]byte, error) {
	return WithTimeout(timeout, "read "+name, func() ([]byte, error) {
		if info, err := os.Stat(name); err == nil && info.IsDir() {
			return nil, &os.PathError{Op: "read", Path: name, Err: unix.EISDIR}
		}
		file, err := Open(name)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		data, err := io.ReadAll(io.LimitReader(file, maxSize+1))
		if err == nil && int64(len(data)) > maxSize {
			err = fmt.Errorf("%s: more than %d bytes", name, maxSize)
		}
		return data, err
	})
}

// maxReads is how many reads may be under way at a time, those that were given up
// included: each that hangs keeps a thread, and whoever is told to reload again and
// again must not run out of these.
const maxReads = 8

var readSlots = make(chan struct{}, maxReads)

// WithTimeout returns what read returns. If that takes longer than the limit, the error is
// os.ErrDeadlineExceeded, and names what is being done; read goes on, since nothing can
// end a system call that hangs, and its result is dropped.
func WithTimeout[T any](timeout time.Duration, action string, read func() (T, error)) (T, error) {
	var none T
	select {
	case readSlots <- struct{}{}:
	default:
		return none, fmt.Errorf("%s: %d reads that began before have not ended", action, maxReads)
	}
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		defer func() { <-readSlots }()
		value, err := read()
		done <- result{value, err}
	}()
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case r := <-done:
		return r.value, r.err
	case <-timer.C:
		return none, fmt.Errorf("%s: %w: it takes longer than %s", action, os.ErrDeadlineExceeded, timeout)
	}
}
