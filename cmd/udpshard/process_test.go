package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/udpshard/udpshard/metrics"
)

// programDir is where program builds, for TestMain to remove.
var programDir string

// program builds the program once, for tests that need it as a process.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "udpshard-test-")
	if err != nil {
		return "", err
	}
	programDir = dir
	if err := os.Chmod(dir, 0o755); err != nil { // for tests that run it as another user
		return "", err
	}
	path := filepath.Join(dir, "udpshard")
	cmd := exec.Command("go", "build", "-o", path, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if os.Getenv("UDPSHARD_TEST_RACE") != "" { // with the race detector, which wants a C compiler
		cmd.Args = slices.Insert(cmd.Args, 2, "-race")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %v\n%s", err, out)
	}
	return path, nil
})

// process is a running udpshard.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	http string
	logs *safeBuffer
	wait func() int
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.b.Reset()
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// launch starts the program without waiting for it to be ready. change may
// be nil.
func launch(t *testing.T, change func(*exec.Cmd), args ...string) *process {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, cmd: exec.Command(path, args...), logs: new(safeBuffer)}
	p.cmd.Stderr = p.logs
	if change != nil {
		change(p.cmd)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.wait = sync.OnceValue(func() int {
		late := time.AfterFunc(2*time.Minute, func() { // so that the test fails, and does not hang
			t.Errorf("it does not end: %v", args)
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

// serving starts `serve` with args and a free HTTP address, and returns once
// it is ready.
func startServe(t *testing.T, change func(*exec.Cmd), args ...string) *process {
	t.Helper()
	address := freePort(t)
	p := launch(t, change, append([]string{"serve", "--http", address, "--log-format", "json"}, args...)...)
	p.http = address
	eventually(t, "it is ready", func() bool {
		response, err := httpClient.Get("http://" + p.http + "/readyz")
		if err != nil {
			return false
		}
		response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
	return p
}

// hasRead returns how many bytes it has read (rchar, proc_pid_io(5)).
func (p *process) bytesRead() (n int) {
	io, _ := os.ReadFile(fmt.Sprintf("/proc/%d/io", p.cmd.Process.Pid))
	fmt.Sscanf(string(io), "rchar: %d", &n)
	return n
}

// terminate sends SIGTERM and returns the exit code.
func (p *process) terminate() int {
	p.cmd.Process.Signal(syscall.SIGTERM)
	return p.wait()
}

func (p *process) status() metrics.Status {
	p.t.Helper()
	status, err := statusAt(p.http)
	if err != nil {
		p.t.Fatal(err)
	}
	return status
}

// client asks anew each time, and not for ever: who has answered before may be
// stopped by now, and another one have its address.
var httpClient = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// statusAt returns the status of whoever answers at an HTTP address.
func statusAt(address string) (status metrics.Status, err error) {
	response, err := httpClient.Get("http://" + address + "/api/v1/status")
	if err != nil {
		return status, err
	}
	defer response.Body.Close()
	return status, json.NewDecoder(response.Body).Decode(&status)
}

// total adds up the shards of its listeners.
func (p *process) total() metrics.Reading {
	p.t.Helper()
	var readings []metrics.Reading
	for _, l := range p.status().Listeners {
		readings = append(readings, l.Shards...)
	}
	return metrics.Sum(readings)
}

// settled adds up the shards when nothing is on its way: what is in a file may be
// counted a moment later.
func (p *process) settledTotal() (total metrics.Reading) {
	p.t.Helper()
	eventually(p.t, "nothing is on its way", func() bool {
		total = p.total()
		return total.InFlight == 0 && total.QueueBytes == 0
	})
	return total
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting until %s", what)
		}
	}
}
