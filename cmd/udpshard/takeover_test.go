package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/udpshard/udpshard/metrics"
)

// takeoverArgs returns flags of `serve` for an address, with a takeover path in dir.
func takeoverArgs(dir, address string, more ...string) []string {
	return slices.Clip(append([]string{"--listen", address, "--takeover", filepath.Join(dir, "takeover.sock")}, more...))
}

// recordingArgs returns an address, an output file, and flags of `serve` for both with two shards
// and a takeover path. --steer hash: with auto, flows could move to other shards on a busy machine.
func recordingArgs(t *testing.T, more ...string) (address, file string, args []string) {
	t.Helper()
	dir, address := publicDir(t), freePort(t)
	file = filepath.Join(dir, "records.json")
	return address, file, takeoverArgs(dir, address, append([]string{"--shards", "2", "--steer", "hash", "--output", "file:" + file}, more...)...)
}

// launchBeside starts `serve` with the HTTP address of p. change may be nil.
func (p *process) launchBeside(change func(*exec.Cmd), args ...string) *process {
	p.t.Helper()
	next := launch(p.t, change, append([]string{"serve", "--http", p.http, "--log-format", "json"}, args...)...)
	next.http = p.http
	return next
}

// launchSuccessor starts a successor of p, and does not wait.
func (p *process) launchSuccessor(args ...string) *process {
	p.t.Helper()
	return p.launchBeside(asNobody, args...)
}

// upgrade starts a successor of p, and returns when the successor has taken over or has failed.
func (p *process) upgrade(args ...string) *process {
	p.t.Helper()
	next := p.launchSuccessor(args...)
	eventually(p.t, "the successor has taken over", func() bool {
		return next.hasTakenOver() || next.hasLogged("udpshard: error:")
	})
	return next
}

// startStandby starts a standby of p, and returns when the standby waits. The default of
// --standby-after is 2 s here: on a busy machine, threads get no CPU for longer than 250 ms.
func (p *process) startStandby(args ...string) *process {
	p.t.Helper()
	args = append([]string{"--standby"}, args...)
	if !slices.Contains(args, "--standby-after") {
		args = append(args, "--standby-after", "2s")
	}
	next := p.launchBeside(asNobody, args...)
	next.waitForLog("standby started")
	return next
}

// firstToTakeOver waits until one of two standbys has taken over, and returns both.
func firstToTakeOver(t *testing.T, standbys [2]*process) (active, standby *process) {
	t.Helper()
	eventually(t, "a standby has taken over", func() bool {
		for i, q := range standbys {
			if q.hasTakenOver() {
				active, standby = q, standbys[1-i]
			}
		}
		return active != nil
	})
	return active, standby
}

// waitUntilReading waits until p is the active process and has received 1,000 more datagrams.
func (p *process) waitUntilReading() {
	p.t.Helper()
	first := uint64(0) // received at the first answer of p
	eventually(p.t, "the process reads", func() bool {
		status, err := statusAt(p.http)
		if err != nil || status.PID != p.pid() {
			return false
		}
		now := metrics.Sum(status.Listeners[0].Shards).Received
		if first == 0 {
			first = now
		}
		return now > first+1000
	})
}

// sigstop sends SIGSTOP, and returns when no thread of p runs: a running thread could still receive
// datagrams. On a busy machine p may have ended instead (state Z), replaced by a standby.
func (p *process) sigstop() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		p.t.Fatal(err)
	}
	tasks := fmt.Sprintf("/proc/%d/task/*/stat", p.pid())
	eventually(p.t, "all threads are stopped", func() bool {
		files, _ := filepath.Glob(tasks)
		return !slices.ContainsFunc(files, func(file string) bool {
			stat, _ := os.ReadFile(file)
			return !bytes.Contains(stat, []byte(") T ")) && !bytes.Contains(stat, []byte(") Z "))
		})
	})
}

// activePID returns the pid of the process that answers at an HTTP address, or 0.
func activePID(address string) int {
	status, err := statusAt(address)
	if err != nil {
		return 0
	}
	return status.PID
}
