package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/udpshard/udpshard/metrics"
)

// startSuccessor starts a process that is to take over from p.
func (p *process) startSuccessor(args ...string) *process {
	p.t.Helper()
	return launch(p.t, asNobody, append([]string{"serve", "--http", p.http, "--log-format", "json"}, args...)...)
}

// succeeding starts `serve` with the arguments of one that serves, and returns
// once it has taken over.
func (p *process) upgrade(args ...string) *process {
	p.t.Helper()
	next := launch(p.t, asNobody, append([]string{"serve", "--http", p.http, "--log-format", "json"}, args...)...)
	next.http = p.http
	eventually(p.t, "it has taken over", func() bool {
		return next.hasLogged(`"message":"takeover finished`) || next.hasLogged("udpshard: error:")
	})
	return next
}

// startStandby starts `serve --standby` with a process's HTTP address, and
// returns once it waits. Without another --standby-after it has the patience that
// a busy machine asks for.
func (p *process) startStandby(args ...string) *process {
	p.t.Helper()
	args = append([]string{"serve", "--standby", "--http", p.http, "--log-format", "json"}, args...)
	if !slices.Contains(args, "--standby-after") {
		args = append(args, "--standby-after", "2s")
	}
	next := launch(p.t, asNobody, args...)
	next.http = p.http
	eventually(p.t, "it stands by", func() bool { return next.hasLogged("standby started") })
	return next
}

// whoTookOver waits until one of two standbys has taken over.
func firstToTakeOver(t *testing.T, standbys [2]*process) (active, next *process) {
	t.Helper()
	eventually(t, "one has taken over", func() bool {
		for i, q := range standbys {
			if q.hasLogged(`"message":"takeover finished`) {
				active, next = q, standbys[1-i]
			}
		}
		return active != nil
	})
	return active, next
}

// reads waits until it reads what is sent.
func (p *process) waitUntilReading() {
	p.t.Helper()
	first := uint64(0) // what it has received when it is the one that answers
	eventually(p.t, "it reads", func() bool {
		status, err := statusAt(p.http)
		if err != nil || status.PID != p.cmd.Process.Pid {
			return false
		}
		now := metrics.Sum(status.Listeners[0].Shards).Received
		if first == 0 {
			first = now
		}
		return now > first+1000
	})
}

// halt stops it, and returns when none of its threads runs any more: one that
// does could take a datagram along. Where it was busy elsewhere for too long it may
// have left for a standby.
func (p *process) sigstop() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		p.t.Fatal(err)
	}
	tasks := fmt.Sprintf("/proc/%d/task/*/stat", p.cmd.Process.Pid)
	eventually(p.t, "it has stopped", func() bool {
		files, _ := filepath.Glob(tasks)
		return !slices.ContainsFunc(files, func(file string) bool {
			stat, _ := os.ReadFile(file)
			return !bytes.Contains(stat, []byte(") T ")) && !bytes.Contains(stat, []byte(") Z "))
		})
	})
}

// exits returns the exit code of a process that is about to end, and fails if it does not.
func (p *process) exits() int {
	p.t.Helper()
	var code int
	ended := make(chan struct{})
	go func() { code = p.wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		p.t.Fatal("it does not end")
	}
	return code
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// pid is the process that answers at an HTTP address, 0 where none does.
func activePID(address string) int {
	status, err := statusAt(address)
	if err != nil {
		return 0
	}
	return status.PID
}
