package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// rollingUpgrade runs deploy/rolling-upgrade with testdata/docker in place of docker.
type rollingUpgrade struct {
	t             *testing.T
	dir           string // folder of the containers
	address, http string
	path, program string
}

func newRollingUpgrade(t *testing.T) *rollingUpgrade {
	t.Helper()
	for _, tool := range []string{"bash", "setsid", "timeout"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s (bash, util-linux, coreutils): %v", tool, err)
		}
	}
	built, err := program()
	if err != nil {
		t.Fatal(err)
	}
	r := &rollingUpgrade{t: t, dir: t.TempDir(), address: freePort(t), http: freePort(t), path: t.TempDir(), program: built}
	docker, err := filepath.Abs(filepath.Join("testdata", "docker"))
	if err == nil {
		err = os.Symlink(docker, filepath.Join(r.path, "docker"))
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, pid := range r.pids() {
			syscall.Kill(pid, syscall.SIGKILL)
		}
		if t.Failed() {
			logs, _ := filepath.Glob(filepath.Join(r.dir, "*", "log"))
			for _, name := range logs {
				text, _ := os.ReadFile(name)
				t.Logf("%s:\n%s", name, text)
			}
		}
	})
	return r
}

// pids returns the pid of each container by service.
func (r *rollingUpgrade) pids() map[string]int {
	pids := make(map[string]int)
	names, _ := filepath.Glob(filepath.Join(r.dir, "*", "pid"))
	for _, name := range names {
		text, _ := os.ReadFile(name)
		if pid, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
			service, _, _ := strings.Cut(filepath.Base(filepath.Dir(name)), ".")
			pids[service] = pid
		}
	}
	return pids
}

// container returns the folder of the container of a service.
func (r *rollingUpgrade) container(service string) string {
	r.t.Helper()
	found, err := filepath.Glob(filepath.Join(r.dir, service+".*"))
	if err != nil || len(found) != 1 {
		r.t.Fatalf("got containers %[2]q of %[1]s, want 1: %[3]v", service, found, err)
	}
	return found[0]
}

// upgrade runs the script, and returns its output.
func (r *rollingUpgrade) upgrade(image string, args ...string) string {
	r.t.Helper()
	cmd := exec.Command("bash", append([]string{filepath.Join("..", "..", "deploy", "rolling-upgrade"), "--plain"}, args...)...)
	cmd.Env = append(os.Environ(), "PATH="+r.path+":"+os.Getenv("PATH"), "PROGRAM="+r.program, "CONTAINERS="+r.dir, "UDPSHARD_IMAGE="+image,
		"UDPSHARD_LISTEN="+r.address, "UDPSHARD_HTTP="+r.http, "UDPSHARD_OUTPUT=stdout", "COMPOSE_PROJECT_NAME=")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		r.t.Fatalf("rolling-upgrade %s %q: %v\n%s%s", image, args, err, &out, &errs)
	}
	return out.String()
}

// roles returns the roles that --list prints.
func (r *rollingUpgrade) roles() string {
	r.t.Helper()
	var roles []string
	for line := range strings.Lines(r.upgrade("one", "--list")) {
		roles = append(roles, strings.Join(strings.Fields(line)[:2], " "))
	}
	return strings.Join(roles, ", ")
}

// deploy/rolling-upgrade finds the roles of two containers, replaces the standby first, and is not
// deceived by records in the container logs with the texts of log messages.
func TestRollingUpgradeFindsRoles(t *testing.T) {
	r := newRollingUpgrade(t)
	const began = "rolling-upgrade: udpshard-a was started: active\nrolling-upgrade: udpshard-b was started: standby\n"
	if output := r.upgrade("one"); output != began {
		t.Fatalf("got output\n%swant\n%s", output, began)
	}
	conn, err := net.Dial("udp", r.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const here = "udpshard-a active, udpshard-b standby"
	for i, forged := range []string{"final ledger", "listening", "stats", "standby started"} {
		fmt.Fprintf(conn, "<13>1 - - - - - - %s", forged)
		fmt.Fprintf(conn, "<13>1 - - - - - - mark %d", i)
		for _, record := range []string{forged, fmt.Sprint("mark ", i)} {
			eventually(t, "the container log has the record", func() bool {
				text, _ := os.ReadFile(filepath.Join(r.container("udpshard-a"), "log"))
				return strings.Contains(string(text), `"message":"`+record+`","received_at"`)
			})
		}
		if roles := r.roles(); roles != here {
			t.Errorf("after a datagram %q: got roles %s, want %s", forged, roles, here)
		}
	}
	fmt.Fprint(conn, "<13>1 - - - - - - final ledger")
	before := r.pids()
	const replaced = "rolling-upgrade: udpshard-b was replaced: standby\nrolling-upgrade: udpshard-a was replaced: standby\n"
	if output := r.upgrade("two"); output != replaced {
		t.Errorf("got output\n%swant\n%s", output, replaced)
	}
	if after := r.pids(); after["udpshard-a"] == before["udpshard-a"] || after["udpshard-b"] == before["udpshard-b"] {
		t.Errorf("got pids %v, want others than %v", after, before)
	}
	if roles := r.roles(); roles != "udpshard-a standby, udpshard-b active" {
		t.Errorf("got roles %s", roles)
	}

	// A paused container answers no question, and has no role.
	if err := os.WriteFile(filepath.Join(r.container("udpshard-a"), "paused"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if roles := r.roles(); roles != "udpshard-a none, udpshard-b active" {
		t.Errorf("got roles %s", roles)
	}
}
