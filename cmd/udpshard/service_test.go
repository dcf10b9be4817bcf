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
type managed struct {
	*systemdtest.Manager
	t         *testing.T
	dir       string
	address   string // of its port
	web       string
	file      string // of its records
	user      func(*exec.Cmd)
	activated []systemdtest.Descriptor
}

func newManaged(t *testing.T) *managed {
	t.Helper()
	dir := publicDir(t)
	return &managed{Manager: systemdtest.New(t, filepath.Join(dir, "notify")), t: t, dir: dir, address: freePort(t), web: freePort(t), file: filepath.Join(dir, "records.json"), user: ordinary}
}

// begin starts it with what is kept, and more arguments.
func (u *managed) begin(more ...string) *process {
	u.t.Helper()
	args := append([]string{"serve", "--http", u.web, "--log-format", "json", "--listen", u.address, "--steer", "hash", "--output", "file:" + u.file}, more...)
	return u.launch(args...)
}

func (u *managed) launch(args ...string) *process {
	u.t.Helper()
	u.SetMain(0) // nobody else is there who speaks
	started := func() {}
	p := launch(u.t, func(cmd *exec.Cmd) {
		started = u.Prepare(cmd, u.activated...)
		u.user(cmd)
	}, args...)
	started()
	p.http = u.web
	u.SetMain(p.cmd.Process.Pid)
	return p
}

// start returns once it is ready.
func (u *managed) start(more ...string) *process {
	u.t.Helper()
	p := u.begin(more...)
	u.ready(p)
	return p
}

func (u *managed) ready(p *process) {
	u.t.Helper()
	eventually(u.t, "it is ready, or has ended", func() bool {
		return slices.ContainsFunc(u.by(p), func(text string) bool { return strings.HasPrefix(text, "READY=1") }) || p.says("udpshard: error")
	})
	if p.says("udpshard: error") {
		u.t.Fatal("it does not start")
	}
}

// by is what a process has said, and was heard.
func (u *managed) by(p *process) (texts []string) {
	for _, m := range u.Messages() {
		if m.PID == p.cmd.Process.Pid && !m.Ignored {
			texts = append(texts, m.Text)
		}
	}
	return texts
}

func (u *managed) says(p *process, text string) func() bool {
	return func() bool {
		return slices.ContainsFunc(u.by(p), func(said string) bool { return strings.Contains(said, text) })
	}
}

// holds is what the store has, by kind.
func (u *managed) holds() (sockets, counters, lists, others int) {
	for _, name := range u.StoredNames() {
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

func (u *managed) wantHeld(sockets int) {
	u.t.Helper()
	if s, c, l, o := u.holds(); s != sockets || c != 2 || l != 1 || o != 0 {
		u.t.Errorf("%q is kept, want %d sockets", u.StoredNames(), sockets)
	}
}

// passed is what the next process would get.
func (u *managed) passed() systemd.Stored {
	var passed []systemd.Passed
	for _, d := range u.Descriptors() {
		passed = append(passed, systemd.Passed(d))
	}
	k := systemd.Restore(passed)
	u.t.Cleanup(k.Close)
	return k
}

// load returns once some of it is read.
func (u *managed) load(p *process) (report func() loadgen.Summary) {
	u.t.Helper()
	before := p.total().Received
	report = sendingTo(u.t, u.address, "--rate", "80000", "--flows", "16", "--verify", u.file)
	eventually(u.t, "there is load", func() bool { return p.total().Received > before+10_000 })
	return report
}

// account checks that every datagram is a record, lost in a crash, or dropped
// by the kernel where it has little room.
func (u *managed) account(p *process, r loadgen.Summary, ordered bool) {
	u.t.Helper()
	all, total := r.Records.Total, p.settled()
	lost, kernel := total.Dropped.LostInCrash, total.Dropped.Kernel
	if kernel > 0 && !p.says("smaller than asked") {
		u.t.Errorf("%d were dropped by the kernel", kernel)
	}
	if all.Arrived+lost+kernel != r.Sent || all.Doubled > 0 || total.Delivered != all.Arrived || total.Received+kernel != r.Sent || ordered && all.Reordered > 0 {
		u.t.Errorf("%+v of %d sent; %+v", all, r.Sent, total)
	}
}
