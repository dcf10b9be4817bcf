package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/client"
	"github.com/udpshard/udpshard/internal/sys"
)

func TestMain(m *testing.M) {
	testscript.Main(testRun{m}, map[string]func(){
		topPanicsName: runTopPanics,
		collectorName: runCollector,
		"udpshard":    func() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) },
		"udpshard-panics": func() { // panics at SIGUSR1
			signals := make(chan os.Signal, 1)
			signal.Notify(signals, unix.SIGUSR1)
			go func() { panic(<-signals) }()
			os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
		},
	})
}

// testRun runs the tests with the defaults of the program. Scripts may set the environment of the
// program.
type testRun struct{ *testing.M }

func (t testRun) Run() int {
	os.Unsetenv(client.AddressVariable)
	os.Setenv("XDG_STATE_HOME", "/nonexistent") // the tests leave no files with the user
	defer func() { os.RemoveAll(programDir) }() // programDir may be ""
	return t.M.Run()
}

// TestScripts runs testdata/script. Additional commands:
//
//	exits CODE PROGRAM [ARG...]  run the program to its end, and check the exit code
//	start NAME PROGRAM [ARG...]  run in the background, with NAME.out, NAME.err and $NAME_pid
//	waitready HOST:PORT          wait until /readyz answers 200
//	waitfor FILE REGEXP [COUNT]  wait until the file has COUNT matches, default 1
//	waitget CODE URL [REGEXP]    wait for an answer that matches; without REGEXP, copy to stdout
//	waitexit CODE NAME [SIGNAL]  wait for the end; send SIGNAL, if given, until the process ends
//	signal SIGNAL NAME           send a signal such as TERM
//	send HOST:PORT TEXT          send a datagram
//	sockets udp|tcp NAME FILE    write the inodes of the sockets of the process, a line each
//	freeport VAR...              set variables to ports that are free for UDP and TCP
//	expand FILE...               replace variables in files by their values
//	example FILE                 check that the help text in FILE ends with an example
//
// The condition full holds on hosts with /dev/full. $CPU is a usable CPU, and $UID is the user id.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Condition: func(name string) (bool, error) {
			if name != "full" {
				return false, fmt.Errorf("unknown condition %s", name)
			}
			_, err := os.Stat("/dev/full")
			return err == nil, nil
		},
		Setup: func(env *testscript.Env) error {
			env.Values[scriptStateKey{}] = &scriptState{processes: make(map[string]*exec.Cmd), ended: make(map[string]chan struct{})}
			env.Setenv("CPU", usableCPU(t))
			env.Setenv("UID", strconv.Itoa(os.Getuid()))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": scriptFunc(2, scriptExits), "start": scriptFunc(2, scriptStart), "waitready": scriptFunc(1, scriptWaitReady),
			"waitfor": scriptFunc(2, scriptWaitFor), "waitget": scriptFunc(2, scriptWaitGet), "waitexit": scriptFunc(2, scriptWaitExit),
			"signal": scriptFunc(2, scriptSignal), "send": scriptFunc(2, scriptSend), "sockets": scriptFunc(3, scriptSockets),
			"freeport": scriptFunc(1, scriptFreePort), "expand": scriptFunc(1, scriptExpand), "example": scriptFunc(1, scriptExample),
		},
	})
}

// scriptState is the state of a running script, under the key scriptStateKey.
type scriptState struct {
	processes map[string]*exec.Cmd
	ended     map[string]chan struct{}
}

type scriptStateKey struct{}

// scriptTimeout limits each wait of a script, also on a busy machine with the race detector.
const scriptTimeout = 30 * time.Second

func scriptFunc(least int, run func(*testscript.TestScript, []string)) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, not bool, args []string) {
		if not || len(args) < least {
			ts.Fatalf("usage: see TestScripts")
		}
		run(ts, args)
	}
}

// waitUntil polls ready until its error is nil, and fails with the last error after scriptTimeout.
func waitUntil(ts *testscript.TestScript, what string, ready func() error) {
	deadline := time.Now().Add(scriptTimeout)
	for {
		err := ready()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("waited %s for %s: %v", scriptTimeout, what, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// scriptCommand makes a command that runs in the folder of the script.
func scriptCommand(ts *testscript.TestScript, args []string) (*exec.Cmd, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.Background(), scriptTimeout)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = append(os.Environ(), "HOME="+ts.Getenv("HOME"),
		"GORACE=atexit_sleep_ms=10 "+os.Getenv("GORACE")) // default of the race detector: 1 s at each exit
	for _, name := range []string{client.AddressVariable, "NO_COLOR", "STATE_DIRECTORY"} {
		if value := ts.Getenv(name); value != "" {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	return cmd, cancel
}

func scriptExits(ts *testscript.TestScript, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	cmd, cancel := scriptCommand(ts, args[1:])
	defer cancel()
	cmd.Stdout, cmd.Stderr = ts.Stdout(), ts.Stderr()
	err = cmd.Run()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		ts.Fatalf("%v", err)
	}
	if code := cmd.ProcessState.ExitCode(); code != want {
		ts.Fatalf("got exit code %d (%v), want %d", code, cmd.ProcessState, want)
	}
}

func scriptStart(ts *testscript.TestScript, args []string) {
	name := args[0]
	state := ts.Value(scriptStateKey{}).(*scriptState)
	cmd, cancel := scriptCommand(ts, args[1:])
	for suffix, to := range map[string]*io.Writer{".out": &cmd.Stdout, ".err": &cmd.Stderr} {
		f, err := os.Create(ts.MkAbs(name + suffix))
		ts.Check(err)
		defer f.Close()
		*to = f
	}
	ts.Check(cmd.Start())
	ended := make(chan struct{})
	go func() {
		cmd.Wait()
		cancel()
		close(ended)
	}()
	state.processes[name], state.ended[name] = cmd, ended
	ts.Setenv(name+"_pid", strconv.Itoa(cmd.Process.Pid))
	ts.Defer(func() {
		cmd.Process.Kill()
		<-ended
		for _, suffix := range []string{".out", ".err"} {
			if text, err := os.ReadFile(ts.MkAbs(name + suffix)); err == nil && len(text) > 0 {
				ts.Logf("[%s%s]\n%s", name, suffix, text)
			}
		}
	})
}

func startedProcess(ts *testscript.TestScript, name string) (*exec.Cmd, chan struct{}) {
	state := ts.Value(scriptStateKey{}).(*scriptState)
	if state.processes[name] == nil {
		ts.Fatalf("unknown process %s", name)
	}
	return state.processes[name], state.ended[name]
}

// failIfEnded fails the script if a background process has ended.
func failIfEnded(ts *testscript.TestScript) {
	state := ts.Value(scriptStateKey{}).(*scriptState)
	for name, ended := range state.ended {
		select {
		case <-ended:
			text, _ := os.ReadFile(ts.MkAbs(name + ".err"))
			ts.Fatalf("%s has ended: %v\n%s", name, state.processes[name].ProcessState, text)
		default:
		}
	}
}

func scriptWaitReady(ts *testscript.TestScript, args []string) {
	waitUntil(ts, args[0], func() error {
		failIfEnded(ts)
		code, body, err := httpGet("http://" + args[0] + "/readyz")
		if err == nil && code != http.StatusOK {
			err = fmt.Errorf("%d %s", code, body)
		}
		return err
	})
}

func scriptWaitGet(ts *testscript.TestScript, args []string) {
	pattern, err := regexp.Compile("(?m)" + strings.Join(args[2:], ""))
	ts.Check(err)
	var body string
	waitUntil(ts, args[1], func() error {
		code, text, err := httpGet(args[1])
		if err == nil && (strconv.Itoa(code) != args[0] || !pattern.MatchString(text)) {
			err = fmt.Errorf("%d %s", code, text)
		}
		body = text
		return err
	})
	if len(args) == 2 {
		fmt.Fprint(ts.Stdout(), body)
	}
}

// httpGet returns the answer to a GET request.
func httpGet(url string) (code int, body string, err error) {
	client := http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(url)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}

func scriptWaitFor(ts *testscript.TestScript, args []string) {
	pattern, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	count := 1
	if len(args) > 2 {
		count, err = strconv.Atoi(args[2])
		ts.Check(err)
	}
	waitUntil(ts, args[0], func() error {
		text, err := os.ReadFile(ts.MkAbs(args[0]))
		if n := len(pattern.FindAll(text, -1)); err == nil && n < count {
			err = fmt.Errorf("got %d matches, want %d, of %s in\n%s", n, count, pattern, text)
		}
		return err
	})
}

func scriptWaitExit(ts *testscript.TestScript, args []string) {
	cmd, ended := startedProcess(ts, args[1])
	for waiting := true; waiting; {
		var again <-chan time.Time
		if len(args) > 2 {
			again = time.After(50 * time.Millisecond)
		}
		select {
		case <-ended: // at the latest by the timeout of scriptCommand
			waiting = false
		case <-again:
			cmd.Process.Signal(signalNamed(ts, args[2]))
		}
	}
	if code := strconv.Itoa(cmd.ProcessState.ExitCode()); code != args[0] {
		ts.Fatalf("got exit code %s (%v), want %s", code, cmd.ProcessState, args[0])
	}
	delete(ts.Value(scriptStateKey{}).(*scriptState).ended, args[1])
}

func scriptSignal(ts *testscript.TestScript, args []string) {
	cmd, _ := startedProcess(ts, args[1])
	ts.Check(cmd.Process.Signal(signalNamed(ts, args[0])))
}

func signalNamed(ts *testscript.TestScript, name string) unix.Signal {
	signal := unix.SignalNum("SIG" + name)
	if signal == 0 {
		ts.Fatalf("unknown signal %s", name)
	}
	return signal
}

func scriptSend(ts *testscript.TestScript, args []string) {
	conn, err := net.Dial("udp", args[0])
	ts.Check(err)
	defer conn.Close()
	_, err = conn.Write([]byte(args[1]))
	ts.Check(err)
}

// scriptSockets is the command sockets.
func scriptSockets(ts *testscript.TestScript, args []string) {
	cmd, _ := startedProcess(ts, args[1])
	held, err := socketsOf(cmd.Process.Pid, args[0])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(strings.Join(held, "")), 0o600))
}

func scriptExpand(ts *testscript.TestScript, args []string) {
	for _, name := range args {
		text := os.Expand(ts.ReadFile(name), ts.Getenv)
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text), 0o600))
	}
}

// scriptExample is the command example: the last lines of a help text are commands to paste.
func scriptExample(ts *testscript.TestScript, args []string) {
	text := ts.ReadFile(args[0])
	_, example, found := strings.Cut(text, "\nExample:\n")
	if !found {
		ts.Fatalf("no example")
	}
	if !strings.HasPrefix(example, "  udpshard ") {
		ts.Fatalf("got example %q, want a udpshard command", example)
	}
	for line := range strings.Lines(example) {
		if !strings.HasPrefix(line, "  ") {
			ts.Fatalf("got %q after the example, want the end of the text", line)
		}
	}
}

// usableCPU returns the number of a CPU in the affinity mask of the test.
func usableCPU(t testing.TB) string {
	cpus, err := sys.UsableCPUs()
	if err != nil {
		t.Fatal(err)
	}
	return strconv.Itoa(cpus[0])
}
