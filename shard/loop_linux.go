package shard

import (
	"fmt"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/sys"
)

// receiveTimeout is the longest wait of a receive (SO_RCVTIMEO), and half of the longest time that
// a record waits for its flush: the flush is at the first return of a receive after receiveTimeout.
const receiveTimeout = 50 * time.Millisecond

// idlePollInterval is the longest wait of a shard without datagrams. Each return costs the process
// some 0.2 ms, mostly in sysmon.
const idlePollInterval = 250 * time.Millisecond

// maxFailures is how many transient errors in a row end the group: five seconds of errors.
const maxFailures = 100

// loop receives until the group stops and the queue is empty.
//
// Under load, loop receives with raw system calls, which wait for up to receiveTimeout, and with
// receive coalescing. After receiveTimeout without datagrams, loop waits in a call that the
// scheduler knows of.
//
// Why: CPU of the whole process per datagram, against a C loop, one shard at 300,000/s: 1.25 with
// Syscall6 throughout, 1.02 with raw calls, 0.69 with coalescing too. (Sysmon polls every 20 µs
// while it takes Ps from threads in system calls; a wake-up costs as much as several datagrams.)
// Idle, four shards, share of a core: 1.9% with raw calls throughout, since sysmon preempts each
// thread every 10 ms, 0.3% with this loop. Each variant was measured once; bench/run measures the
// present loop (bench/README.md).
func (s *shard) loop() error {
	now := time.Now()
	paused, maybeShutdown, lastPass, failures := false, false, false, 0
	for lastArrival := now; ; {
		if s.group.quiescing.Load() || s.counters.Fenced() {
			return nil
		}
		flags, polled := 0, false
		var err error
		stopping, draining := s.group.stopping.Load(), s.group.draining.Load()
		switch {
		case stopping, draining, paused:
			flags = unix.MSG_DONTWAIT
		case now.Sub(lastArrival) < s.group.config.BusyPoll:
			flags = unix.MSG_DONTWAIT
		case (now.Sub(lastArrival) >= receiveTimeout || procsScarce.Load()) && !maybeShutdown:
			if polled, err = s.wait(); err != nil {
				return err
			}
			flags = unix.MSG_DONTWAIT
		}
		s.receiver.Reset() // first: the last batch is in the counters now
		s.counters.BeginReceive()
		n, err := s.receiver.Receive(s.fd, flags)
		now = time.Now()
		s.counters.Heartbeat(now)
		// A socket after shutdown is readable for ever, and only a receive that may wait reports
		// the shutdown (__skb_recv_udp, Linux 6.18).
		maybeShutdown = polled && isEmpty(err)
		if paused {
			s.coalescer.recordPause(n)
			paused = false
		}
		switch {
		case n > 0:
			lastArrival, failures = now, 0
			if err := s.processBatch(s.fd, n, now); err != nil {
				return err
			}
			s.coalescer.messages += n
			if n < cap(s.messages) && s.coalescer.shouldPause(now) {
				paused = true
				if sys.Pause(s.coalescer.pause) {
					runtime.Gosched()
				}
			}
		case isEmpty(err) && (stopping && lastPass || draining):
			return nil
		case isEmpty(err):
			s.sketches.Filling() // after the last batch too, what was counted is read
			if failures = 0; stopping {
				lastPass = true // a datagram that had passed the filter is queued after the pause
				sys.Pause(minPause)
			}
		case isInterrupted(err):
			runtime.Gosched()
		case isFatal(err):
			return os.NewSyscallError("recvmmsg", err)
		case isOutOfMemory(err), isNetworkError(err):
			if failures++; failures == maxFailures {
				return fmt.Errorf("recvmmsg failed %d times in a row: %w", failures, err)
			}
			time.Sleep(receiveTimeout)
		}
		if !s.oldestRecord.IsZero() && now.Sub(s.oldestRecord) >= receiveTimeout {
			s.sink.Flush()
			s.oldestRecord = time.Time{}
		}
	}
}

// wait waits for a datagram in a call that the scheduler knows of, and reports whether one came. If
// the sink has no record, Run may stop the shard meanwhile: the error is errStopped then.
func (s *shard) wait() (polled bool, err error) {
	if !s.oldestRecord.IsZero() {
		return waitFor(s.fd, unix.POLLIN, receiveTimeout), nil
	}
	s.state.Store(stateWaiting)
	polled = waitFor(s.fd, unix.POLLIN, idlePollInterval)
	if !s.state.CompareAndSwap(stateWaiting, stateReading) {
		return false, errStopped
	}
	return polled, nil
}

// waitFor waits until a socket is readable or writable. False: the timeout has passed, or a signal
// came.
func waitFor(fd int, event int16, timeout time.Duration) bool {
	poll := [1]unix.PollFd{{Fd: int32(fd), Events: event}}
	n, _ := unix.Poll(poll[:], int(timeout.Milliseconds())) // the next call returns an error of the socket
	return n > 0
}
