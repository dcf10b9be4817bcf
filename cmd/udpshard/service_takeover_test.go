package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// A standby keeps nothing, until it is active.
func TestServiceStandby(t *testing.T) {
	u := newManaged(t)
	socket := filepath.Join(u.dir, "takeover.sock")
	active := serving(t, ordinary, "--listen", u.address, "--shards", "2", "--steer", "hash", "--takeover", socket, "--output", "file:"+u.file)
	u.start("--shards", "2", "--listen", freePort(t)).terminate() // and leaves its sockets
	u.wantHeld(2)
	args := []string{"--shards", "2", "--takeover", socket, "--standby", "--standby-after", "10s"}
	p := u.start(args...)
	if !u.says(p, fmt.Sprintf("STATUS=standing by for pid %d", active.cmd.Process.Pid))() {
		t.Errorf("%q", u.by(p))
	}
	if s, c, l, _ := u.holds(); s+c != 0 || l > 1 {
		t.Errorf("%q is kept", u.StoredNames())
	}
	p.cmd.Process.Signal(syscall.SIGHUP)
	eventually(t, "it has reloaded", func() bool {
		said := u.by(p)
		i := slices.IndexFunc(said, isReloading)
		return i >= 0 && slices.ContainsFunc(said[i:], func(text string) bool { return strings.HasPrefix(text, "READY=1") })
	})
	report := sendingTo(t, u.address, "--rate", "80000", "--flows", "16", "--verify", u.file)
	eventually(t, "there is load", func() bool { return active.total().Received > 10_000 })
	active.cmd.Process.Kill()
	active.wait()
	eventually(t, "it serves", u.says(p, "STATUS=serving 1 listeners with 2 shards"))
	u.wantHeld(2)
	p.reads()
	u.account(p, report(), true)

	// It is a service like others from then on.
	before := p.total()
	p.cmd.Process.Kill()
	p.wait()
	p = u.start(args...)
	notBack(t, before, p.total())
	u.wantHeld(2)
}

// A successor in the same control group is the service from then on, and keeps
// what it has.
func TestServiceUpgradeByHand(t *testing.T) {
	u := newManaged(t)
	args := []string{"--shards", "2", "--takeover", filepath.Join(u.dir, "takeover.sock")}
	p := u.start(args...)
	if own, err := os.ReadFile("/proc/self/cgroup"); err != nil || len(own) == 0 {
		t.Skip("needs /proc/self/cgroup (CONFIG_CGROUPS)")
	}
	report := u.load(p)
	for range 5 {
		before := p.total()
		next := launch(t, func(cmd *exec.Cmd) {
			cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+u.Address()) // not what is kept: it is there
			ordinary(cmd)
		}, append([]string{"serve", "--http", u.web, "--log-format", "json", "--listen", u.address, "--steer", "hash", "--output", "file:" + u.file}, args...)...)
		next.http = u.web
		u.ready(next)
		if !u.says(p, fmt.Sprintf("MAINPID=%d", next.cmd.Process.Pid))() {
			t.Errorf("%q", u.by(p))
		}
		if code := p.wait(); code != 0 {
			t.Errorf("exit code %d", code)
		}
		for _, m := range u.Messages() {
			if m.Ignored && m.Text != "WATCHDOG=1" {
				t.Errorf("pid %d said %q, and was not heard", m.PID, m.Text)
			}
		}
		if k := u.passed(); len(k.Listeners) != 1 || len(k.Listeners[0].Sockets) != 2 || len(k.Surplus) > 0 || k.Dropped != nil {
			t.Errorf("%+v", k)
		}
		p = next
		notBack(t, before, p.total())
	}
	before := p.total()
	p.cmd.Process.Kill()
	p.wait()
	p = u.start(args...)
	notBack(t, before, p.total())
	u.wantHeld(2)
	u.account(p, report(), true)
}
