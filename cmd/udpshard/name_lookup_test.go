package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/miekg/dns"
)

// nameServer answers each question with 127.0.0.1, at port 53 of a loopback address.
type nameServer struct {
	address string
	silent  atomic.Bool  // do not answer
	ignored atomic.Int32 // questions without an answer
}

func startNameServer(t *testing.T) *nameServer {
	t.Helper()
	n := new(nameServer)
	var conn net.PacketConn
	var err error
	for i := range 100 {
		n.address = fmt.Sprintf("127.53.%d.%d", os.Getpid()%250, i+1)
		if conn, err = net.ListenPacket("udp", n.address+":53"); err == nil {
			break
		}
	}
	if err != nil {
		t.Skipf("needs port 53 of a loopback address: %v", err)
	}
	server := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, m *dns.Msg) {
		if n.silent.Load() {
			n.ignored.Add(1)
			return
		}
		reply := new(dns.Msg).SetReply(m)
		if q := m.Question[0]; q.Qtype == dns.TypeA {
			reply.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: q.Name, Rrtype: dns.TypeA, Class: dns.ClassINET}, A: net.IPv4(127, 0, 0, 1)}}
		}
		w.WriteMsg(reply)
	})}
	go server.ActivateAndServe()
	t.Cleanup(func() { server.Shutdown() })
	return n
}

// resolving returns a change for launch: the process resolves names by n.
func (n *nameServer) resolving(t *testing.T) func(*exec.Cmd) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, for a mount namespace in which /etc/resolv.conf is another file")
	}
	conf := writeFile(t, filepath.Join(t.TempDir(), "resolv.conf"), "nameserver "+n.address+"\n")
	mount := func(cmd *exec.Cmd) {
		cmd.Args = slices.Concat([]string{"sh", "-c", `mount --bind "$0" /etc/resolv.conf && exec "$@"`, conf, cmd.Path}, cmd.Args[1:])
		cmd.Path = "/bin/sh"
		cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	}
	probe := exec.Command("true")
	mount(probe)
	if out, err := probe.CombinedOutput(); err != nil {
		t.Skipf("needs a mount namespace: %v: %s", err, out)
	}
	return mount
}

// A standby, with another order of listeners, takes over while the name server does not answer: the
// standby asks no question.
func TestTakeoverLooksUpNoName(t *testing.T) {
	names := startNameServer(t)
	resolving := names.resolving(t)
	dir := t.TempDir()
	var listeners []string
	for i := range 3 {
		_, port, _ := net.SplitHostPort(freePort(t))
		listeners = append(listeners, fmt.Sprintf("  - {name: l%d, address: 'udpshard.test:%s', shards: 1, output: 'file:%s'}\n", i, port, filepath.Join(dir, fmt.Sprint(i))))
	}
	head := "takeover: " + filepath.Join(dir, "takeover.sock") + "\nlisteners:\n"
	p := startServe(t, resolving, "--config", writeFile(t, filepath.Join(dir, "a.yaml"), head+strings.Join(listeners, "")))
	slices.Reverse(listeners)
	standby := p.launchBeside(resolving, "--standby", "--standby-after", "10s", "--config", writeFile(t, filepath.Join(dir, "b.yaml"), head+strings.Join(listeners, "")))
	standby.waitForLog("standby started")
	names.silent.Store(true)
	p.cmd.Process.Kill()
	gap := standby.takeoverGap()
	t.Logf("gap of %.1f ms", gap)
	if gap > 5000 {
		t.Errorf("got a gap of %.1f ms, want at most 5000 ms", gap)
	}
	for _, l := range standby.status().Listeners {
		newSenders(t, l.Address, 1).send(10, 0)
	}
	standby.waitForReceived(30)
	if n := names.ignored.Load(); n > 0 {
		t.Errorf("got %d questions to the name server during the takeover, want none", n)
	}
	standby.wantStop()
}
