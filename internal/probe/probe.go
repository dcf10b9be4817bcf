// Package probe finds out what the kernel can do by trying each feature once, on sockets of its
// own. Probe reads no version and no kernel configuration: backports, seccomp profiles and
// capabilities make both misleading. A probe leaves nothing behind.
//
// One table holds all features: doctor prints the table, and tests skip by its results.
package probe

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// Feature is something that a kernel may or may not have.
type Feature struct {
	Name     string       // as in the manual pages
	For      string       // what udpshard needs the feature for
	Since    string       // first Linux version with the feature
	Required bool         // serve does not run without the feature
	Try      func() error // uses the feature once; nil: the feature works
}

// Probe returns nil if the feature works, and else the error of the kernel. Any goroutine may call
// Probe at any time.
func (f Feature) Probe() error {
	if err := f.Try(); err != nil {
		return fmt.Errorf("%s: %w", f.Name, err)
	}
	return nil
}

// Forbidden reports whether an error of Probe comes from missing privilege (a capability, or a
// seccomp profile that returns EPERM), not from the age of the kernel.
func Forbidden(err error) bool { return errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) }

// Untried reports whether Probe could not try the feature, for lack of a free port.
func Untried(err error) bool { return errors.Is(err, unix.EADDRINUSE) }

// Features returns the table.
func Features() []Feature { return slices.Clone(features) }
