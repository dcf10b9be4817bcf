package shard

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/packet"
)

// shout answers in upper case, from the batch's reply buffer.
func shout(b *packet.Batch) {
	for i := range b.Datagrams {
		b.Reply(i, append(b.ReplyBuffer(i), strings.ToUpper(string(b.Datagrams[i].Payload))...))
	}
}

func TestRepliesOfTheBatchsBuffer(t *testing.T) {
	g, _ := start(t, Config{Address: "127.0.0.1:0", Shards: 1, ReplySize: 8, Handler: func(int) packet.Handler { return packet.HandlerFunc(shout) }})
	var conns []*net.UDPConn
	for i := range 200 {
		conns = append(conns, dial(t, g.Addr().String()))
		conns[i].Write(fmt.Append(nil, "ask ", i))
	}
	for i, conn := range conns {
		var buf [16]byte
		if n, err := conn.Read(buf[:]); err != nil || string(buf[:n]) != fmt.Sprint("ASK ", i) {
			t.Errorf("%d: %q, %v", i, buf[:n], err)
		}
	}
}

// A reply that the kernel refuses is counted, and the replies around are sent.
func TestARefusedReplyIsCounted(t *testing.T) {
	g, _ := start(t, Config{Address: "127.0.0.1:0", Shards: 1, Handler: func(int) packet.Handler { return packet.Echo{} }})
	raw, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_UDP)
	if err != nil {
		t.Skipf("a datagram from port 0 needs CAP_NET_RAW: %v", err)
	}
	defer unix.Close(raw)
	to := g.Addr()
	conn := dial(t, to.String())
	for i := range 10 {
		header := []byte{0, 0, byte(to.Port() >> 8), byte(to.Port()), 0, 9, 0, 0, 'x'} // RFC 768, from port 0, without a checksum
		if err := unix.Sendto(raw, header, 0, &unix.SockaddrInet4{Addr: to.Addr().As4()}); err != nil {
			t.Fatal(err)
		}
		if got := ask(t, conn, fmt.Sprint(i)); got != fmt.Sprint(i) {
			t.Errorf("%q", got)
		}
	}
	eventually(t, "all is counted", func() bool {
		r := total(g)
		return r.Dropped.Reply == 10 && r.Replied == 10 && r.Delivered == 20
	})
}

// With OwnPort a group answers senders with the port of the group.
func TestOwnPort(t *testing.T) {
	g, _ := start(t, Config{Address: "127.0.0.1:0", Shards: 1, OwnPort: true, Handler: func(int) packet.Handler { return packet.Echo{} }})
	other, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 2), Port: int(g.Addr().Port())})
	if err != nil {
		t.Skip("the port is taken on 127.0.0.2: run the test again")
	}
	defer other.Close()
	other.WriteToUDPAddrPort([]byte("x"), g.Addr())
	var buf [16]byte
	if n, _, err := other.ReadFromUDP(buf[:]); err != nil || string(buf[:n]) != "x" {
		t.Errorf("%q, %v", buf[:n], err)
	}
}

// inNamespace runs the calling test again in a new network namespace. It returns true in that run.
func inNamespace(t *testing.T) bool {
	t.Helper()
	if os.Getenv(hostsChild) != "" {
		return true
	}
	unshare, err := exec.LookPath("unshare")
	if err != nil {
		t.Skip("needs unshare: install util-linux")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("needs ip: install iproute2")
	}
	cmd := exec.Command(unshare, "--net", "--", os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), hostsChild+"=1")
	out, err := cmd.CombinedOutput()
	switch {
	case err != nil && strings.Contains(string(out), "unshare failed"):
		t.Skip("a network namespace needs CAP_SYS_ADMIN")
	case err != nil:
		t.Errorf("%v\n%s", err, out)
	case strings.Contains(string(out), "--- SKIP"):
		t.Skipf("%s", out)
	}
	return false
}

// A shard waits for a full send buffer once a call of send. Then the replies without room are lost
// and counted, and the shard continues. The link of the test sends 1 KB/s after the first 70 KB.
func TestAFullSendBuffer(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	const asked, size = 60, 20_000
	slow := make(chan struct{})
	g, _ := start(t, Config{Address: "127.0.0.1:0", Shards: 1, ReplySize: size, Steering: Steering{Mode: "hash"}, Handler: func(int) packet.Handler {
		return packet.HandlerFunc(func(b *packet.Batch) {
			<-slow
			for i := range b.Datagrams {
				b.Reply(i, b.ReplyBuffer(i)[:size])
			}
		})
	}})
	link := func(command string) {
		if out, err := exec.Command("sh", "-c", command).CombinedOutput(); err != nil {
			t.Skipf("links can't be slowed down here: %v\n%s", err, out)
		}
	}
	link("ip link set lo up")
	conn := dial(t, g.Addr().String())
	for range asked {
		if _, err := conn.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	defer link("tc qdisc del dev lo root")
	link("tc qdisc add dev lo root tbf rate 8kbit burst 70kb latency 1000s")
	close(slow)
	eventually(t, "all are handled", func() bool {
		r := total(g)
		return r.Delivered == asked && r.Replied+r.Dropped.Reply == asked
	})
	if r := total(g); r.Replied == 0 || r.Dropped.Reply == 0 {
		t.Errorf("%d were replied, and %d replies lost", r.Replied, r.Dropped.Reply)
	}
}

const hostsChild = "UDPSHARD_TEST_HOSTS_CHILD"

// Hosts with several addresses: a server and a client in two network namespaces, with two links.
// For each address of the server and each link, the reply has the source address that was asked:
// the socket of the client is connected, and accepts no reply from another address.
func TestRepliesOnHostsWithSeveralAddresses(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	script := `set -e
ip link set lo up
ip link add a0 type veth peer name b0
ip link add a1 type veth peer name b1
for i in 0 1; do
  ip addr add 192.0.2.$((1 + 16 * i))/28 dev a$i
  ip addr add 192.0.2.$((2 + 16 * i))/28 dev a$i
  ip addr add 2001:db8:$i::1/64 dev a$i nodad
  ip addr add 2001:db8:$i::2/64 dev a$i nodad
  ip link set a$i up
done`
	if out, err := exec.Command("sh", "-c", script).CombinedOutput(); err != nil {
		t.Skipf("links can't be made here: %v\n%s", err, out)
	}
	client := exec.Command("unshare", "--net", "--", "sh", "-c", `set -e
echo; read started
for i in 0 1; do
  ip addr add 192.0.2.$((9 + 16 * i))/28 dev b$i
  ip addr add 2001:db8:$i::9/64 dev b$i nodad
  ip link set b$i up
done
ip link set lo up
exec "$0" -test.run='^TestRepliesOnHostsClient$' -test.v`, os.Args[0])
	in, err := client.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	outPipe, err := client.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	client.Stderr = os.Stderr
	for _, at := range []string{":5301", "0.0.0.0:5302", "[::]:5303"} {
		start(t, Config{Address: at, Shards: 2, ReplySize: 64, Handler: func(int) packet.Handler { return packet.HandlerFunc(shout) }})
	}
	client.Env = append(os.Environ(), hostsChild+"=2")
	if err := client.Start(); err != nil {
		t.Fatal(err)
	}
	var ready [1]byte
	if _, err := outPipe.Read(ready[:]); err != nil { // the client is in its namespace
		t.Fatal(err)
	}
	for _, link := range []string{"b0", "b1"} {
		if out, err := exec.Command("ip", "link", "set", link, "netns", fmt.Sprint(client.Process.Pid)).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	fmt.Fprintln(in, "go")
	out := new(strings.Builder)
	buf := make([]byte, 4096)
	for {
		n, err := outPipe.Read(buf)
		out.Write(buf[:n])
		if err != nil {
			break
		}
	}
	if err := client.Wait(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	t.Log(out)
}

// TestRepliesOnHostsClient is the client.
func TestRepliesOnHostsClient(t *testing.T) {
	if os.Getenv(hostsChild) != "2" {
		t.Skip("a part of TestRepliesOnHostsWithSeveralAddresses")
	}
	for _, host := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.17", "192.0.2.18", "2001:db8:0::1", "2001:db8:0::2", "2001:db8:1::1", "2001:db8:1::2"} {
		at := netip.MustParseAddr(host)
		ports := []uint16{5301, 5303}
		if at.Is4() {
			ports[1] = 5302
		}
		for _, port := range ports {
			conn := dial(t, netip.AddrPortFrom(at, port).String())
			for n := range 8 {
				if got := ask(t, conn, fmt.Sprint("ask ", n)); got != fmt.Sprint("ASK ", n) {
					t.Errorf("%s: %q", host, got)
				}
			}
		}
	}
}
