package takeover

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

var (
	// ErrNotListening: no process listens at the path. The path has no file, or the file of a
	// process that has ended.
	ErrNotListening = errors.New("no process listens there")
	// ErrDisconnected: the active process closed the connection. It has ended, or refuses to go on
	// with this peer; the lease tells the difference.
	ErrDisconnected = errors.New("the active process has closed the connection")
	// ErrRedirected: another process is active now. Dial connects to the new active process.
	ErrRedirected = errors.New("another process has taken over")
	// ErrNoAnswer: the active process does not answer in time. It hangs, or is stopped.
	ErrNoAnswer = errors.New("no message in time")
	// ErrNoStandby: no standby waits that could take over.
	ErrNoStandby = errors.New("no standby can take over")
	// ErrPathLocked: another process of the same user holds the lock of the path.
	ErrPathLocked = errors.New("held by another process")
	// ErrLeaseHeld: another process holds the lease.
	ErrLeaseHeld = errors.New("lease held by another process")
)

// OtherVersionRemedy is the hint of an error of two versions without a common takeover protocol or
// without a common layout of the counters.
const OtherVersionRemedy = "the two versions can't hand over to each other: stop the active " +
	"process, then start this one (counters start at 0, and datagrams that arrive in between " +
	"are lost); systemctl restart does both, and datagrams wait in between"

// RefusedError is the refusal of the active process.
type RefusedError struct {
	Version string // of the active process
	Reason  string
	Remedy  string // may be empty
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("the active udpshard %s refuses: %s", versionName(e.Version), e.Reason)
}

// Hint returns the remedy, or nothing.
func (e *RefusedError) Hint() string { return e.Remedy }

// InUseError says that a live process listens at the path.
type InUseError struct {
	Path string
	PID  int // 0: unknown
	UID  int
}

func (e *InUseError) Error() string {
	who := "a process"
	if e.PID != 0 {
		who = fmt.Sprintf("pid %d", e.PID)
	}
	return fmt.Sprintf("%s is in use by %s of uid %d", e.Path, who, e.UID)
}

// Hint returns the remedy.
func (e *InUseError) Hint() string {
	return "take over from the process, stop the process, or use another path"
}

// Unwrap returns EADDRINUSE.
func (e *InUseError) Unwrap() error { return unix.EADDRINUSE }

// SharedFolderError says that other users may replace the socket.
type SharedFolderError struct {
	Folder string
	Mode   os.FileMode
}

func (e *SharedFolderError) Error() string {
	return fmt.Sprintf("other users may write to the folder %s (%s), and so replace the socket", e.Folder, e.Mode)
}

// Hint returns the remedy.
func (e *SharedFolderError) Hint() string { return "chmod go-w " + e.Folder + ", or use another path" }

// hinted is an error with a remedy.
type hinted struct {
	error
	hint string
}

func (e hinted) Hint() string  { return e.hint }
func (e hinted) Unwrap() error { return e.error }

// hintOf returns the remedy of an error, or nothing.
func hintOf(err error) string {
	var with interface{ Hint() string }
	if errors.As(err, &with) {
		return with.Hint()
	}
	return ""
}
