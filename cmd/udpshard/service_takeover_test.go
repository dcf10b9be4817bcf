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

	"github.com/udpshard/udpshard/internal/cli"
)

// A standby keeps nothing, until it is active.
func TestServiceStandby(t *testing.T) {
	svc := newService(t)
	socket := filepath.Join(svc.dir, "takeover.sock")
	active := startServe(t, asNobody, "--listen", svc.address, "--shards", "2", "--steer", "hash", "--takeover", socket, "--output", "file:"+svc.records)
	svc.start("--shards", "2", "--listen", freePort(t)).terminate() // and leaves its sockets
	svc.wantStored(2)
	args := []string{"--shards", "2", "--takeover", socket, "--standby", "--standby-after", "10s"}
	p := svc.start(args...)
	if !svc.hasNotified(p, fmt.Sprintf("STATUS=standing by for pid %d", active.pid()))() {
		t.Errorf("%q", svc.notifications(p))
	}
	if s, c, l, _ := svc.storedKinds(); s+c != 0 || l > 1 {
		t.Errorf("%q is kept", svc.StoredNames())
	}
	p.signal(syscall.SIGHUP)
	eventually(t, "it has reloaded", func() bool {
		said := svc.notifications(p)
		i := slices.IndexFunc(said, isReloading)
		return i >= 0 && slices.ContainsFunc(said[i:], func(text string) bool { return strings.HasPrefix(text, "READY=1") })
	})
	report := active.startLoad(svc.address, "--rate", "80000", "--flows", "16", "--verify", svc.records)
	active.kill()
	eventually(t, "it serves", svc.hasNotified(p, "STATUS=serving 1 listeners with 2 shards"))
	svc.wantStored(2)
	p.waitUntilReading()
	svc.wantAccounted(p, report(), true)

	// It is a service like others from then on.
	before := p.total()
	p.kill()
	p = svc.start(args...)
	wantTotalsGrow(t, before, p.total())
	svc.wantStored(2)
}

// A successor in the same control group is the service from then on, and keeps
// what it has.
func TestServiceUpgradeByHand(t *testing.T) {
	svc := newService(t)
	args := []string{"--shards", "2", "--takeover", filepath.Join(svc.dir, "takeover.sock")}
	p := svc.start(args...)
	if own, err := os.ReadFile("/proc/self/cgroup"); err != nil || len(own) == 0 {
		t.Skip("needs /proc/self/cgroup (CONFIG_CGROUPS)")
	}
	report := svc.startLoad(p)
	for range 5 {
		before := p.total()
		next := launch(t, func(cmd *exec.Cmd) {
			cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+svc.Address()) // not what is kept: it is there
			asNobody(cmd)
		}, append([]string{"serve", "--http", svc.http, "--log-format", "json", "--listen", svc.address, "--steer", "hash", "--output", "file:" + svc.records}, args...)...)
		next.http = svc.http
		svc.waitUntilReady(next)
		if !svc.hasNotified(p, fmt.Sprintf("MAINPID=%d", next.pid()))() {
			t.Errorf("%q", svc.notifications(p))
		}
		p.wantExit(cli.ExitDone)
		for _, m := range svc.Messages() {
			if m.Ignored && m.Text != "WATCHDOG=1" {
				t.Errorf("pid %d said %q, and was not heard", m.PID, m.Text)
			}
		}
		if k := svc.restored(); len(k.Listeners) != 1 || len(k.Listeners[0].Sockets) != 2 || len(k.Surplus) > 0 || k.Dropped != nil {
			t.Errorf("%+v", k)
		}
		p = next
		wantTotalsGrow(t, before, p.total())
	}
	before := p.total()
	p.kill()
	p = svc.start(args...)
	wantTotalsGrow(t, before, p.total())
	svc.wantStored(2)
	svc.wantAccounted(p, report(), true)
}
