package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/metrics"
)

// programDir is the folder of the built program. TestMain removes the folder.
var programDir string

// program builds udpshard once, and returns its path.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "udpshard-test-")
	if err != nil {
		return "", err
	}
	programDir = dir
	if err := os.Chmod(dir, 0o755); err != nil { // asNobody runs the program as another user
		return "", err
	}
	path := filepath.Join(dir, "udpshard")
	cmd := exec.Command("go", "build", "-o", path, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if os.Getenv("UDPSHARD_TEST_RACE") != "" { // the race detector needs a C compiler
		cmd.Args = slices.Insert(cmd.Args, 2, "-race")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %v\n%s", err, out)
	}
	return path, nil
})

// builtProgram returns the path of the built program.
func builtProgram(t *testing.T) string {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// process is a running udpshard.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	http string      // address of the HTTP server
	logs *safeBuffer // standard error
	wait func() int  // waits for the end, and returns the exit code
}

// launch starts the program, and does not wait. change may be nil.
func launch(t *testing.T, change func(*exec.Cmd), args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(builtProgram(t), args...), logs: new(safeBuffer)}
	p.cmd.Stderr = p.logs
	if change != nil {
		change(p.cmd)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.wait = sync.OnceValue(func() int {
		late := time.AfterFunc(2*time.Minute, func() {
			t.Errorf("the process does not end within 2 minutes: %v", args)
			p.cmd.Process.Kill()
		})
		defer late.Stop()
		p.cmd.Wait()
		return p.cmd.ProcessState.ExitCode()
	})
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		p.wait()
		if p.hasLogged("DATA RACE") {
			t.Error("the program has a data race")
		}
		if t.Failed() {
			t.Logf("logs of %v:\n%s", args, p.logs)
		}
	})
	return p
}

// startServe starts `serve` with a free HTTP address, and returns when the process is ready.
func startServe(t *testing.T, change func(*exec.Cmd), args ...string) *process {
	t.Helper()
	address := freePort(t)
	p := launch(t, change, append([]string{"serve", "--http", address, "--log-format", "json"}, args...)...)
	p.http = address
	p.waitUntilReady()
	return p
}

// waitUntilReady waits until /readyz answers 200.
func (p *process) waitUntilReady() {
	p.t.Helper()
	eventually(p.t, "the process is ready", func() bool {
		response, err := httpClient.Get("http://" + p.http + "/readyz")
		if err != nil {
			return false
		}
		response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
}

// bytesRead returns how many bytes the process has read (rchar, proc_pid_io(5)).
func (p *process) bytesRead() (n int) {
	io, _ := os.ReadFile(fmt.Sprintf("/proc/%d/io", p.pid()))
	fmt.Sscanf(string(io), "rchar: %d", &n)
	return n
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) signal(sig os.Signal) { p.cmd.Process.Signal(sig) }

// kill sends SIGKILL, and waits for the end of the process.
func (p *process) kill() {
	p.cmd.Process.Kill()
	p.wait()
}

// terminate sends SIGTERM, and returns the exit code.
func (p *process) terminate() int {
	p.signal(syscall.SIGTERM)
	return p.wait()
}

// wantExit waits for the end of the process, and checks the exit code.
func (p *process) wantExit(want int) {
	p.t.Helper()
	if code := p.wait(); code != want {
		p.t.Errorf("got exit code %d of %v, want %d", code, p.cmd.Args[1:], want)
	}
}

// wantStop sends SIGTERM: the exit code must be 0.
func (p *process) wantStop() {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	p.wantExit(cli.ExitDone)
}

func (p *process) status() metrics.Status {
	p.t.Helper()
	status, err := statusAt(p.http)
	if err != nil {
		p.t.Fatal(err)
	}
	return status
}

// httpClient opens a connection for each request, with a timeout: the process behind an earlier
// connection may be stopped, and a successor may have its address.
var httpClient = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// statusAt returns the status that an HTTP address answers with.
func statusAt(address string) (status metrics.Status, err error) {
	response, err := httpClient.Get("http://" + address + "/api/v1/status")
	if err != nil {
		return status, err
	}
	defer response.Body.Close()
	return status, json.NewDecoder(response.Body).Decode(&status)
}

// poll reports whether condition holds within 30 s.
func poll(condition func() bool) bool {
	for deadline := time.Now().Add(30 * time.Second); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

// eventually waits until condition holds, and fails the test after 30 s.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	if !poll(condition) {
		t.Fatalf("timed out waiting until %s", what)
	}
}

// metrics returns the text of /metrics.
func (p *process) metrics() string {
	p.t.Helper()
	body, _ := p.get("/metrics")
	return body
}

// get returns the answer of the HTTP server of p.
func (p *process) get(path string) (body string, code int) {
	p.t.Helper()
	response, err := httpClient.Get("http://" + p.http + path)
	if err != nil {
		p.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(text), response.StatusCode
}
