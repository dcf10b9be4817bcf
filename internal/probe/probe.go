// Package probe asks the kernel what it can do, by doing it once on sockets of
// its own: neither a version nor a configuration is read, because backports,
// seccomp profiles and capabilities make both lie. Nothing that it does stays.
//
// One table holds all of it: doctor prints it, and tests skip by it.
package probe

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// Feature is one thing that the kernel may offer.
type Feature struct {
	Name     string       // as the manual pages call it
	For      string       // what it is needed for
	Since    string       // the Linux version that brought it
	Required bool         // serve does not run without it
	Try      func() error // does it once; nil is that it works
}

// Probe returns nil where the feature works, and else what the kernel said.
// Any goroutine may call it at any time.
func (f Feature) Probe() error {
	if err := f.Try(); err != nil {
		return fmt.Errorf("%s: %w", f.Name, err)
	}
	return nil
}

// Forbidden says that an error of Probe is a matter of privilege (a
// capability, or a seccomp profile that answers EPERM) and not of the kernel's
// age.
func Forbidden(err error) bool { return errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) }

// Untried says that an error of Probe tells nothing of the feature: there was no
// free port to try it with.
func Untried(err error) bool { return errors.Is(err, unix.EADDRINUSE) }

// Features returns the table.
func Features() []Feature { return slices.Clone(features) }
