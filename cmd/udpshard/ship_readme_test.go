package main

import (
	"bufio"
	"net"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The README's command with a target receives records while the target is away. The target has the
// records when it is there. The test has a network namespace of its own, for the ports.
func TestReadmeShipsToATargetThatComesLater(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	command := regexp.MustCompile(`(?m)^\$ go run \./cmd/udpshard (serve .*--to tcp://127\.0\.0\.1:6514)$`)
	found := command.FindSubmatch(readme)
	if found == nil {
		t.Fatalf("README.md has no command %s", command)
	}
	args := strings.Fields(string(found[1]))
	builtProgram(t)        // with the network of the host
	runtime.LockOSThread() // and never unlocked: the thread ends with the test
	if err := syscall.Unshare(syscall.CLONE_NEWNET); err != nil {
		t.Skipf("needs CAP_SYS_ADMIN for a network namespace: %v", err)
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Skipf("needs ip: apt-get install iproute2: %v: %s", err, out)
	}
	folder := t.TempDir()
	p := launch(t, func(cmd *exec.Cmd) { cmd.Dir = folder }, args...)
	p.waitForLog("listening")
	conn, err := net.Dial("udp", "127.0.0.1:5515")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("<13>Nov 29 10:00:00 web1 demo: to a collector")); err != nil {
		t.Fatal(err)
	}
	p.waitForLog("target failing", "connection refused")
	l, err := net.Listen("tcp", "127.0.0.1:6514")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	l.(*net.TCPListener).SetDeadline(time.Now().Add(time.Minute))
	target, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	target.SetDeadline(time.Now().Add(time.Minute))
	line, err := bufio.NewReader(target).ReadString('\n')
	if err != nil || !strings.Contains(line, `"message":"to a collector"`) {
		t.Errorf("%q, %v", line, err)
	}
	p.wantStop()
}
