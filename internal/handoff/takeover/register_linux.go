package takeover

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/handoff"
	"github.com/udpshard/udpshard/internal/sys"
)

// A registration marks a standby or successor, which has the counters of the active process and
// may take over. A registration is a lock on a byte of the control memory of the active process.
// The lock belongs to the open file behind the descriptor that the active process sends to the
// peer (open file description locks, fcntl(2), Linux 3.15). So the lock exists before the
// descriptor is sent, and while the message is unread. The lock ends when the last duplicate of
// the descriptor is closed, however the peer ended. The process that takes over counts
// registrations: each registration is a process that has not connected to it yet.
//
// A process that has connected to the new active process of an epoch registers again, in the
// previous control memory and at the new epoch. The registration ends when the new active process
// reads. If the new active process dies before, the next process that takes over finds
// registrations of earlier epochs, and waits for them.
const (
	firstRegistration = 1 << 62 // lower offsets are epochs: see Lease
	maxRegistrations  = 4096    // of an epoch
	// maxEpochs bounds the epochs of registrations, because 2^63-1 is the highest offset of a
	// lock. At a takeover every millisecond, the bound is 35,000 years away.
	maxEpochs = firstRegistration / maxRegistrations
)

// Register returns a new descriptor of a control memory, with a registration of a process that has
// connected to the active process of the epoch. Epoch 0 is for a process that has connected to no
// process that took over. The registration ends when the last duplicate is closed.
func Register(control *os.File, epoch uint64) (*os.File, error) {
	if epoch >= maxEpochs {
		return nil, errEpoch(epoch)
	}
	own, err := reopen(control)
	if err != nil {
		return nil, err
	}
	first := firstRegistration + int64(epoch)*maxRegistrations
	for at := first; at < first+maxRegistrations; at++ {
		if err = lockByte(own, at); !errors.Is(err, ErrLeaseHeld) {
			break
		}
	}
	if err != nil {
		own.Close()
		return nil, fmt.Errorf("register with the control memory: %w", err)
	}
	return own, nil
}

// withRegistration returns a Memory for a process that may take over. The Control is a new
// descriptor with a registration, which the caller closes; the Counters are the file in m.
func withRegistration(m handoff.Memory) (handoff.Memory, error) {
	if m.Files() == nil {
		return m, nil
	}
	control, err := Register(m.Control, 0)
	return handoff.Memory{Counters: m.Counters, Control: control}, err
}

// CountRegistrations returns the number of registrations of earlier epochs: processes that have
// not connected to a process that took over at the given epoch or later. The registration of the
// descriptor itself does not count.
func CountRegistrations(control *os.File, epoch uint64) (n int, err error) {
	if epoch >= maxEpochs {
		return 0, errEpoch(epoch)
	}
	type span struct{ from, to int64 }
	rest := []span{{firstRegistration, firstRegistration + int64(epoch)*maxRegistrations}}
	for len(rest) > 0 && n < maxRegistrations {
		s := rest[len(rest)-1]
		rest = rest[:len(rest)-1]
		from, to, found, err := findLock(control, s.from, s.to)
		if err != nil {
			return 0, err
		}
		if !found {
			continue
		}
		n++
		if s.from < from {
			rest = append(rest, span{s.from, from})
		}
		if to < s.to {
			rest = append(rest, span{to, s.to})
		}
	}
	return n, nil
}

// LeaseHeldBelow returns the highest epoch below the given epoch whose lease another process
// holds. ok is false without such a lease.
func LeaseHeldBelow(control *os.File, epoch uint64) (at uint64, ok bool, err error) {
	if epoch >= firstRegistration {
		return 0, false, errEpoch(epoch)
	}
	for from := int64(0); from < int64(epoch); {
		_, to, found, err := findLock(control, from, int64(epoch))
		if err != nil || !found {
			return at, ok, err
		}
		at, ok, from = uint64(to-1), true, to
	}
	return at, ok, nil
}

// findLock returns the bounds of a lock of another open file within [from, to). Of several locks,
// the kernel returns an arbitrary lock (posix_test_lock, fs/locks.c, Linux 6.18).
func findLock(control *os.File, from, to int64) (at, end int64, found bool, err error) {
	if from >= to { // length 0 would mean the rest of the file
		return 0, 0, false, nil
	}
	fds, err := sys.Descriptors(control)
	if err != nil {
		return 0, 0, false, err
	}
	lock := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart, Start: from, Len: to - from}
	if err := retryEINTR(func() error { return unix.FcntlFlock(uintptr(fds[0]), unix.F_OFD_GETLK, &lock) }); err != nil {
		return 0, 0, false, os.NewSyscallError("fcntl F_OFD_GETLK", err)
	}
	if lock.Type == unix.F_UNLCK {
		return 0, 0, false, nil
	}
	at, end = max(lock.Start, from), to
	if lock.Len > 0 && lock.Len < to-lock.Start { // 0: to the end of the file, however long
		end = max(lock.Start+lock.Len, at+1)
	}
	return at, end, true, nil
}

// reopen makes a new open file of a memory, by /proc: a lock belongs to an open file, which all
// duplicates of a descriptor share. A received file must be of sys.NewMemory. Any other file is
// refused: the new open file has the rights of this process, so the process that gets the
// descriptor could write to the file; and opening a device may never end.
func reopen(memory *os.File) (*os.File, error) {
	if err := sys.CheckMemory(memory); err != nil {
		return nil, fmt.Errorf("control memory: %w", err)
	}
	fds, err := sys.Descriptors(memory)
	if err != nil {
		return nil, err
	}
	own, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", fds[0]), os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("reopen the control memory: %w", err)
	}
	return own, nil
}

// lockByte locks a byte. The error is ErrLeaseHeld if another open file has the lock.
func lockByte(own *os.File, at int64) error {
	lock := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart, Start: at, Len: 1}
	err := retryEINTR(func() error { return unix.FcntlFlock(own.Fd(), unix.F_OFD_SETLK, &lock) })
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return ErrLeaseHeld
	}
	return os.NewSyscallError("fcntl F_OFD_SETLK", err)
}

func retryEINTR(f func() error) error {
	for {
		if err := f(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
