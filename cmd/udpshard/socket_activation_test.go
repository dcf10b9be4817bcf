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

// activate binds so many sockets at the unit's port, as a .socket unit does.
func (svc *service) bindSockets(count int, change func(fd int)) {
	svc.t.Helper()
	at, err := net.ResolveUDPAddr("udp", svc.address)
	if err != nil {
		svc.t.Fatal(err)
	}
	family, name := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Port: at.Port}) // both, as BindIPv6Only=both
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

// inodes are of the sockets that a process has at UDP.
func (p *process) udpSockets() []string {
	p.t.Helper()
	held, err := socketsOf(p.pid(), "udp")
	if err != nil {
		p.t.Fatal(err)
	}
	return held
}

// Sockets of a .socket unit are read, after a restart too, and what came before
// the start.
func TestSocketActivation(t *testing.T) {
	svc := newService(t)
	svc.bindSockets(2, nil)
	early := newSenders(t, svc.address, 16)
	early.send(200, 0) // the buffers are small yet
	p := svc.start("--shards", "2")
	p.waitForDelivered(200)
	var want []string
	for _, d := range svc.activated {
		want = append(want, fmt.Sprintf("socket:[%d]\n", systemdtest.Identity(t, d.File)[1]))
	}
	slices.Sort(want)
	if has := p.udpSockets(); !slices.Equal(has, want) {
		t.Errorf("it has the sockets %q, want %q", has, want)
	}
	svc.wantStored(2)
	if p.hasLogged(`"level":"error"`) || p.hasLogged("socket of the service manager unused") {
		t.Error("it has something to say against them")
	}
	p.terminate()
	early.send(2000, 0) // nobody reads
	p = svc.start("--shards", "2")
	eventually(t, "what waited is read", func() bool { r := p.total(); return r.Delivered == 2000 && r.Dropped.LostInCrash == 0 })
	if has := p.udpSockets(); !slices.Equal(has, want) {
		t.Errorf("it has the sockets %q, want %q", has, want)
	}
}

// The kernel lets only sockets of one user share a port.
func TestSocketActivationWithMoreShards(t *testing.T) {
	svc := newService(t)
	svc.bindSockets(2, nil)
	if os.Geteuid() == 0 {
		p := svc.launchServe("--shards", "3")
		p.wantExit(cli.ExitFailed)
		p.waitForLog("with 1 shards more: address already in use", "udpshard: hint: ", "a ListenDatagram= line a shard")
	}
	svc.change = func(*exec.Cmd) {}
	p := svc.start("--shards", "3")
	newSenders(t, svc.address, 64).send(6400, 0)
	p.waitForDelivered(6400)
	for _, shard := range p.status().Listeners[0].Shards {
		if shard.Received == 0 {
			t.Errorf("shard %d has received nothing", shard.Shard)
		}
	}
	svc.wantStored(3)
}

// A .socket unit may have more sockets than there are shards: those are out of
// use until it is started anew.
func TestSocketActivationWithFewerShards(t *testing.T) {
	for _, wildcard := range []bool{false, true} {
		t.Run(fmt.Sprint("wildcard=", wildcard), func(t *testing.T) { wantsFewerShards(t, wildcard) })
	}
}

func wantsFewerShards(t *testing.T, wildcard bool) {
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
	early.send(200, 0) // the buffers are small yet
	p := svc.start("--shards", "2")
	early.send(12_800, 0)
	p.waitForDelivered(12_800)
	svc.wantStored(2)
	p.terminate()
	early.send(19_200, 0)
	p = svc.start("--shards", "3")
	p.waitForLog("a process with fewer shards has put out of use")
	early.send(25_600, 0)
	p.waitForDelivered(25_600)
	svc.wantStored(3)
}

// cpu is what a process has used, in ticks of 10 ms (proc(5), utime and stime).
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

// The manager's sockets do not block, and shards wait at them all the same.
func TestSocketActivationUsesNoIdleCPU(t *testing.T) {
	svc := newService(t)
	svc.bindSockets(2, nil)
	p := svc.start("--shards", "2", "--stats-interval", "1s")
	p.waitForLog(`"idle":true,`) // it has begun
	before, began := p.cpuTicks(), time.Now()
	eventually(t, "two seconds have passed", func() bool { return time.Since(began) >= 2*time.Second })
	if used := p.cpuTicks() - before; used > 40 {
		t.Errorf("it has used %d0 ms of CPU time in two idle seconds", used)
	}
}

// What the manager was allowed to make large stays so.
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
		t.Skip("net.core.rmem_max is so large that nobody needs more")
	}
	for _, forced := range []int{most + 1<<20, 2*most + 48<<20} { // less than is asked, and more
		svc := newService(t)
		svc.bindSockets(2, func(fd int) {
			if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, forced); err != nil {
				t.Skipf("needs CAP_NET_ADMIN to force a receive buffer: %v", err)
			}
		})
		p := svc.start("--shards", "2")
		for _, shard := range p.status().Listeners[0].Shards {
			if shard.BufferBytes != uint64(2*forced) {
				t.Errorf("shard %d: the buffer has %d bytes, and had %d", shard.Shard, shard.BufferBytes, 2*forced)
			}
		}
	}
}
