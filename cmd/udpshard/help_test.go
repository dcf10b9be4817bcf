package main

import (
	"bytes"
	"errors"
	"testing"

	"github.com/udpshard/udpshard/internal/cli"
)

var errFull = errors.New("no space left")

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errFull }

// Whatever a command writes, one that could not write it has failed.
func TestFullStdoutFailsCommands(t *testing.T) {
	commands := [][]string{{}, {"help"}, {"help", "serve"}, {"version"}, {"completion", "bash"}, {"completion", "zsh"}}
	for _, name := range []string{"serve", "send", "selftest", "sockets", "doctor", "health", "version", "help", "completion"} {
		commands = append(commands, []string{name, "--help"})
	}
	for _, args := range commands {
		var stderr bytes.Buffer
		if code := run(args, fullDisk{}, &stderr); code != cli.ExitFailed || stderr.String() != "udpshard: error: no space left\n" {
			t.Errorf("%q: exit code %d, %q", args, code, &stderr)
		}
	}
}
