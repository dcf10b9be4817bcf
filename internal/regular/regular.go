// Package regular reads files that an operator names, such as configuration and zones, without
// blocking for ever: a file must be regular, the size of a file is limited, and a read that hangs
// in the kernel, for example on a file server that does not answer, is abandoned.
package regular

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// maxLeaseBreak is longer than the kernel waits for the holder of a lease (fs.lease-break-time, 45
// s by default, fcntl(2)). File servers hold leases.
const maxLeaseBreak = 50 * time.Second

// leaseRetryInterval is the pause between attempts to open a file with a lease.
const leaseRetryInterval = 20 * time.Millisecond

// Open opens a regular file for reading. For any other file the error names the file: a pipe may
// have no writer, and a device may have no end.
func Open(name string) (*os.File, error) {
	// A device must not be opened at all: /dev/watchdog starts its timer on open.
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		return nil, notRegularError(name)
	}
	// O_NONBLOCK: the file may have been replaced since Stat (open(2)).
	for start := time.Now(); ; time.Sleep(leaseRetryInterval) {
		file, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
		if errors.Is(err, unix.EAGAIN) && time.Since(start) < maxLeaseBreak {
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

// Read returns the content of a regular file. A file of more than maxSize bytes is an error, and so
// is a timeout: see WithTimeout.
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

// maxReads is the limit for reads at a time, including abandoned reads. A read that hangs keeps a
// thread, and repeated reloads must not use up the threads.
const maxReads = 8

var readSlots = make(chan struct{}, maxReads)

// WithTimeout returns the result of read. After the timeout, the error is os.ErrDeadlineExceeded
// with the action in its text; read continues, since a hanging system call cannot be ended, and its
// result is dropped.
func WithTimeout[T any](timeout time.Duration, action string, read func() (T, error)) (T, error) {
	var none T
	select {
	case readSlots <- struct{}{}:
	default:
		return none, fmt.Errorf("%s: %d earlier reads have not ended", action, maxReads)
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
		return none, fmt.Errorf("%s: %w: longer than %s", action, os.ErrDeadlineExceeded, timeout)
	}
}
