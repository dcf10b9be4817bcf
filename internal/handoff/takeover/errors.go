package takeover

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

var (
	// ErrNobody says that nobody listens at the path: there is no file, or
	// one that a process left which is no more.
	ErrNotListening = errors.New("nobody listens there")
	// ErrGone says that the active process's end of the connection is closed:
	// it has ended, or has given up on us. See Claim for what may follow.
	ErrDisconnected = errors.New("the active process has closed the connection")
	// ErrMoved says that another process is active now: Dial again, and it
	// answers.
	ErrRedirected = errors.New("another process has taken over")
	// ErrSilent says that the other process does not answer in time: it hangs,
	// or is stopped.
	ErrNoAnswer = errors.New("no message came in time")
	// ErrNoStandby says that nobody waits who could take over.
	ErrNoStandby = errors.New("no standby can take over")
	// ErrBusy says that another process of this user holds the lock of the path.
	ErrPathLocked = errors.New("held by another process")
	// ErrClaimed says that another process has the claim.
	ErrLeaseHeld = errors.New("claimed by another process")
)

// OtherVersionRemedy is the hint of an error of two versions that can't hand over to each other:
// they have different takeover protocols, or different layouts of the counters.
const OtherVersionRemedy = "the two versions can't hand over to each other: stop the active " +
	"process, then start this one (counters start at 0, and datagrams that arrive in between " +
	"are lost); systemctl restart does both, and datagrams wait in between"

// Refused is the other's no, in its words.
type RefusedError struct {
	Version string // of the process that refused
	Reason  string
	Remedy  string // may be empty
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("the active udpshard %s refuses: %s", versionName(e.Version), e.Reason)
}

// Hint says what to do about it, or nothing.
func (e *RefusedError) Hint() string { return e.Remedy }

// InUseError says that a live process listens at the path.
type InUseError struct {
	Path string
	PID  int // 0 where it can't be told
	UID  int
}

func (e *InUseError) Error() string {
	who := "a process"
	if e.PID != 0 {
		who = fmt.Sprintf("pid %d", e.PID)
	}
	return fmt.Sprintf("%s is in use: %s of uid %d listens there", e.Path, who, e.UID)
}

// Hint says what to do about it.
func (e *InUseError) Hint() string { return "take over from it, stop it, or take another path" }

// Unwrap returns EADDRINUSE.
func (e *InUseError) Unwrap() error { return unix.EADDRINUSE }

// SharedFolderError says that other users may replace the socket.
type SharedFolderError struct {
	Folder string
	Mode   os.FileMode
}

func (e *SharedFolderError) Error() string {
	return fmt.Sprintf("other users may write to the folder %s (%s), and so replace the socket there by their own", e.Folder, e.Mode)
}

// Hint says what to do about it.
func (e *SharedFolderError) Hint() string { return "chmod go-w " + e.Folder + ", or take another path" }

// hinted is an error with a remedy.
type hinted struct {
	error
	hint string
}

func (e hinted) Hint() string  { return e.hint }
func (e hinted) Unwrap() error { return e.error }

// remedy returns the hint of an error, or nothing.
func hintOf(err error) string {
	var with interface{ Hint() string }
	if errors.As(err, &with) {
		return with.Hint()
	}
	return ""
}
