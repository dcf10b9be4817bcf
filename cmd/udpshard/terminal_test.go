package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// terminal is a shell in a terminal of tmux.
type terminal struct {
	t    *testing.T
	tmux string
	dir  string // of the socket of tmux, and of files
}

// newTerminal starts a terminal with a shell. env are variables of the shell: NAME=VALUE.
func newTerminal(t *testing.T, width, height int, env ...string) *terminal {
	t.Helper()
	w := &terminal{t: t, tmux: requireProgram(t, "tmux", "tmux")}
	var err error
	if w.dir, err = os.MkdirTemp("", "tmux"); err != nil { // t.TempDir may be too long for a socket
		t.Fatal(err)
	}
	cmd := w.command("new-session", "-d", "-x", strconv.Itoa(width), "-y", strconv.Itoa(height), "PS1='shell> ' exec sh")
	cmd.Env = append(cmd.Environ(), "PATH="+filepath.Dir(builtProgram(t))+":"+os.Getenv("PATH"), "LC_ALL=C.UTF-8", "NO_COLOR=")
	cmd.Env = append(cmd.Env, env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("tmux: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the screen:\n%s", w.screen())
		}
		w.do("kill-server")
		os.RemoveAll(w.dir)
	})
	w.shows(`^shell>$`)
	return w
}

// command returns a command of the server of w.
func (w *terminal) command(args ...string) *exec.Cmd {
	return exec.Command(w.tmux, append([]string{"-S", filepath.Join(w.dir, "socket"), "-f", os.DevNull}, args...)...)
}

// do runs a command of tmux, and returns the output.
func (w *terminal) do(args ...string) string {
	w.t.Helper()
	out, err := w.command(args...).CombinedOutput()
	if err != nil {
		w.t.Errorf("tmux %q: %v: %s", args, err, out)
	}
	return string(out)
}

// screen returns the text of the screen. flags are of capture-pane: -e for colors.
func (w *terminal) screen(flags ...string) string {
	w.t.Helper()
	return w.do(append([]string{"capture-pane", "-p"}, flags...)...)
}

// press sends keys by their names in tmux.
func (w *terminal) press(keys ...string) {
	w.t.Helper()
	w.do(append([]string{"send-keys"}, keys...)...)
}

// run types a command of the shell.
func (w *terminal) run(command string) {
	w.t.Helper()
	w.press("-l", command)
	w.press("Enter")
}

// resize changes the size of the terminal.
func (w *terminal) resize(width, height int) {
	w.t.Helper()
	w.do("resize-window", "-x", strconv.Itoa(width), "-y", strconv.Itoa(height))
}

// shows waits until the screen matches a pattern, in which ^ and $ are the ends of a line, and returns
// the screen.
func (w *terminal) shows(pattern string) (screen string) {
	w.t.Helper()
	matches := regexp.MustCompile("(?m)" + pattern)
	eventually(w.t, fmt.Sprintf("the screen matches %q", pattern), func() bool {
		screen = w.screen()
		return matches.MatchString(screen)
	})
	return screen
}

// wantClean waits for the end of a command with an exit code, which the shell prints as exit=N, and
// checks that the terminal is as it was: the screen of the shell, a visible cursor, and the modes
// that stty reports, which the shell has saved in modes.
func (w *terminal) wantClean(code int) {
	w.t.Helper()
	w.shows(fmt.Sprintf("^exit=%d\nshell>$", code))
	if modes := strings.TrimSpace(w.do("display-message", "-p", "#{alternate_on} #{cursor_flag}")); modes != "0 1" {
		w.t.Errorf("alternate screen and cursor: %s, want 0 1", modes)
	}
	w.run(`[ "$modes" = "$(stty -g)" ] && echo same modes`)
	w.shows(`^same modes$`)
}

// start starts a command that wantClean waits for.
func (w *terminal) start(command string) {
	w.t.Helper()
	w.run(`modes=$(stty -g); ` + command + `; echo "exit=$?"`)
}
