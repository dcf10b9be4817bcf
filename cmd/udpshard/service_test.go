package main

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/udpshard/udpshard/internal/handoff/systemd"
	"github.com/udpshard/udpshard/internal/handoff/systemd/systemdtest"
	"github.com/udpshard/udpshard/internal/loadgen"
)

// service is `serve` as a service of a test double of systemd.
type service struct {
	*systemdtest.Manager
	t         *testing.T
	dir       string
	address   string // of the listener
	http      string // address of the HTTP server
	records   string // file of the output
	change    func(*exec.Cmd)
	activated []systemdtest.Descriptor
}

func newService(t *testing.T) *service {
	t.Helper()
	dir := publicDir(t)
	return &service{Manager: systemdtest.New(t, filepath.Join(dir, "notify")), t: t, dir: dir, address: freePort(t), http: freePort(t), records: filepath.Join(dir, "records.json"), change: asNobody}
}

// launchServe starts `serve` with the stored descriptors, and does not wait.
func (svc *service) launchServe(more ...string) *process {
	svc.t.Helper()
	args := append([]string{"serve", "--http", svc.http, "--log-format", "json", "--listen", svc.address, "--steer", "hash", "--output", "file:" + svc.records}, more...)
	return svc.launch(args...)
}

// launch starts the program with the stored descriptors, as the main process of the service.
func (svc *service) launch(args ...string) *process {
	svc.t.Helper()
	svc.SetMain(0) // no main process yet
	started := func() {}
	p := launch(svc.t, func(cmd *exec.Cmd) {
		started = svc.Prepare(cmd, svc.activated...)
		svc.change(cmd)
	}, args...)
	started()
	p.http = svc.http
	svc.SetMain(p.pid())
	return p
}

// start starts `serve` with the stored descriptors, and returns when the process is ready.
func (svc *service) start(more ...string) *process {
	svc.t.Helper()
	p := svc.launchServe(more...)
	svc.waitUntilReady(p)
	return p
}

func (svc *service) waitUntilReady(p *process) {
	svc.t.Helper()
	eventually(svc.t, "the service is ready, or has failed", func() bool {
		return slices.ContainsFunc(svc.notifications(p), func(text string) bool { return strings.HasPrefix(text, "READY=1") }) || p.hasLogged("udpshard: error")
	})
	if p.hasLogged("udpshard: error") {
		svc.t.Fatal("the service does not start")
	}
}

// notifications returns the messages of a process that the manager accepted.
func (svc *service) notifications(p *process) (texts []string) {
	for _, m := range svc.Messages() {
		if m.PID == p.pid() && !m.Ignored {
			texts = append(texts, m.Text)
		}
	}
	return texts
}

// hasNotified returns a condition: a message of p contains text.
func (svc *service) hasNotified(p *process, text string) func() bool {
	return func() bool {
		return slices.ContainsFunc(svc.notifications(p), func(message string) bool { return strings.Contains(message, text) })
	}
}

// storedKinds returns the number of stored descriptors by kind.
func (svc *service) storedKinds() (sockets, counters, manifests, unknown int) {
	for _, name := range svc.StoredNames() {
		switch n, _ := systemd.ParseName(name); n.Kind {
		case systemd.SocketKind:
			sockets++
		case systemd.CountersKind:
			counters++
		case systemd.ManifestKind:
			manifests++
		default:
			unknown++
		}
	}
	return
}

// wantStored checks that the store has a manifest, the counters and a number of sockets.
func (svc *service) wantStored(sockets int) {
	svc.t.Helper()
	if s, c, l, o := svc.storedKinds(); s != sockets || c != 2 || l != 1 || o != 0 {
		svc.t.Errorf("got %q in the store, want %d sockets", svc.StoredNames(), sockets)
	}
}

// restored returns the state that the next process would restore.
func (svc *service) restored() systemd.Stored {
	var passed []systemd.Passed
	for _, d := range svc.Descriptors() {
		passed = append(passed, systemd.Passed(d))
	}
	stored := systemd.Restore(passed)
	svc.t.Cleanup(stored.Close)
	return stored
}

// startLoad starts load to the service, and returns when p has received 10,000 datagrams.
func (svc *service) startLoad(p *process) (report func() loadgen.Summary) {
	svc.t.Helper()
	return p.startLoad(svc.address, "--rate", "80000", "--flows", "16", "--verify", svc.records)
}
