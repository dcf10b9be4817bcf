package succession

import (
	"errors"
	"time"

	"github.com/udpshard/udpshard/internal/handoff/takeover"
)

// RetryError is an error after which a new attempt to start makes sense, because the situation has
// changed: for example a peer has become active.
type RetryError struct {
	error
	Answered *Predecessor // the process that has answered meanwhile; nil: no process
}

// Retry returns a RetryError without Answered.
func Retry(err error) error { return RetryError{error: err} }

// WithReason returns a RetryError with the same Answered and a new reason.
func (e RetryError) WithReason(reason error) RetryError { return RetryError{reason, e.Answered} }

// Unwrap returns the reason.
func (e RetryError) Unwrap() error { return e.error }

// errHandedOverElsewhere: the predecessor has handed over to a process that does not answer at the
// takeover path, so the predecessor's sockets and counters in this process are out of use.
var errHandedOverElsewhere = errors.New("the active process has handed over to a process " +
	"that does not answer at the takeover path")

// isPathInUse returns whether another process listens at the takeover path.
func isPathInUse(err error) bool { return errors.As(err, new(*takeover.InUseError)) }

const (
	// leasePause is the time between two attempts to get a lease. The kernel closes the descriptors
	// of a killed process in sequence.
	leasePause = time.Millisecond
	// standbyLeasePatience is how long a standby tries to get a lease before it starts again.
	standbyLeasePatience = 200 * time.Millisecond
	// leasePatience is how long a successor tries: the predecessor may write a core dump.
	leasePatience = 10 * time.Second
)
