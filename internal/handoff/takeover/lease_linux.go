package takeover

import (
	"fmt"
	"os"

	"github.com/udpshard/udpshard/internal/sys"
)

// Claim is the right to be the active process of an epoch. It is a lock on a
// byte of the control memory (F_OFD_SETLK, fcntl(2)), so the kernel gives it
// to one process at a time, and takes it back when that process is no more,
// however it ended.
//
// A connection that has ended says less than that. So that never two are
// active, a process becomes active in this order:
//
//  1. It reads the epoch e from the control memory.
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
type Lease struct{ file *os.File }

// NewClaim returns the claim of an epoch. It does not wait: the error is ErrClaimed if another
// process has the claim. control is the control memory, which stays the caller's. NewClaim needs
// /proc.
func AcquireLease(control *os.File, epoch uint64) (*Lease, error) {
	if epoch >= firstRegistration {
		return nil, errEpoch(epoch)
	}
	own, err := reopen(control)
	if err != nil {
		return nil, err
	}
	if err := lockByte(own, int64(epoch)); err != nil {
		own.Close()
		return nil, fmt.Errorf("epoch %d: %w", epoch, err)
	}
	return &Lease{own}, nil
}

// errEpoch is the error of an epoch that no process can reach: the control memory is damaged.
func errEpoch(epoch uint64) error {
	return fmt.Errorf("epoch %d of the control memory is above the highest offset of a lock", epoch)
}

// Control returns a new descriptor of the control memory that the claim is on. The caller closes
// it.
func (c *Lease) Control() (*os.File, error) {
	return sys.DuplicateFile(c.file, "control")
}

// Release gives the claim up. It may be called more than once.
func (c *Lease) Release() { c.file.Close() }
