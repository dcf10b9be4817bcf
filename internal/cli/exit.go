package cli

import "errors"

// Exit codes (docs/configuration.md, Exit codes). 64 and 78 are from sysexits.h (4.3BSD); systemd
// names them in its logs. 2 is not used: a panic or a fatal error of the Go runtime ends a process
// with exit code 2, and then a supervisor has to restart the process.
const (
	ExitDone        = 0
	ExitFailed      = 1  // while running
	ExitReplaced    = 3  // serve: a standby has taken over, because this process was stopped or hung
	ExitUnreachable = 3  // status: no instance gives its status
	ExitUsage       = 64 // EX_USAGE: a command or a flag of the command line can't be used
	ExitConfig      = 78 // EX_CONFIG: the file, or a variable of the environment, can't be used
)

// ExitCodes is a section of the long text of a command (Help).
const ExitCodes = `

Exit codes:
0   done, or stopped by SIGTERM or SIGINT
1   failed while running
3   serve: a standby has taken over, because this process was stopped or hung;
    status: no instance answers
64  a command, a flag or its value can't be used
78  the file of --config, or a variable of the environment, can't be used`

// ExitCode returns the exit code of a process that ends with an error. The error may have a method
// ExitCode.
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
