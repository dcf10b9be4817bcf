package systemd

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"
)

// Unit is this process as a unit of the service manager. Its methods may be
// called by any goroutine. All of them do nothing and succeed on a nil Unit,
// and on that of a process that no manager has started.
type Unit struct {
	socket   string        // where to send; empty for nobody
	watchdog time.Duration // 0 is off
	limit    int           // of the descriptor store; 0 where it is not told

	mu         sync.Mutex
	passed     []Passed
	stored     map[string]bool // names of ours that the store has, as far as this process knows
	generation uint64          // of the newest set
}

// Passed is a descriptor that the manager passed to this process.
type Passed struct {
	// Name is FileDescriptorName= of a .socket unit, by default the unit's
	// own name; or what a process of this unit has stored it by.
	Name string
	File *os.File
}

// Open reads what the manager says in the environment, and removes it from
// there: it is for this process alone, and not for its children. It is called
// once, early, before other descriptors are opened. With an error there is a
// Unit too, which has what could be read.
func Open() (*Unit, error) {
	u := &Unit{stored: make(map[string]bool)}
	var errs []error
	defer clearEnvironment()

	switch at := os.Getenv("NOTIFY_SOCKET"); {
	case at == "":
	case at[0] == '/' || at[0] == '@':
		u.socket = at
	default: // vsock: is for the manager of a virtual machine, not for services
		errs = append(errs, fmt.Errorf("NOTIFY_SOCKET=%s is neither a path nor an abstract address", at))
	}
	var err error
	if u.watchdog, err = daemon.SdWatchdogEnabled(true); err != nil {
		errs = append(errs, err)
	}
	if text := os.Getenv("FDSTORE"); text != "" { // since systemd 254, where there is a store
		if u.limit, err = strconv.Atoi(text); err != nil {
			errs = append(errs, fmt.Errorf("FDSTORE=%s is no number of descriptors", text))
		}
	}
	if err := checkPassed(); err != nil {
		return u, errors.Join(append(errs, err)...)
	}
	for _, f := range activation.Files(true) {
		u.passed = append(u.passed, Passed{f.Name(), f})
		if strings.HasPrefix(f.Name(), prefix) {
			u.stored[f.Name()] = true
		}
		if name, ok := ParseName(f.Name()); ok && name.Kind == ManifestKind {
			u.generation = max(u.generation, name.ID)
		}
	}
	return u, errors.Join(errs...)
}

// Managed says whether a service manager listens to this process.
func (u *Unit) Managed() bool { return u != nil && u.socket != "" }

// forgetEnvironment removes what is left of the manager's words.
// LISTEN_PIDFDID is there since systemd 258.
func clearEnvironment() {
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "FDSTORE", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID"} {
		os.Unsetenv(name)
	}
}

// checkPassed makes sure that what LISTEN_FDS tells of is there: an os.File of
// a number that is free would close whatever gets that number later.
func checkPassed() error {
	if os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return nil
	}
	const first = 3 // SD_LISTEN_FDS_START, sd_listen_fds(3)
	text := os.Getenv("LISTEN_FDS")
	if text == "" {
		return nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return fmt.Errorf("LISTEN_FDS=%s is no number of descriptors", text)
	}
	for fd := first; fd < first+n; fd++ {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
			return fmt.Errorf("LISTEN_FDS=%d, but there is no descriptor %d: %w", n, fd, err)
		}
	}
	return nil
}

// Passed returns the descriptors that the manager passed to this process, those
// of .socket units and of the store, close-on-exec. They are the caller's:
// a second call returns nothing. Sort puts them in order.
func (u *Unit) Passed() []Passed {
	if u == nil {
		return nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	passed := u.passed
	u.passed = nil
	return passed
}
