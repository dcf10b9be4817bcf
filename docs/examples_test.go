// Package docs_test runs the examples of the documents.
package docs_test

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestExamples runs the examples of README.md, docs and deploy. Each page is one session of bash: in
// a copy of the repository, with udpshard in PATH, and in namespaces of its own (ports, processes,
// host name), which end with the session. The info string of a fenced block is one of:
//
//	console                  commands after "$ ", each before the lines that the command prints
//	console background       commands of a second terminal, which keep running
//	console needs PROGRAM…   commands; skipped if a program is missing
//	console skip REASON…     commands that no session can run
//	LANGUAGE file NAME       the content of a file for later commands
//	LANGUAGE printed         lines that background commands print
//
// After a command in the background, or a command that ends in "&", the test waits until udpshard is
// ready. Printed lines match apart from numbers and spaces. "…" stands for any text, and a line with
// nothing but "…" for any lines.
func TestExamples(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program and runs it for half a minute")
	}
	program := build(t)
	var names []string
	for _, pattern := range []string{"README.md", "docs/*.md", "deploy/*.md"} {
		some, err := filepath.Glob(filepath.Join("..", pattern))
		if err != nil || len(some) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(some), err)
		}
		names = append(names, some...)
	}
	for _, name := range names {
		page, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(filepath.Base(name), func(t *testing.T) {
			var s *session
			for _, b := range blocks(t, string(page)) {
				ok := t.Run(fmt.Sprint("line ", b.line), func(inner *testing.T) {
					b.skip(inner)
					if s == nil {
						s = newSession(t, program)
					}
					s.run(inner, b)
				})
				if !ok {
					return // later blocks build on this one
				}
			}
		})
	}
}

// block is a fenced block of a page for a session.
type block struct {
	line int      // number of the first line
	kind string   // console, background, needs, skip, file or printed
	args []string // words of the info string after the kind
	text []string // lines
}

// blocks returns the blocks of a page, in their order.
func blocks(t *testing.T, page string) (all []block) {
	var now *block
	for i, line := range strings.Split(page, "\n") {
		info, fence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case fence && now == nil:
			now = newBlock(t, i+2, strings.Fields(info))
		case fence:
			if now.kind != "" {
				all = append(all, *now)
			}
			now = nil
		case now != nil:
			now.text = append(now.text, line)
		}
	}
	return all
}

func newBlock(t *testing.T, line int, info []string) *block {
	b := &block{line: line}
	switch {
	case len(info) == 0:
		return b
	case strings.Contains(" sh bash shell ", " "+info[0]+" "):
		t.Errorf("line %d: a block of commands is a block of console", line)
	case len(info) == 1 && info[0] == "console":
		b.kind = "console"
	case len(info) > 1:
		b.kind, b.args = info[1], info[2:]
	}
	return b
}

// skip skips the test of a block that can't run on this host.
func (b block) skip(t *testing.T) {
	switch b.kind {
	case "skip":
		t.Skip(strings.Join(b.args, " "))
	case "needs":
		for _, program := range b.args {
			if _, err := exec.LookPath(program); err != nil {
				t.Skip("needs ", program)
			}
		}
	}
}

// command is a command of a block.
type command struct {
	text       string
	background bool
	prints     []string // lines, as on the page
}

func (b block) commands(t *testing.T) (all []command) {
	for i, line := range b.text {
		text, isCommand := strings.CutPrefix(line, "$ ")
		switch {
		case isCommand:
			text, _, _ = strings.Cut(text, "    # ") // without the remark
			all = append(all, command{text: text, background: b.kind == "background"})
		case len(all) == 0:
			t.Fatalf("line %d has no prompt: %q", b.line+i, line)
		case strings.HasSuffix(all[len(all)-1].text, `\`):
			all[len(all)-1].text += "\n" + line
		default:
			all[len(all)-1].prints = append(all[len(all)-1].prints, line)
		}
	}
	for i, c := range all {
		if text, found := strings.CutSuffix(strings.TrimSpace(c.text), "&"); found {
			all[i].text, all[i].background = text, true
		}
	}
	return all
}

// session is a bash in namespaces of its own.
type session struct {
	folder string         // the copy of the repository
	input  io.Writer      // of bash
	status *bufio.Scanner // exit codes of commands, a line each
	kill   func() error   // ends bash and all processes of the namespaces
	n      int            // number of commands so far
}

const (
	// commandTimeout is far longer than commands take, also on a busy machine that compiles first.
	commandTimeout = 2 * time.Minute
	// outputTimeout: how long a command may take to print what the page shows.
	outputTimeout = 10 * time.Second
)

func newSession(t *testing.T, program string) *session {
	t.Helper()
	folder := t.TempDir()
	copyRepository(t, folder)
	namespaces := []string{"--net", "--pid", "--uts", "--mount", "--fork", "--kill-child", "--mount-proc"}
	if os.Geteuid() != 0 {
		namespaces = append(namespaces, "--user", "--map-root-user")
	}
	const setup = "ip link set lo up && hostname web1 && taskset --cpu-list --pid 0,1 $$ >/dev/null" // two cores
	if out, err := exec.Command("unshare", append(namespaces, "bash", "-c", setup)...).CombinedOutput(); err != nil {
		t.Skipf("needs unshare, taskset, ip and hostname, CPUs 0 and 1, and root or unprivileged user namespaces: %v: %s", err, out)
	}
	cmd := exec.Command("unshare", append(namespaces, "bash", "--noprofile", "--norc")...)
	cmd.Dir = folder
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); name != "UDPSHARD_HTTP" && name != "RUNTIME_DIRECTORY" {
			cmd.Env = append(cmd.Env, variable)
		}
	}
	cmd.Env = append(cmd.Env, "TZ=UTC", "LC_ALL=C.UTF-8", "CGO_ENABLED=0", "GOFLAGS=-trimpath",
		"PATH="+filepath.Dir(program)+":"+os.Getenv("PATH"))
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	codes, status, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.ExtraFiles = []*os.File{status}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	status.Close()
	t.Cleanup(func() { // the end of bash, the first process of the PID namespace, ends all processes
		input.Close()
		late := time.AfterFunc(commandTimeout, func() { cmd.Process.Kill() })
		defer late.Stop()
		cmd.Wait()
		codes.Close()
	})
	s := &session{folder: folder, input: input, status: bufio.NewScanner(codes), kill: cmd.Process.Kill}
	if code, printed := s.do(t, setup); code != 0 {
		t.Fatal(printed)
	}
	return s
}

// do runs a command to the end, and returns the exit code and the output.
func (s *session) do(t *testing.T, text string) (code int, printed string) {
	t.Helper()
	s.n++
	name := filepath.Join(s.folder, fmt.Sprint(".printed-", s.n))
	fmt.Fprintf(s.input, "{ %s\n} </dev/null >%s 2>&1; echo $? >&3\n", text, name)
	late := time.AfterFunc(commandTimeout, func() { s.kill() })
	defer late.Stop()
	if !s.status.Scan() {
		t.Fatalf("bash has ended, or this command took longer than %s: %s", commandTimeout, text)
	}
	code, err := strconv.Atoi(s.status.Text())
	if err != nil {
		t.Fatal(err)
	}
	out, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return code, string(out)
}

// run runs a block.
func (s *session) run(t *testing.T, b block) {
	switch b.kind {
	case "file":
		path := filepath.Join(s.folder, b.args[0])
		if err := os.WriteFile(path, []byte(strings.Join(b.text, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	case "printed":
		s.until(t, outputTimeout, "the background prints these lines", func() (string, bool) {
			printed, _ := os.ReadFile(filepath.Join(s.folder, ".background"))
			for _, line := range b.text {
				if !matches([]string{"…", line, "…"}, string(printed)) {
					return string(printed), false
				}
			}
			return "", true
		})
	case "console", "needs", "background":
		for _, c := range b.commands(t) {
			s.command(t, c)
		}
	default:
		t.Fatalf("unknown kind of block: %s", b.kind)
	}
}

func (s *session) command(t *testing.T, c command) {
	t.Helper()
	if c.background {
		s.do(t, c.text+" >>.background 2>&1 &")
		s.until(t, commandTimeout, "udpshard is ready after "+c.text, func() (string, bool) {
			code, printed := s.do(t, "udpshard health || { cat .background; false; }")
			return printed, code == 0
		})
		return
	}
	s.until(t, outputTimeout, c.text, func() (string, bool) { // records take a moment to be in a file
		code, printed := s.do(t, c.text)
		return fmt.Sprintf("exit code %d\n%s", code, printed), code == 0 && matches(c.prints, printed)
	})
}

// until calls done until done returns true, or fails with the text that done returned last.
func (s *session) until(t *testing.T, limit time.Duration, what string, done func() (string, bool)) {
	t.Helper()
	for start := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		got, ok := done()
		if ok {
			return
		}
		if time.Since(start) > limit {
			t.Fatalf("%s: %s", what, got)
		}
	}
}

var (
	number = regexp.MustCompile(`0x[0-9a-f]+|[0-9][0-9.,]*`)
	spaces = regexp.MustCompile(`[ \t]+`)
)

// matches compares the lines of a page with printed lines. No lines match any.
func matches(want []string, printed string) bool {
	if len(want) == 0 {
		return true
	}
	plain := func(text string) string {
		return strings.TrimSpace(spaces.ReplaceAllString(number.ReplaceAllString(text, "0"), " "))
	}
	var pattern strings.Builder
	for _, line := range want {
		if strings.TrimSpace(line) == "…" {
			pattern.WriteString(`(?:.*\n)*?`)
			continue
		}
		pattern.WriteString(strings.ReplaceAll(regexp.QuoteMeta(plain(line)), "…", ".*") + `\n`)
	}
	var lines strings.Builder
	for line := range strings.Lines(printed) {
		lines.WriteString(plain(line) + "\n")
	}
	return regexp.MustCompile("^" + pattern.String() + "$").MatchString(lines.String())
}

// copyRepository copies the repository without .git.
func copyRepository(t *testing.T, to string) {
	t.Helper()
	const from = ".."
	err := filepath.WalkDir(from, func(name string, d fs.DirEntry, err error) error {
		path, _ := filepath.Rel(from, name)
		switch {
		case err != nil:
			return err
		case path == ".git": // a folder, or a file in a work tree
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, path), 0o755)
		case !d.Type().IsRegular():
			return nil
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, path), data, info.Mode())
	})
	if err != nil {
		t.Fatal(err)
	}
}

// build builds the program.
func build(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "udpshard")
	cmd := exec.Command("go", "build", "-trimpath", "-o", path, "./cmd/udpshard")
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}
