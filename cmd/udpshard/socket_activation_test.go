package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/handoff/systemd/systemdtest"
)

// bindSockets binds sockets to the address of the service, as a .socket unit does.
func (svc *service) bindSockets(count int, change func(fd int)) {
	svc.t.Helper()
	at, err := net.ResolveUDPAddr("udp", svc.address)
	if err != nil {
		svc.t.Fatal(err)
	}
	family, name := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Port: at.Port}) // IPv6 and IPv4, as with BindIPv6Only=both
	if at.IP != nil {
		family, name = unix.AF_INET, &unix.SockaddrInet4{Port: at.Port, Addr: [4]byte(at.IP.To4())}
	}
	for range count {
		fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			svc.t.Fatal(err)
		}
		if change != nil {
			change(fd)
		}
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
			svc.t.Fatal(err)
		}
		if err := unix.Bind(fd, name); err != nil {
			svc.t.Fatal(err)
		}
		file := os.NewFile(uintptr(fd), "activated")
		svc.t.Cleanup(func() { file.Close() })
		svc.activated = append(svc.activated, systemdtest.Descriptor{Name: "udpshard.socket", File: file})
	}
}

// udpSockets returns the inodes of the UDP sockets of a process.
func (p *process) udpSockets() []string {
	p.t.Helper()
	held, err := socketsOf(p.pid(), "udp")
	if err != nil {
		p.t.Fatal(err)
	}
	return held
}

// A service reads the sockets of a .socket unit, including datagrams from before the start, and
// reads the same sockets after a restart.
func TestSocketActivation(t *testing.T) {
	svc := newService(t)
	svc.bindSockets(2, nil)
	early := newSenders(t, svc.address, 16)
	early.send(200, 0) // the receive buffers are still small
	p := svc.start("--shards", "2")
	p.waitForDelivered(200)
	var want []string
	for _, d := range svc.activated {
		want = append(want, fmt.Sprintf("socket:[%d]\n", systemdtest.Identity(t, d.File)[1]))
	}
	slices.Sort(want)
	if got := p.udpSockets(); !slices.Equal(got, want) {
		t.Errorf("got sockets %q, want %q", got, want)
	}
	svc.wantStored(2)
	if p.hasLogged(`"level":"error"`) || p.hasLogged("socket of the service manager unused") {
		t.Error("the log has errors about the passed sockets")
	}
	p.terminate()
	early.send(2000, 0) // queued in the kernel
	p = svc.start("--shards", "2")
	eventually(t, "queued datagrams are delivered", func() bool { r := p.total(); return r.Delivered == 2000 && r.Dropped.LostInCrash == 0 })
	if got := p.udpSockets(); !slices.Equal(got, want) {
		t.Errorf("got sockets %q, want %q", got, want)
	}
}

// A service has more shards than the .socket unit has sockets: the start fails with a hint if the
// service runs as another user (the kernel lets sockets share a port only within a user), and
// succeeds if the service runs as the user of the sockets.
func TestSocketActivationWithMoreShards(t *testing.T) {
	svc := newService(t)
	svc.bindSockets(2, nil)
	if os.Geteuid() == 0 {
		p := svc.launchServe("--shards", "3")
		p.wantExit(cli.ExitFailed)
		p.waitForLog("with 1 shards more: address already in use", "udpshard: hint: ", "one ListenDatagram= line for each shard")
	}
	svc.change = func(*exec.Cmd) {}
	p := svc.start("--shards", "3")
	newSenders(t, svc.address, 64).send(6400, 0)
	p.waitForDelivered(6400)
	for _, shard := range p.status().Listeners[0].Shards {
		if shard.Received == 0 {
			t.Errorf("shard %d: got no datagram", shard.Shard)
		}
	}
	svc.wantStored(3)
}

// A service has fewer shards than the .socket unit has sockets: the surplus sockets get no
// datagrams, until a start with more shards uses them again.
func TestSocketActivationWithFewerShards(t *testing.T) {
	for _, wildcard := range []bool{false, true} {
		t.Run(fmt.Sprint("wildcard=", wildcard), func(t *testing.T) { testFewerShards(t, wildcard) })
	}
}

func testFewerShards(t *testing.T, wildcard bool) {
	svc := newService(t)
	svc.change = func(*exec.Cmd) {}
	to := svc.address
	if wildcard {
		if conn, err := net.ListenPacket("udp6", "[::1]:0"); err != nil {
			t.Skip("needs IPv6 on the loopback: sysctl -w net.ipv6.conf.lo.disable_ipv6=0")
		} else {
			conn.Close()
		}
		svc.address = strings.TrimPrefix(svc.address, "127.0.0.1")
	}
	svc.bindSockets(3, nil)
	early := newSenders(t, to, 64)
	early.send(200, 0) // the receive buffers are still small
	p := svc.start("--shards", "2")
	early.send(12_800, 0)
	p.waitForDelivered(12_800)
	svc.wantStored(2)
	p.terminate()
	early.send(19_200, 0)
	p = svc.start("--shards", "3")
	p.waitForLog("a process with fewer shards has put the socket out of use")
	early.send(25_600, 0)
	p.waitForDelivered(25_600)
	svc.wantStored(3)
}

// cpuTicks returns the CPU time of a process, in ticks of 10 ms (proc(5), utime and stime).
func (p *process) cpuTicks() (ticks int) {
	p.t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid()))
	if err != nil {
		p.t.Fatal(err)
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	for _, field := range fields[11:13] {
		n, err := strconv.Atoi(field)
		if err != nil {
			p.t.Fatal(err)
		}
		ticks += n
	}
	return ticks
}

// Passed sockets are non-blocking: shards wait for datagrams without using CPU time.
func TestSocketActivationUsesNoIdleCPU(t *testing.T) {
	svc := newService(t)
	svc.bindSockets(2, nil)
	p := svc.start("--shards", "2", "--stats-interval", "1s")
	p.waitForLog(`"idle":true,`) // the first stats line
	before, began := p.cpuTicks(), time.Now()
	eventually(t, "two seconds have passed", func() bool { return time.Since(began) >= 2*time.Second })
	if used := p.cpuTicks() - before; used > 40 {
		t.Errorf("got %d0 ms of CPU time in two idle seconds, want at most 400 ms", used)
	}
}

// Passed sockets have receive buffers above net.core.rmem_max, forced by the manager: the service
// does not shrink the buffers.
func TestSocketActivationKeepsLargeBuffers(t *testing.T) {
	text, err := os.ReadFile("/proc/sys/net/core/rmem_max")
	if err != nil {
		t.Skip(err)
	}
	most, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	if most >= 64<<20 {
		t.Skip("net.core.rmem_max is larger than the tested buffers")
	}
	for _, forced := range []int{most + 1<<20, 2*most + 48<<20} { // less and more than the service asks for
		svc := newService(t)
		svc.bindSockets(2, func(fd int) {
			if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, forced); err != nil {
				t.Skipf("needs CAP_NET_ADMIN to force a receive buffer: %v", err)
			}
		})
		p := svc.start("--shards", "2")
		for _, shard := range p.status().Listeners[0].Shards {
			if shard.BufferBytes != uint64(2*forced) {
				t.Errorf("shard %d: got a buffer of %d bytes, want %d", shard.Shard, shard.BufferBytes, 2*forced)
			}
		}
	}
}
