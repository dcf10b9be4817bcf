package takeover

import (
	"fmt"
	"os"

	"github.com/udpshard/udpshard/internal/sys"
)

// Lease is the right to be the active process of an epoch, which is the fencing token. A lease is
// a lock on a byte of the control memory (F_OFD_SETLK, fcntl(2)). So the kernel gives the lease to
// one process at a time, and takes the lease back when the process ends, however it ended. The end
// of a connection says less.
//
// To prevent two active processes, a process becomes active in this order:
//
//  1. Read the epoch e from the control memory.
//  2. Make sure that the active process of e has finished: by Conn.Commit, or by
//     acquiring the lease of e. ErrLeaseHeld means that the active process lives:
//     Dial again. Instead, a standby may decide that the active process hangs, at
//     the caller's risk: the process may wake up. Hence step 4 and the last rule.
//  3. Acquire the lease of e+1. ErrLeaseHeld means that another process is at
//     this step.
//  4. Change the epoch from e to e+1 by compare-and-swap. On failure release all
//     leases and start again.
//
// The process keeps the lease of e+1 until it has flushed all that it read. It reads only while
// the epoch in the control memory is its own.
//
// Standbys need no order: the first process that acquires the lease becomes active. The other
// processes get ErrLeaseHeld, and dial until the new process listens. If the new process dies
// before, its lease is free again.
type Lease struct{ file *os.File }

// AcquireLease acquires the lease of an epoch, without waiting: the error is ErrLeaseHeld if
// another process holds the lease. control is the control memory; the caller keeps the file.
// AcquireLease needs /proc.
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

// Control returns a new descriptor of the control memory of the lease. The caller closes the
// descriptor.
func (c *Lease) Control() (*os.File, error) {
	return sys.DuplicateFile(c.file, "control")
}

// Release releases the lease. It may be called more than once.
func (c *Lease) Release() { c.file.Close() }
