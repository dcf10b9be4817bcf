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

// A service with --standby has no sockets and counters in the store until it is active. A previous
// process has left sockets in the store: the standby empties the store. After the takeover, the
// service restarts with its stored state.
func TestServiceStandby(t *testing.T) {
	svc := newService(t)
	socket := filepath.Join(svc.dir, "takeover.sock")
	active := startServe(t, asNobody, "--listen", svc.address, "--shards", "2", "--steer", "hash", "--takeover", socket, "--output", "file:"+svc.records)
	svc.start("--shards", "2", "--listen", freePort(t)).terminate() // its sockets stay in the store
	svc.wantStored(2)
	args := []string{"--shards", "2", "--takeover", socket, "--standby", "--standby-after", "10s"}
	p := svc.start(args...)
	if !svc.hasNotified(p, fmt.Sprintf("STATUS=standing by for pid %d", active.pid()))() {
		t.Errorf("got notifications %q, want the pid of the active process", svc.notifications(p))
	}
	if s, c, l, _ := svc.storedKinds(); s+c != 0 || l > 1 {
		t.Errorf("got %q in the store, want no sockets and counters", svc.StoredNames())
	}
	p.signal(syscall.SIGHUP)
	eventually(t, "the standby has reloaded", func() bool {
		notified := svc.notifications(p)
		i := slices.IndexFunc(notified, isReloading)
		return i >= 0 && slices.ContainsFunc(notified[i:], func(text string) bool { return strings.HasPrefix(text, "READY=1") })
	})
	report := active.startLoad(svc.address, "--rate", "80000", "--flows", "16", "--verify", svc.records)
	active.kill()
	eventually(t, "the standby serves", svc.hasNotified(p, "STATUS=serving 1 listeners with 2 shards"))
	svc.wantStored(2)
	p.waitUntilReading()
	p.wantAccounted(report(), true)

	before := p.total()
	p.kill()
	p = svc.start(args...)
	wantTotalsGrow(t, before, p.total())
	svc.wantStored(2)
}

// A successor, started by hand in the control group of the service, becomes the main process of the
// service and stores its own state.
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
			cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+svc.Address()) // without the stored descriptors: the store still has them
			asNobody(cmd)
		}, append([]string{"serve", "--http", svc.http, "--log-format", "json", "--listen", svc.address, "--steer", "hash", "--output", "file:" + svc.records}, args...)...)
		next.http = svc.http
		svc.waitUntilReady(next)
		if !svc.hasNotified(p, fmt.Sprintf("MAINPID=%d", next.pid()))() {
			t.Errorf("got notifications %q, want MAINPID of the successor", svc.notifications(p))
		}
		p.wantExit(cli.ExitDone)
		for _, m := range svc.Messages() {
			if m.Ignored && m.Text != "WATCHDOG=1" {
				t.Errorf("pid %d: the manager ignored %q", m.PID, m.Text)
			}
		}
		if k := svc.restored(); len(k.Listeners) != 1 || len(k.Listeners[0].Sockets) != 2 || len(k.Surplus) > 0 || k.Dropped != nil {
			t.Errorf("got stored state %+v, want a listener with 2 sockets", k)
		}
		p = next
		wantTotalsGrow(t, before, p.total())
	}
	before := p.total()
	p.kill()
	p = svc.start(args...)
	wantTotalsGrow(t, before, p.total())
	svc.wantStored(2)
	p.wantAccounted(report(), true)
}
