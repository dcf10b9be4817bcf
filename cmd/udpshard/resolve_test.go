package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/miekg/dns"

	"github.com/udpshard/udpshard/internal/handoff/takeover"
)

// gap returns what the log line on its takeover says of the time in which nobody read, in
// milliseconds.
func (p *process) gap() (ms float64) {
	p.t.Helper()
	found := false
	eventually(p.t, "it has said how long nobody read", func() bool {
		for text := range strings.Lines(p.logs.String()) {
			var line struct {
				Message string
				Gap     *float64 `json:"gap_ms"`
			}
			if json.Unmarshal([]byte(text), &line) == nil && strings.HasPrefix(line.Message, "took over") {
				if found = line.Gap != nil; !found {
					p.t.Fatalf("no gap_ms: %s", text)
				}
				ms = *line.Gap
			}
		}
		return found
	})
	return ms
}

// nameServer answers with 127.0.0.1, at port 53 of a loopback address, until it is silent.
type nameServer struct {
	address string
	silent  atomic.Bool
	ignored atomic.Int32 // questions, since then
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

// asking runs a process that asks the name server and no other.
func (n *nameServer) asking(t *testing.T) func(*exec.Cmd) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, for a mount namespace in which /etc/resolv.conf is another file")
	}
	conf := write(t, t.TempDir(), "resolv.conf", "nameserver "+n.address+"\n")
	apart := func(cmd *exec.Cmd) {
		cmd.Args = slices.Concat([]string{"sh", "-c", `mount --bind "$0" /etc/resolv.conf && exec "$@"`, conf, cmd.Path}, cmd.Args[1:])
		cmd.Path = "/bin/sh"
		cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	}
	probe := exec.Command("true")
	apart(probe)
	if out, err := probe.CombinedOutput(); err != nil {
		t.Skipf("needs a mount namespace: %v: %s", err, out)
	}
	return apart
}

// A standby whose file has the listeners in another order takes over from a process that was
// killed, while the name server does not answer: nobody asks it.
func TestNoNameIsLookedUpInATakeover(t *testing.T) {
	names := startNameServer(t)
	asking := names.asking(t)
	dir := t.TempDir()
	var listeners []string
	for i := range 3 {
		_, port, _ := net.SplitHostPort(freePort(t))
		listeners = append(listeners, fmt.Sprintf("  - {name: l%d, address: 'udpshard.test:%s', shards: 1, output: 'file:%s'}\n", i, port, filepath.Join(dir, fmt.Sprint(i))))
	}
	head := "takeover: " + filepath.Join(dir, "takeover.sock") + "\nlisteners:\n"
	p := serving(t, asking, "--config", write(t, dir, "a.yaml", head+strings.Join(listeners, "")))
	slices.Reverse(listeners)
	standby := launch(t, asking, "serve", "--standby", "--standby-after", "10s", "--http", p.http, "--log-format", "json",
		"--config", write(t, dir, "b.yaml", head+strings.Join(listeners, "")))
	standby.http = p.http
	standby.wantSaid("standing by")
	names.silent.Store(true)
	p.cmd.Process.Kill()
	gap := standby.gap()
	t.Logf("nobody read for %.1f ms", gap)
	if gap > 5000 {
		t.Error("that is long")
	}
	for _, l := range standby.status().Listeners {
		newSenders(t, l.Address, 1).send(10, 0)
	}
	eventually(t, "all have come", func() bool { return standby.total().Received == 30 })
	if n := names.ignored.Load(); n > 0 {
		t.Errorf("the name server was asked %d times", n)
	}
	if code := standby.terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// lookingUp puts a name server in the place of the host's.
func lookingUp(t *testing.T, found map[string]string) (asked func() []string) {
	t.Helper()
	var mu sync.Mutex
	var all []string
	before := lookUpHost
	lookUpHost = func(host string) (netip.Addr, error) {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, host)
		if addr, ok := found[host]; ok {
			return netip.MustParseAddr(addr), nil
		}
		return netip.Addr{}, errors.New("no such host")
	}
	t.Cleanup(func() { lookUpHost = before })
	return func() []string {
		slices.Sort(all)
		return all
	}
}

func TestHostNamesAreLookedUpOnce(t *testing.T) {
	asked := lookingUp(t, map[string]string{"a.test": "127.0.0.1", "b.test": "::1"})
	file := write(t, t.TempDir(), "c.yaml", `http: b.test:9514
listeners:
  - address: a.test:5001
  - address: a.test:5002
  - address: b.test:5001
  - address: 127.0.0.1:5003
`)
	c, err := (&flags{file: file}).config()
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"127.0.0.1:5001", "127.0.0.1:5002", "[::1]:5001", "127.0.0.1:5003"} {
		l := c.listeners[i]
		if l.resolved().String() != want || l.engine().Address != want {
			t.Errorf("%s is %s, the engine's %s, want %s", l.address, l.resolved(), l.engine().Address, want)
		}
	}
	if err := c.fixed(c); err != nil || c.httpNumeric != "[::1]:9514" {
		t.Errorf("http at %s; %v", c.httpNumeric, err)
	}
	had := &legacy{offer: takeover.Offer{Listeners: []takeover.Listener{{Address: "a.test:5002"}, {Address: "127.0.0.1:5001"}, {Address: "other.test:5003"}}}}
	if found := had.continued(c.listeners); len(found) != 2 || found[c.listeners[0]].Address != "127.0.0.1:5001" || found[c.listeners[1]].Address != "a.test:5002" {
		t.Errorf("%v", found)
	}
	if all := asked(); !slices.Equal(all, []string{"a.test", "b.test"}) {
		t.Errorf("looked up: %v", all)
	}
}

func TestAHostNameThatIsNotFound(t *testing.T) {
	asked := lookingUp(t, nil)
	file := write(t, t.TempDir(), "c.yaml", "listeners:\n  - address: a.test:5001\n  - address: a.test:5002\n")
	_, err := (&flags{file: file}).config()
	for _, want := range []string{`c.yaml:2:14: listeners[0].address: "a.test:5001": no such host`, `c.yaml:3:14: listeners[1].address: "a.test:5002": no such host`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if all := asked(); len(all) != 1 {
		t.Errorf("looked up: %v", all)
	}
}
