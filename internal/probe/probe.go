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

// skipper is the part of testing.TB that Need wants.
type skipper interface {
	Helper()
	Skipf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Need skips a test on hosts that lack a feature, saying since when Linux has
// it.
func Need(t skipper, name string) {
	t.Helper()
	i := slices.IndexFunc(features, func(f Feature) bool { return f.Name == name })
	if i < 0 {
		t.Fatalf("there is no feature %s in the table", name)
		return
	}
	if err := features[i].Probe(); err != nil {
		t.Skipf("needs %s (Linux %s): %v", name, features[i].Since, err)
	}
}
