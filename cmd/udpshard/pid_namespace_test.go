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

// apart runs a process in a pid namespace of its own, as in a container.
func apart(cmd *exec.Cmd) {
	asNobody(cmd)
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWPID
	if os.Geteuid() != 0 { // in a user namespace anybody may
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getuid(), HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getgid(), HostID: os.Getgid(), Size: 1}}
	}
}

// Processes that can't see each other's pids replace each other all the same,
// and do not take each other's for their own.
func TestStandbysInOtherPIDNamespaces(t *testing.T) {
	path := builtProgram(t)
	probe := exec.Command(path, "version")
	apart(probe)
	if err := probe.Run(); errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EINVAL) {
		t.Skipf("needs root, or unprivileged user namespaces (sysctl user.max_user_namespaces): %v", err)
	} else if err != nil {
		t.Fatal(err)
	}
	dir, address := publicDir(t), freePort(t)
	args := takeoverArgs(dir, address, "--shards", "2", "--output", "file:"+filepath.Join(dir, "records.json"))
	p := startServe(t, apart, args...)
	standby := func() *process {
		next := p.launchBeside(apart, append(args, "--standby")...)
		next.waitForLog("standby started")
		return next
	}
	const foreign = `"pid":1,"pid_namespace":"another",`
	next := standby()
	next.waitForLog(foreign + `"version":`)
	eventually(t, "the active process says whose pid it is", func() bool { return p.hasLogged(foreign + `"version":`) })
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
	eventually(t, "the standby takes over from one that was told to stop", func() bool { return next.hasLogged(foreign + `"after":`) })
	next.wantStop()
}

// wantRole waits until a status gives a role to a process in a PID namespace of its own.
func wantRole(t *testing.T, http, role string, p *process) {
	t.Helper()
	var stat unix.Stat_t
	if err := unix.Stat(fmt.Sprintf("/proc/%d/ns/pid", p.pid()), &stat); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it has the role "+role, func() bool {
		status, err := statusAt(http)
		return err == nil && client.RoleIn(status, 0, stat.Ino) == role && client.RoleIn(status, 1, stat.Ino) == role
	})
}
