package cli

import "errors"

// Exit codes (docs/configuration.md, Exit codes). 64 and 78 are those of sysexits.h (4.3BSD), which
// systemd and others name in their logs. 2 is not among them: a panic and a fatal error of the
// Go runtime end a process with it, and what supervises the process has to start it again.
const (
	ExitDone     = 0
	ExitFailed   = 1  // while running
	ExitReplaced = 3  // a standby has taken over, since this process seemed dead
	ExitUsage    = 64 // EX_USAGE: a command or a flag of the command line can't be used
	ExitConfig   = 78 // EX_CONFIG: the file, or a variable of the environment, can't be used
)

// ExitCode returns the exit code of a process that ends with an error. An error with a method
// ExitCode says itself.
func ExitCode(err error) int {
	var own interface{ ExitCode() int }
	switch {
	case err == nil:
		return ExitDone
	case IsUsage(err):
		return ExitUsage
	case IsConfig(err):
		return ExitConfig
	case errors.As(err, &own):
		return own.ExitCode()
	}
	return ExitFailed
}
