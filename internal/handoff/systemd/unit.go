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

// Unit is this process as a unit of the service manager. Any goroutine may call the methods. On a
// nil Unit, and in a process that no manager has started, the methods do nothing and succeed.
type Unit struct {
	socket   string        // of the manager; empty for none
	watchdog time.Duration // 0: off
	limit    int           // size of the descriptor store; 0: unknown

	mu         sync.Mutex
	passed     []Passed
	stored     map[string]bool // names in the store that begin with prefix, as far as this process knows
	generation uint64          // of the newest manifest
}

// Passed is a descriptor that the manager passed to this process.
type Passed struct {
	// Name is FileDescriptorName= of a .socket unit, by default the name of the unit; or the name
	// under which a process of this unit stored the descriptor.
	Name string
	File *os.File
}

// Open reads the manager's environment variables and removes them, because they are for this
// process and not for its children. Call Open once, early, before the process opens other
// descriptors. With an error, Open also returns a Unit with all that was valid.
func Open() (*Unit, error) {
	u := &Unit{stored: make(map[string]bool)}
	var errs []error
	defer clearEnvironment()

	switch at := os.Getenv("NOTIFY_SOCKET"); {
	case at == "":
	case at[0] == '/' || at[0] == '@':
		u.socket = at
	default: // vsock: is for managers of virtual machines, not for services
		errs = append(errs, fmt.Errorf("NOTIFY_SOCKET=%s is neither a path nor an abstract address", at))
	}
	var err error
	if u.watchdog, err = daemon.SdWatchdogEnabled(true); err != nil {
		errs = append(errs, err)
	}
	if text := os.Getenv("FDSTORE"); text != "" { // since systemd 254, for a unit with a store
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

// Managed reports whether a service manager listens to this process.
func (u *Unit) Managed() bool { return u != nil && u.socket != "" }

// clearEnvironment removes the remaining variables. LISTEN_PIDFDID exists since systemd 258.
func clearEnvironment() {
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "FDSTORE", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID"} {
		os.Unsetenv(name)
	}
}

// checkPassed checks that the descriptors of LISTEN_FDS exist: an os.File of a free number would
// later close an unrelated descriptor.
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
			return fmt.Errorf("LISTEN_FDS=%d, but descriptor %d is missing: %w", n, fd, err)
		}
	}
	return nil
}

// Passed returns the descriptors that the manager passed to this process, of .socket units and of
// the store, close-on-exec. The caller owns the files: a second call returns nothing. Restore
// sorts them.
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
