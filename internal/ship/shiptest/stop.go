package shiptest

import (
	"bytes"
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"
)

// Stop sends SIGSTOP, and returns when the process is stopped.
func Stop(t testing.TB, p *os.Process) {
	t.Helper()
	p.Signal(syscall.SIGSTOP)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Pid))
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("process %d is not stopped: %v", p.Pid, err)
		}
		if _, state, _ := bytes.Cut(stat, []byte(") ")); state[0] == 'T' {
			return
		}
	}
}
