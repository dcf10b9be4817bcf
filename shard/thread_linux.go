package shard

import (
	"errors"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/sys"
)

// The states of a shard's thread. A thread that waits in poll(2) need not wake up for its shard
// to be stopped, or to read on: others change the state, and it sees that when it wakes up. With
// 2,000 shards on two CPUs, waking all threads takes 100 ms, in which nobody would read.
const (
	stateBlocked int32 = iota // it waits for begin
	stateReading
	stateWaiting // it waits in poll for datagrams, with nothing to count or to hand on
	stateStopped // it waits in poll, or is about to, and must not read
	stateClosed  // it ends
)

// parkTurn is how long a thread that must not read waits at a time.
const parkTurn = time.Second

// thread is the shard's thread, from Listen to Close. It never unlocks, so the thread, which is
// pinned, ends with it.
func (s *shard) thread() {
	runtime.LockOSThread()
	defer close(s.gone)
	pinned := pin(s.page.CPU, s.page.Index)
	if pinned != nil {
		s.state.CompareAndSwap(stateStopped, stateBlocked)
	}
	s.tid.Store(int32(unix.Gettid()))
	for s.state.Load() == stateStopped && !waitFor(s.fd, unix.POLLIN, parkTurn) {
	}
	for s.rest() {
		err := pinned
		if err == nil {
			err = s.run()
		}
		if err == errStopped {
			continue
		}
		s.state.Store(stateBlocked)
		s.ended <- shardEnd{s, err}
	}
}

// rest waits until the shard is to read, and returns false when the group is closed.
func (s *shard) rest() bool {
	for {
		switch s.state.Load() {
		case stateWaiting:
			if s.state.CompareAndSwap(stateWaiting, stateReading) {
				return true
			}
		case stateStopped:
			s.state.CompareAndSwap(stateStopped, stateBlocked)
		case stateBlocked:
			if _, open := <-s.begin; !open {
				return false
			}
			s.startPage()
			s.group.countReader()
			s.state.Store(stateReading)
			return true
		default:
			return false
		}
	}
}

// startReading has the thread read until it says on ended how that has ended. Called by Run.
func (s *shard) startReading(ended chan<- shardEnd) {
	s.ended = ended
	if s.tid.Load() == 0 { // the thread has not started yet
		s.state.CompareAndSwap(stateStopped, stateBlocked)
	}
	if s.state.Load() == stateStopped {
		s.startPage()
		if s.state.CompareAndSwap(stateStopped, stateWaiting) {
			s.group.countReader()
			return
		}
	}
	s.begin <- struct{}{}
}

// startPage says in the counters that the thread reads from now on.
func (s *shard) startPage() {
	thread := int(s.tid.Load())
	used, _ := sys.ThreadCPU(thread) // the thread is there
	s.page.StartThread(thread, used)
	s.page.Heartbeat(time.Now())
}

// stopWaiting stops the shard if it waits for datagrams, and none are there: a thread that stays
// away from a queue hangs, and is not passed over. Called by Run.
func (s *shard) stopWaiting() bool {
	if m, err := sys.SocketMemory(s.fd); err != nil || m.Queued > 0 {
		return false
	}
	if !s.state.CompareAndSwap(stateWaiting, stateStopped) {
		return false
	}
	s.page.SuspendThread()
	return true
}

// end has the thread end. It is not reading.
func (s *shard) end() {
	s.state.Store(stateClosed)
	close(s.begin)
	s.interrupt()
}

// awaitEnd returns when the thread has ended, or does not by the deadline, as one that is stopped
// by a debugger: as long as it waits in poll, the kernel keeps the socket, and its port.
func (s *shard) awaitEnd(deadline time.Time) {
	for time.Now().Before(deadline) {
		select {
		case <-s.gone:
			return
		case <-time.After(time.Millisecond):
			s.interrupt()
		}
	}
}

// run reads from the first to the last datagram.
func (s *shard) run() error {
	err := s.loop()
	if err == errStopped {
		return err
	}
	s.sink.Flush()
	if s.group.yielding.Load() && err == nil {
		s.page.SuspendThread()
	} else {
		s.page.EndThread()
	}
	return err
}

// errStopped: the shard was stopped while it waited, see stopWaiting.
var errStopped = errors.New("the shard was stopped while it waited")

// wait waits for datagrams in a call that the scheduler knows of, and says whether some came.
// If the sink holds nothing, others may stop the shard meanwhile: then the error is errStopped.
func (s *shard) wait() (polled bool, err error) {
	if !s.oldest.IsZero() {
		return waitFor(s.fd, unix.POLLIN, turn), nil
	}
	s.state.Store(stateWaiting)
	polled = waitFor(s.fd, unix.POLLIN, idleTurn)
	if !s.state.CompareAndSwap(stateWaiting, stateReading) {
		return false, errStopped
	}
	return polled, nil
}
