package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/client"
	"github.com/udpshard/udpshard/metrics"
)

// inPIDNamespace is a change for launch: the process runs in a new PID namespace, as in a
// container.
func inPIDNamespace(cmd *exec.Cmd) {
	asNobody(cmd)
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWPID
	if os.Geteuid() != 0 { // unprivileged users need a user namespace too
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getuid(), HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getgid(), HostID: os.Getgid(), Size: 1}}
	}
}

// Active process and standby, each in its own PID namespace, take over from each other, and do not
// confuse their equal pids.
func TestStandbysInOtherPIDNamespaces(t *testing.T) {
	path := builtProgram(t)
	probe := exec.Command(path, "version")
	inPIDNamespace(probe)
	if err := probe.Run(); errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EINVAL) {
		t.Skipf("needs root, or unprivileged user namespaces (sysctl user.max_user_namespaces): %v", err)
	} else if err != nil {
		t.Fatal(err)
	}
	dir, address := publicDir(t), freePort(t)
	args := takeoverArgs(dir, address, "--shards", "2", "--output", "file:"+filepath.Join(dir, "records.json"))
	p := startServe(t, inPIDNamespace, args...)
	standby := func() *process {
		next := p.launchBeside(inPIDNamespace, append(args, "--standby")...)
		next.waitForLog("standby started")
		return next
	}
	const foreign = `"pid":1,"pid_namespace":"another",`
	next := standby()
	next.waitForLog(foreign + `"version":`)
	p.waitForLog(foreign + `"version":`)
	wantRole(t, p.http, metrics.Active, p)
	wantRole(t, p.http, metrics.Standby, next)
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	next.waitForLog(`"reason":"died`)
	p, next = next, standby()
	wantRole(t, p.http, metrics.Active, p)
	wantRole(t, p.http, metrics.Standby, next)
	p.wantStop()
	next.waitForLog(foreign + `"after":`)
	next.wantStop()
}

// wantRole waits until the status at an HTTP address has the role of a process in a PID namespace.
func wantRole(t *testing.T, http, role string, p *process) {
	t.Helper()
	var stat unix.Stat_t
	if err := unix.Stat(fmt.Sprintf("/proc/%d/ns/pid", p.pid()), &stat); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the process has the role "+role, func() bool {
		status, err := statusAt(http)
		return err == nil && client.RoleIn(status, 0, stat.Ino) == role && client.RoleIn(status, 1, stat.Ino) == role
	})
}
