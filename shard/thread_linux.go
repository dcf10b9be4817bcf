package shard

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/sys"
)

// The states of a shard's thread. Run changes the state of a thread that waits in poll(2) without
// waking the thread, which sees the new state after its wait. With 2,000 shards on two CPUs, waking
// all threads takes 100 ms, during which no shard would read.
const (
	stateBlocked int32 = iota // waits for begin
	stateReading
	stateWaiting // waits in poll for datagrams, with nothing to count or to flush
	stateStopped // waits in poll, or will wait, and must not read
	stateClosed  // ends
)

// parkInterval is the longest wait of a thread in stateStopped before its first Run, and the
// longest wait of Close for the end of the threads.
const parkInterval = time.Second

// errStopped: Run has stopped the shard in its wait for datagrams: see stopIfWaiting.
var errStopped = errors.New("the shard was stopped while it waited")

// shardEnd is the end of reading of a shard.
type shardEnd struct {
	*shard
	err error
}

// thread is the shard's thread, from Listen to Close. The goroutine stays locked, so the pinned
// thread ends with the goroutine.
func (s *shard) thread() {
	runtime.LockOSThread()
	defer close(s.gone)
	pinErr := pin(s.counters.CPU, s.counters.Index)
	if pinErr != nil {
		s.state.CompareAndSwap(stateStopped, stateBlocked)
	}
	s.tid.Store(int32(unix.Gettid()))
	for s.state.Load() == stateStopped && !waitFor(s.fd, unix.POLLIN, parkInterval) {
	}
	for s.awaitRun() {
		err := pinErr
		if err == nil {
			err = s.read()
		}
		if err == errStopped {
			continue
		}
		s.state.Store(stateBlocked)
		s.ended <- shardEnd{s, err}
	}
}

// awaitRun waits until the shard is to read. It returns false if the group is closed.
func (s *shard) awaitRun() bool {
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
			s.countStart()
			s.group.countReader()
			s.state.Store(stateReading)
			return true
		default:
			return false
		}
	}
}

// read reads until the loop ends.
func (s *shard) read() error {
	err := s.loop()
	if err == errStopped {
		return err
	}
	s.sink.Flush()
	if s.group.quiescing.Load() && err == nil {
		s.counters.SuspendThread()
	} else {
		s.counters.EndThread()
	}
	return err
}

// startReading makes the thread read. The thread sends the end of reading to ended. For Run.
func (s *shard) startReading(ended chan<- shardEnd) {
	s.ended = ended
	if s.tid.Load() == 0 { // not started
		s.state.CompareAndSwap(stateStopped, stateBlocked)
	}
	if s.state.Load() == stateStopped {
		s.countStart()
		if s.state.CompareAndSwap(stateStopped, stateWaiting) {
			s.group.countReader()
			return
		}
	}
	s.begin <- struct{}{}
}

// countStart records in the counters that the thread reads from now on.
func (s *shard) countStart() {
	thread := int(s.tid.Load())
	used, _ := sys.ThreadCPU(thread) // no error: the thread exists
	s.counters.StartThread(thread, used)
	s.counters.Heartbeat(time.Now())
}

// stopIfWaiting stops the shard if the thread waits for datagrams and the queue is empty: a thread
// that does not wake up for a queue hangs, and must not be taken for stopped. For Run.
func (s *shard) stopIfWaiting() bool {
	if m, err := sys.SocketMemory(s.fd); err != nil || m.Queued > 0 {
		return false
	}
	if !s.state.CompareAndSwap(stateWaiting, stateStopped) {
		return false
	}
	s.counters.SuspendThread()
	return true
}

// interrupt ends the thread's wait with a signal, so that the loop checks whether to stop. The Go
// runtime takes the signal for a preemption that is over. A signal just before the wait has no
// effect, and the wait ends at its timeout.
func (s *shard) interrupt() {
	if thread := int(s.tid.Load()); thread != 0 {
		_ = unix.Tgkill(os.Getpid(), thread, unix.SIGURG) // ESRCH: the thread has ended
	}
}

// endThread ends a thread that does not read.
func (s *shard) endThread() {
	s.state.Store(stateClosed)
	close(s.begin)
	s.interrupt()
}

// awaitEnd waits for the end of the thread, at most until the deadline: a debugger may have stopped
// the thread. While the thread waits in poll, the kernel keeps the socket, and so the port.
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

// pin pins the calling thread to a CPU, and names the thread after the shard.
func pin(cpu, shard int) error {
	if err := sys.PinThread(cpu); err != nil {
		return err
	}
	if err := sys.NameThread(fmt.Sprintf("shard %d", shard)); err != nil {
		return fmt.Errorf("name thread: %w", err)
	}
	return nil
}
