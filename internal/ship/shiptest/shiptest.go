// Package shiptest runs real servers for tests of targets: each is built from the module in the
// folder servers, or is a program of the host, and runs as a process of its own.
package shiptest

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Build returns the path of a program of the module in servers, built if necessary. The test is
// skipped if the module's packages can't be had.
func Build(t testing.TB, pkg string) string {
	t.Helper()
	building.Lock()
	defer building.Unlock()
	_, source, _, _ := runtime.Caller(0)
	path := filepath.Join(os.TempDir(), "udpshard-test-servers-"+os.Getenv("USER"), filepath.Base(filepath.Dir(pkg))+"-"+filepath.Base(pkg))
	build := exec.Command("go", "build", "-o", path, pkg)
	build.Dir = filepath.Join(filepath.Dir(source), "servers")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v\n%s", pkg, err, out)
	}
	return path
}

var building sync.Mutex

// FreeTCP returns an address on loopback whose TCP port is free.
func FreeTCP(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Process is a running server.
type Process struct {
	*exec.Cmd
	output lockedBuffer
	ended  chan struct{}
}

// Start starts a server, which is killed at the end of the test.
func Start(t testing.TB, name string, args ...string) *Process {
	t.Helper()
	p := &Process{Cmd: exec.Command(name, args...), ended: make(chan struct{})}
	p.Stdout, p.Stderr = &p.output, &p.output
	p.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // Pdeathsig is for the end of this thread
		defer runtime.UnlockOSThread()
		err := p.Cmd.Start()
		started <- err
		if err == nil {
			p.Cmd.Wait()
			close(p.ended)
		}
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p
}

// Output returns what the server has written to standard output and standard error.
func (p *Process) Output() string { return p.output.String() }

// Kill ends the server at once (SIGKILL), and returns when it has ended.
func (p *Process) Kill() { p.end(syscall.SIGKILL) }

// Stop asks the server to end (SIGTERM), and returns when it has ended.
func (p *Process) Stop() { p.end(syscall.SIGTERM) }

func (p *Process) end(signal os.Signal) {
	p.Cmd.Process.Signal(signal)
	<-p.ended
}

// Ended reports whether the server has ended.
func (p *Process) Ended() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// AwaitTCP waits until the server accepts connections at an address.
func (p *Process) AwaitTCP(t testing.TB, address string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
			return
		}
		if p.Ended() || time.Now().After(deadline) {
			t.Fatalf("%s does not listen at %s: %v\n%s", p.Path, address, err, p.Output())
		}
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
