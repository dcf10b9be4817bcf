package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// namespaceVariable is set in a test process that has a network namespace of its own.
const namespaceVariable = "UDPSHARD_TEST_NAMESPACE"

// inNamespace reports whether this process has a network namespace for the test. Otherwise
// inNamespace runs the test in one.
func inNamespace(t *testing.T) bool {
	t.Helper()
	requireProgram(t, "unshare", "util-linux")
	requireProgram(t, "nsenter", "util-linux")
	requireProgram(t, "ip", "iproute2")
	if os.Getenv(namespaceVariable) != "" {
		return true
	}
	if os.Geteuid() != 0 {
		t.Skip("needs a network namespace: run as root")
	}
	cmd := exec.Command("unshare", "--net", "--", os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), namespaceVariable+"=1")
	out, err := cmd.CombinedOutput()
	switch {
	case err != nil && strings.Contains(string(out), "unshare failed"):
		t.Skipf("needs a network namespace: run as root: %s", out)
	case err != nil:
		t.Errorf("%v\n%s", err, out)
	case strings.Contains(string(out), "--- SKIP"):
		t.Skipf("%s", out)
	}
	return false
}

// command runs a command of the shell that the kernel may not support.
func command(t *testing.T, text string) {
	t.Helper()
	if out, err := exec.Command("sh", "-ec", text).CombinedOutput(); err != nil {
		t.Skipf("needs links of virtual hosts (veth): %s: %v\n%s", text, err, out)
	}
}

// A network that drops all packets to the collector costs nothing but time.
func TestBlackHole(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	command(t, "ip link set lo up")
	const host = "192.0.2.2" // TEST-NET-1 (RFC 5737)
	c := startCollector(t, net.JoinHostPort("0.0.0.0", "6514"), func(cmd *exec.Cmd) {
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	})
	c.awaitListening()
	command(t, fmt.Sprintf(`pid=%d
		ip link add name near type veth peer name far netns $pid
		ip link set near address 02:00:00:00:00:01 up
		ip addr add 192.0.2.1/24 dev near
		ip neigh add %s lladdr 02:00:00:00:00:02 dev near
		nsenter -t $pid -n ip link set far address 02:00:00:00:00:02 up
		nsenter -t $pid -n ip addr add %[2]s/24 dev far
		nsenter -t $pid -n ip neigh add 192.0.2.1 lladdr 02:00:00:00:00:01 dev far`,
		c.cmd.Process.Pid, host))
	address := freePort(t)
	p := startServe(t, nil, "--listen", address, "--shards", "1", "--to", "tcp://"+host+":6514",
		"--spool", filepath.Join(t.TempDir(), "spool"))
	s := newSenders(t, address, 4)
	s.send(2_000, 5_000)
	p.waitForLedger(s.sent)
	p.waitForShipped()
	inside := fmt.Sprintf("nsenter -t %d -n ip addr ", c.cmd.Process.Pid)
	command(t, inside+"del "+host+"/24 dev far") // packets to the host have no address there
	sendDuringStall(p, s)
	command(t, inside+"add "+host+"/24 dev far")
	s.send(s.sent+2_000, 5_000)
	p.waitForLedger(s.sent)
	p.waitForShipped()
	p.wantStop()
	eventually(t, "the collector has everything", func() bool {
		missing, _ := missingOf(t, c, s.sent)
		return missing == 0
	})
}
