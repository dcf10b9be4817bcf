package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/udpshard/udpshard/internal/cli"
)

// health --pid prints the role of the process with the pid, active or standby, at an HTTP address
// that both share, and fails for other pids.
func TestHealthByPID(t *testing.T) {
	dir, address := publicDir(t), freePort(t)
	args := takeoverArgs(dir, address, "--protocol", "discard", "--shards", "1")
	p := startServe(t, asNobody, args...)
	next := p.startStandby(args...)
	ownHTTP := freePort(t)
	separate := p.startStandby(append(args, "--http", ownHTTP)...)
	want := func(role, http string, pid int) {
		t.Helper()
		var code int
		var stdout, stderr string
		eventually(t, "the process has the role "+role, func() bool {
			code, stdout, stderr = invoke("health", "--http", http, "--pid", strconv.Itoa(pid))
			return role == "" || code == cli.ExitDone && stdout == role+"\n"
		})
		if role == "" && (code != cli.ExitFailed || stdout != "" || !strings.Contains(stderr, fmt.Sprintf("pid %d of this PID namespace is neither the instance", pid))) {
			t.Errorf("got exit code %d, %s%s", code, stdout, stderr)
		}
	}
	want("active", p.http, p.pid())
	want("active", p.http, 0)
	want("standby", p.http, next.pid())
	want("standby", p.http, separate.pid())
	want("standby", ownHTTP, separate.pid())
	want("", p.http, os.Getpid())
	p.terminate()
	next.waitForTakeover()
	want("active", p.http, next.pid())
	want("standby", p.http, separate.pid())
	want("", p.http, p.pid())
	if code, _, stderr := invoke("health", "--pid", "-1"); code != cli.ExitUsage || !strings.Contains(stderr, "--pid") {
		t.Errorf("got exit code %d: %s", code, stderr)
	}
}
