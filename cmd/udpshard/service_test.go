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

// managed is `serve` as a service of a manager that takes the place of systemd.
type service struct {
	*systemdtest.Manager
	t         *testing.T
	dir       string
	address   string // of its port
	http      string
	records   string // file of the output
	change    func(*exec.Cmd)
	activated []systemdtest.Descriptor
}

func newService(t *testing.T) *service {
	t.Helper()
	dir := publicDir(t)
	return &service{Manager: systemdtest.New(t, filepath.Join(dir, "notify")), t: t, dir: dir, address: freePort(t), http: freePort(t), records: filepath.Join(dir, "records.json"), change: asNobody}
}

// begin starts it with what is kept, and more arguments.
func (svc *service) launchServe(more ...string) *process {
	svc.t.Helper()
	args := append([]string{"serve", "--http", svc.http, "--log-format", "json", "--listen", svc.address, "--steer", "hash", "--output", "file:" + svc.records}, more...)
	return svc.launch(args...)
}

func (svc *service) launch(args ...string) *process {
	svc.t.Helper()
	svc.SetMain(0) // nobody else is there who speaks
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

// start returns once it is ready.
func (svc *service) start(more ...string) *process {
	svc.t.Helper()
	p := svc.launchServe(more...)
	svc.waitUntilReady(p)
	return p
}

func (svc *service) waitUntilReady(p *process) {
	svc.t.Helper()
	eventually(svc.t, "it is ready, or has ended", func() bool {
		return slices.ContainsFunc(svc.notifications(p), func(text string) bool { return strings.HasPrefix(text, "READY=1") }) || p.hasLogged("udpshard: error")
	})
	if p.hasLogged("udpshard: error") {
		svc.t.Fatal("it does not start")
	}
}

// by is what a process has said, and was heard.
func (svc *service) notifications(p *process) (texts []string) {
	for _, m := range svc.Messages() {
		if m.PID == p.pid() && !m.Ignored {
			texts = append(texts, m.Text)
		}
	}
	return texts
}

func (svc *service) hasNotified(p *process, text string) func() bool {
	return func() bool {
		return slices.ContainsFunc(svc.notifications(p), func(said string) bool { return strings.Contains(said, text) })
	}
}

// holds is what the store has, by kind.
func (svc *service) storedKinds() (sockets, counters, lists, others int) {
	for _, name := range svc.StoredNames() {
		switch n, _ := systemd.ParseName(name); n.Kind {
		case systemd.SocketKind:
			sockets++
		case systemd.CountersKind:
			counters++
		case systemd.ManifestKind:
			lists++
		default:
			others++
		}
	}
	return
}

func (svc *service) wantStored(sockets int) {
	svc.t.Helper()
	if s, c, l, o := svc.storedKinds(); s != sockets || c != 2 || l != 1 || o != 0 {
		svc.t.Errorf("%q is kept, want %d sockets", svc.StoredNames(), sockets)
	}
}

// passed is what the next process would get.
func (svc *service) restored() systemd.Stored {
	var passed []systemd.Passed
	for _, d := range svc.Descriptors() {
		passed = append(passed, systemd.Passed(d))
	}
	k := systemd.Restore(passed)
	svc.t.Cleanup(k.Close)
	return k
}

// load returns once some of it is read.
func (svc *service) startLoad(p *process) (report func() loadgen.Summary) {
	svc.t.Helper()
	return p.startLoad(svc.address, "--rate", "80000", "--flows", "16", "--verify", svc.records)
}

// account checks that every datagram is a record, lost in a crash, or dropped
// by the kernel where it has little room.
func (svc *service) wantAccounted(p *process, r loadgen.Summary, ordered bool) {
	svc.t.Helper()
	all, total := r.Records.Total, p.settledTotal()
	lost, kernel := total.Dropped.LostInCrash, total.Dropped.Kernel
	if kernel > 0 && !p.hasLogged("smaller than asked") {
		svc.t.Errorf("%d were dropped by the kernel", kernel)
	}
	if all.Arrived+lost+kernel != r.Sent || all.Doubled > 0 || total.Delivered != all.Arrived || total.Received+kernel != r.Sent || ordered && all.Reordered > 0 {
		svc.t.Errorf("%+v of %d sent; %+v", all, r.Sent, total)
	}
}
