package takeover

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/sys"
)

// Claim is the right to be the active process of an epoch. It is a lock on a
// byte of the counters' memory (F_OFD_SETLK, fcntl(2)), so the kernel gives it
// to one process at a time, and takes it back when that process is no more,
// however it ended.
//
// A connection that has ended says less than that. So that never two are
// active, a process becomes active in this order:
//
//  1. It reads the epoch e from the counters.
//  2. It makes sure that whoever is active at e has done: by Conn.Mine, or by
//     getting the claim of e. If it is ErrClaimed, the other lives: Dial it
//     again. (Instead of this, a standby may judge that it hangs, which is the
//     caller's risk: it may wake up. Hence step 4 and the last rule.)
//  3. It gets the claim of e+1, or somebody else is at this step.
//  4. It changes the epoch from e to e+1 by compare-and-swap; if that fails it
//     releases its claims and begins anew.
//
// It keeps the claim of e+1 until it has flushed the last it read. It reads
// only while the epoch is its own.
//
// The lock needs no order among standbys: whoever comes first is active, the
// others find the claim taken, and dial until the new one listens; if it dies
// before that, its claim is free again.
type Claim struct{ file *os.File }

// NewClaim gets the claim of an epoch, at once or with ErrClaimed. counters
// is the memfd that all have, and stays open. It needs /proc: the lock belongs
// to an open file, and descriptors that were passed share one.
func NewClaim(counters *os.File, epoch uint64) (*Claim, error) {
	if epoch > math.MaxInt64 {
		return nil, fmt.Errorf("epoch %d is beyond what a lock can tell", epoch)
	}
	fds, err := sys.Descriptors(counters)
	if err != nil {
		return nil, err
	}
	own, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", fds[0]), os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("open the counters' memory anew: %w", err)
	}
	lock := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart, Start: int64(epoch), Len: 1}
	err = retry(func() error { return unix.FcntlFlock(own.Fd(), unix.F_OFD_SETLK, &lock) })
	if err != nil {
		own.Close()
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
			return nil, fmt.Errorf("epoch %d: %w", epoch, ErrClaimed)
		}
		return nil, os.NewSyscallError("fcntl F_OFD_SETLK", err)
	}
	return &Claim{own}, nil
}

// Counters returns a descriptor of the memory that the claim is on: the caller's.
func (c *Claim) Counters() (*os.File, error) {
	fd, err := unix.FcntlInt(c.file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("fcntl F_DUPFD_CLOEXEC", err)
	}
	return os.NewFile(uintptr(fd), "counters"), nil
}

// Release gives the claim up. It may be called more than once.
func (c *Claim) Release() { c.file.Close() }

func retry(f func() error) error {
	for {
		if err := f(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
