package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/handoff/systemd"
	"github.com/udpshard/udpshard/internal/handoff/systemd/systemdtest"
	"github.com/udpshard/udpshard/internal/loadgen"
	"github.com/udpshard/udpshard/metrics"
)

// managed is `serve` as a service of a manager that takes the place of systemd.
type managed struct {
	*systemdtest.Manager
	t         *testing.T
	dir       string
	address   string // of its port
	web       string
	file      string // of its records
	user      func(*exec.Cmd)
	activated []systemdtest.Descriptor
}

func newManaged(t *testing.T) *managed {
	t.Helper()
	dir := publicDir(t)
	return &managed{Manager: systemdtest.New(t, filepath.Join(dir, "notify")), t: t, dir: dir, address: freePort(t), web: freePort(t), file: filepath.Join(dir, "records.json"), user: ordinary}
}

// begin starts it with what is kept, and more arguments.
func (u *managed) begin(more ...string) *process {
	u.t.Helper()
	args := append([]string{"serve", "--http", u.web, "--log-format", "json", "--listen", u.address, "--steer", "hash", "--output", "file:" + u.file}, more...)
	return u.launch(args...)
}

func (u *managed) launch(args ...string) *process {
	u.t.Helper()
	u.SetMain(0) // nobody else is there who speaks
	started := func() {}
	p := launch(u.t, func(cmd *exec.Cmd) {
		started = u.Prepare(cmd, u.activated...)
		u.user(cmd)
	}, args...)
	started()
	p.http = u.web
	u.SetMain(p.cmd.Process.Pid)
	return p
}

// start returns once it is ready.
func (u *managed) start(more ...string) *process {
	u.t.Helper()
	p := u.begin(more...)
	u.ready(p)
	return p
}

func (u *managed) ready(p *process) {
	u.t.Helper()
	eventually(u.t, "it is ready, or has ended", func() bool {
		return slices.ContainsFunc(u.by(p), func(text string) bool { return strings.HasPrefix(text, "READY=1") }) || p.says("udpshard: error")
	})
	if p.says("udpshard: error") {
		u.t.Fatal("it does not start")
	}
}

// by is what a process has said, and was heard.
func (u *managed) by(p *process) (texts []string) {
	for _, m := range u.Messages() {
		if m.PID == p.cmd.Process.Pid && !m.Ignored {
			texts = append(texts, m.Text)
		}
	}
	return texts
}

func (u *managed) says(p *process, text string) func() bool {
	return func() bool {
		return slices.ContainsFunc(u.by(p), func(said string) bool { return strings.Contains(said, text) })
	}
}

// holds is what the store has, by kind.
func (u *managed) holds() (sockets, counters, lists, others int) {
	for _, name := range u.StoredNames() {
		switch n, _ := systemd.ParseName(name); n.Kind {
		case systemd.SocketKind:
			sockets++
		case systemd.CountersKind:
			counters++
		case systemd.ManifestKind:
			lists++
		default:
			others++
		}
	}
	return
}

func (u *managed) wantHeld(sockets int) {
	u.t.Helper()
	if s, c, l, o := u.holds(); s != sockets || c != 2 || l != 1 || o != 0 {
		u.t.Errorf("%q is kept, want %d sockets", u.StoredNames(), sockets)
	}
}

// passed is what the next process would get.
func (u *managed) passed() systemd.Stored {
	var passed []systemd.Passed
	for _, d := range u.Descriptors() {
		passed = append(passed, systemd.Passed(d))
	}
	k := systemd.Restore(passed)
	u.t.Cleanup(k.Close)
	return k
}

// load returns once some of it is read.
func (u *managed) load(p *process) (report func() loadgen.Summary) {
	u.t.Helper()
	before := p.total().Received
	report = sendingTo(u.t, u.address, "--rate", "80000", "--flows", "16", "--verify", u.file)
	eventually(u.t, "there is load", func() bool { return p.total().Received > before+10_000 })
	return report
}

// account checks that every datagram is a record, lost in a crash, or dropped
// by the kernel where it has little room.
func (u *managed) account(p *process, r loadgen.Summary, ordered bool) {
	u.t.Helper()
	all, total := r.Records.Total, p.settled()
	lost, kernel := total.Dropped.LostInCrash, total.Dropped.Kernel
	if kernel > 0 && !p.says("smaller than asked") {
		u.t.Errorf("%d were dropped by the kernel", kernel)
	}
	if all.Arrived+lost+kernel != r.Sent || all.Doubled > 0 || total.Delivered != all.Arrived || total.Received+kernel != r.Sent || ordered && all.Reordered > 0 {
		u.t.Errorf("%+v of %d sent; %+v", all, r.Sent, total)
	}
}

// notBack checks that no counter is less than before.
func notBack(t *testing.T, before, now metrics.Reading) {
	t.Helper()
	if now.Received < before.Received || now.Delivered < before.Delivered || now.Bytes < before.Bytes || now.Dropped.LostInCrash < before.Dropped.LostInCrash || now.Dropped.Kernel < before.Dropped.Kernel {
		t.Errorf("counters went back from %+v to %+v", before, now)
	}
}

func TestServiceIsReadyAfterStore(t *testing.T) {
	u := newManaged(t)
	p := u.start("--shards", "2")
	said := u.by(p)
	ready := slices.Index(said, "READY=1\nSTATUS=serving 1 listeners with 2 shards")
	if ready < 0 {
		t.Fatalf("%q", said)
	}
	stores := 0
	for i, text := range said {
		if strings.HasPrefix(text, "FDSTORE=1\n") {
			if stores++; i > ready {
				t.Errorf("%q comes after %q", text, said[ready])
			}
		}
	}
	if stores != 5 {
		t.Errorf("%d descriptors were stored", stores)
	}
	u.wantHeld(2)
	k := u.passed()
	if len(k.Listeners) != 1 || k.Listeners[0].Address != u.address || k.Listeners[0].Name != "syslog" || k.Dropped != nil || k.Surplus != nil {
		t.Errorf("%+v", k)
	}
	if code := p.terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if !slices.Contains(u.by(p), "STOPPING=1\nSTATUS=draining") {
		t.Errorf("%q", u.by(p))
	}
	u.wantHeld(2)
	newSenders(t, u.address, 16).send(1000, 0) // nobody reads
	p = u.start("--shards", "2")
	eventually(t, "what waited is read", func() bool { r := p.total(); return r.Delivered == 1000 && r.Dropped.Kernel == 0 })
}

// Three times in a row it is killed under load, and started again with what
// was kept: what is lost is counted, to the datagram.
func TestServiceKilledUnderLoad(t *testing.T) {
	for _, takeover := range []bool{false, true} {
		t.Run(fmt.Sprint("takeover=", takeover), func(t *testing.T) {
			u := newManaged(t)
			args := []string{"--shards", "2"}
			if takeover {
				args = append(args, "--takeover", filepath.Join(u.dir, "takeover.sock"))
			}
			p := u.start(args...)
			report := u.load(p)
			for range 3 {
				before := p.total()
				p.cmd.Process.Kill()
				p.wait()
				p = u.start(args...)
				notBack(t, before, p.total())
				u.wantHeld(2)
				p.reads()
			}
			r := report()
			u.account(p, r, true)
			t.Logf("%d sent, %d lost in three crashes", r.Sent, p.total().Dropped.LostInCrash)
			if code := p.terminate(); code != 0 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

// Killed before it says that it is ready, it loses what it has counted as
// little as later.
func TestServiceKilledDuringStart(t *testing.T) {
	u := newManaged(t)
	p := u.start("--shards", "2")
	report := u.load(p)
	for i := range 12 {
		before := p.total()
		p.cmd.Process.Kill()
		p.wait()
		p = u.begin("--shards", "2")
		switch i % 4 {
		case 0: // as soon as it is there
		case 1:
			eventually(t, "it has taken over", func() bool { return p.says(`"message":"takeover finished`) })
		case 2:
			eventually(t, "it has begun to store", u.says(p, "FDSTORE=1"))
		case 3:
			eventually(t, "it listens", func() bool { return p.says(`"message":"listening"`) })
		}
		p.cmd.Process.Kill()
		p.wait()
		p = u.start("--shards", "2")
		notBack(t, before, p.total())
	}
	u.account(p, report(), true)
	u.wantHeld(2)
}

// Five times in a row it is told to stop under load, and started again: every
// datagram is one record, in its sender's order.
func TestServiceRestartLosesNothing(t *testing.T) {
	u := newManaged(t)
	p := u.start("--shards", "2")
	report := u.load(p)
	for range 5 {
		before := p.total()
		if code := p.terminate(); code != 0 {
			t.Errorf("exit code %d", code)
		}
		p = u.start("--shards", "2")
		notBack(t, before, p.total())
		p.reads()
	}
	u.account(p, report(), true)
	if lost := p.total().Dropped.LostInCrash; lost > 0 {
		t.Errorf("%d were lost in a crash", lost)
	}
	if code := p.terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// Where there is no end of what comes, what still waits when half of the time for
// a drain has passed is the next one's.
func TestServiceRestartUnderOverload(t *testing.T) {
	u := newManaged(t)
	u.file = filepath.Join(u.dir, "pipe")
	if err := unix.Mkfifo(u.file, 0o666); err != nil {
		t.Fatal(err)
	}
	os.Chmod(u.file, 0o666) // whatever the umask
	pipe, err := os.OpenFile(u.file, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	var records atomic.Uint64
	go func() { // slower than what comes
		for buffer := make([]byte, 64<<10); ; time.Sleep(5 * time.Millisecond) {
			n, err := pipe.Read(buffer)
			if err != nil {
				return
			}
			records.Add(uint64(bytes.Count(buffer[:n], []byte("\n"))))
		}
	}()
	args := []string{"--shards", "1", "--drain-timeout", "2s"}
	p := u.start(args...)
	report := sendingTo(t, u.address, "--rate", "80000", "--flows", "16")
	for range 2 {
		dropped := p.total().Dropped.Kernel
		eventually(t, "the queue is full", func() bool { return p.total().Dropped.Kernel > dropped })
		before := p.total()
		began := time.Now()
		if code := p.terminate(); code != 0 {
			t.Errorf("exit code %d", code)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("it has ended after %s", took)
		}
		p = u.start(args...)
		notBack(t, before, p.total())
	}
	sent := report().Sent
	eventually(t, "all is accounted for", func() bool {
		r := p.total()
		return r.Received+r.Dropped.Kernel == sent && r.Delivered == r.Received && records.Load() == r.Delivered
	})
}

// More and fewer shards across restarts lose nothing either.
func TestServiceRestartChangesShards(t *testing.T) {
	u := newManaged(t)
	p := u.start("--shards", "2")
	report := u.load(p)
	for i, shards := range []int{4, 1, 3, 2} {
		before := p.total()
		if i%2 == 0 {
			p.terminate()
		} else {
			p.cmd.Process.Kill()
			p.wait()
		}
		p = u.start("--shards", strconv.Itoa(shards))
		notBack(t, before, p.total())
		if n := len(p.status().Listeners[0].Shards); n != shards {
			t.Errorf("%d shards, want %d", n, shards)
		}
		u.wantHeld(shards)
		p.reads()
	}
	u.account(p, report(), false)
}

// Sockets of a listener that is in the configuration no more are told of, and
// closed.
func TestRemovedListenerIsClosed(t *testing.T) {
	u := newManaged(t)
	other := freePort(t)
	file := filepath.Join(u.dir, "serve.yaml")
	config := func(listeners ...string) {
		text := fmt.Sprintf("http: %s\nlog: {format: json}\nlisteners:\n", u.web)
		for i, address := range listeners {
			text += fmt.Sprintf("  - {name: l%d, address: '%s', output: discard, shards: 2}\n", i, address)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	start := func() *process {
		p := u.launch("serve", "--config", file)
		u.ready(p)
		return p
	}
	config(u.address, other)
	p := start()
	u.wantHeld(4)
	p.terminate()
	config(u.address)
	p = start()
	u.wantHeld(2)
	p.wantSaid(other)
	eventually(t, "both sockets are told of", func() bool { return strings.Count(p.logs.String(), "socket of the service manager unused") == 2 })
	conn, err := net.ListenPacket("udp", other)
	if err != nil {
		t.Errorf("somebody still has the port: %v", err)
	} else {
		conn.Close()
	}
}

// activate binds so many sockets at the unit's port, as a .socket unit does.
func (u *managed) activate(count int, change func(fd int)) {
	u.t.Helper()
	at, err := net.ResolveUDPAddr("udp", u.address)
	if err != nil {
		u.t.Fatal(err)
	}
	family, name := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Port: at.Port}) // both, as BindIPv6Only=both
	if at.IP != nil {
		family, name = unix.AF_INET, &unix.SockaddrInet4{Port: at.Port, Addr: [4]byte(at.IP.To4())}
	}
	for range count {
		fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			u.t.Fatal(err)
		}
		if change != nil {
			change(fd)
		}
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
			u.t.Fatal(err)
		}
		if err := unix.Bind(fd, name); err != nil {
			u.t.Fatal(err)
		}
		file := os.NewFile(uintptr(fd), "activated")
		u.t.Cleanup(func() { file.Close() })
		u.activated = append(u.activated, systemdtest.Descriptor{Name: "udpshard.socket", File: file})
	}
}

// inodes are of the sockets that a process has at UDP.
func (p *process) inodes() []string {
	p.t.Helper()
	held, err := socketsOf(p.cmd.Process.Pid, "udp")
	if err != nil {
		p.t.Fatal(err)
	}
	return held
}

// Sockets of a .socket unit are read, after a restart too, and what came before
// the start.
func TestSocketActivation(t *testing.T) {
	u := newManaged(t)
	u.activate(2, nil)
	early := newSenders(t, u.address, 16)
	early.send(200, 0) // the buffers are small yet
	p := u.start("--shards", "2")
	eventually(t, "what waited is read", func() bool { return p.total().Delivered == 200 })
	var want []string
	for _, d := range u.activated {
		want = append(want, fmt.Sprintf("socket:[%d]\n", systemdtest.Identity(t, d.File)[1]))
	}
	slices.Sort(want)
	if has := p.inodes(); !slices.Equal(has, want) {
		t.Errorf("it has the sockets %q, want %q", has, want)
	}
	u.wantHeld(2)
	if p.says(`"level":"error"`) || p.says("socket of the service manager unused") {
		t.Error("it has something to say against them")
	}
	p.terminate()
	early.send(2000, 0) // nobody reads
	p = u.start("--shards", "2")
	eventually(t, "what waited is read", func() bool { r := p.total(); return r.Delivered == 2000 && r.Dropped.LostInCrash == 0 })
	if has := p.inodes(); !slices.Equal(has, want) {
		t.Errorf("it has the sockets %q, want %q", has, want)
	}
}

// The kernel lets only sockets of one user share a port.
func TestSocketActivationWithMoreShards(t *testing.T) {
	u := newManaged(t)
	u.activate(2, nil)
	if os.Geteuid() == 0 {
		p := u.begin("--shards", "3")
		if code := p.wait(); code != cli.ExitFailed {
			t.Errorf("exit code %d", code)
		}
		p.wantSaid("with 1 shards more: address already in use", "udpshard: hint: ", "a ListenDatagram= line a shard")
	}
	u.user = func(*exec.Cmd) {}
	p := u.start("--shards", "3")
	newSenders(t, u.address, 64).send(6400, 0)
	eventually(t, "all is read", func() bool { return p.total().Delivered == 6400 })
	for _, shard := range p.status().Listeners[0].Shards {
		if shard.Received == 0 {
			t.Errorf("shard %d has received nothing", shard.Shard)
		}
	}
	u.wantHeld(3)
}

// A .socket unit may have more sockets than there are shards: those are out of
// use until it is started anew.
func TestSocketActivationWithFewerShards(t *testing.T) {
	for _, wildcard := range []bool{false, true} {
		t.Run(fmt.Sprint("wildcard=", wildcard), func(t *testing.T) { wantsFewerShards(t, wildcard) })
	}
}

func wantsFewerShards(t *testing.T, wildcard bool) {
	u := newManaged(t)
	u.user = func(*exec.Cmd) {}
	to := u.address
	if wildcard {
		if conn, err := net.ListenPacket("udp6", "[::1]:0"); err != nil {
			t.Skip("needs IPv6 on the loopback: sysctl -w net.ipv6.conf.lo.disable_ipv6=0")
		} else {
			conn.Close()
		}
		u.address = strings.TrimPrefix(u.address, "127.0.0.1")
	}
	u.activate(3, nil)
	early := newSenders(t, to, 64)
	early.send(200, 0) // the buffers are small yet
	p := u.start("--shards", "2")
	early.send(12_800, 0)
	eventually(t, "all is read", func() bool { return p.total().Delivered == 12_800 })
	u.wantHeld(2)
	p.terminate()
	early.send(19_200, 0)
	p = u.start("--shards", "3")
	p.wantSaid("a process with fewer shards has put out of use")
	early.send(25_600, 0)
	eventually(t, "all is read", func() bool { return p.total().Delivered == 25_600 })
	u.wantHeld(3)
}

// cpu is what a process has used, in ticks of 10 ms (proc(5), utime and stime).
func (p *process) cpu() (ticks int) {
	p.t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
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
	u := newManaged(t)
	u.activate(2, nil)
	p := u.start("--shards", "2", "--stats-interval", "1s")
	p.wantSaid(`"idle":true,`) // it has begun
	before, began := p.cpu(), time.Now()
	eventually(t, "two seconds have passed", func() bool { return time.Since(began) >= 2*time.Second })
	if used := p.cpu() - before; used > 40 {
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
		u := newManaged(t)
		u.activate(2, func(fd int) {
			if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, forced); err != nil {
				t.Skipf("needs CAP_NET_ADMIN to force a receive buffer: %v", err)
			}
		})
		p := u.start("--shards", "2")
		for _, shard := range p.status().Listeners[0].Shards {
			if shard.BufferBytes != uint64(2*forced) {
				t.Errorf("shard %d: the buffer has %d bytes, and had %d", shard.Shard, shard.BufferBytes, 2*forced)
			}
		}
	}
}

func TestServiceSendsWatchdog(t *testing.T) {
	u := newManaged(t)
	u.SetWatchdog(200 * time.Millisecond)
	p := u.start("--shards", "2")
	count := func() int {
		return len(slices.DeleteFunc(u.by(p), func(text string) bool { return text != "WATCHDOG=1" }))
	}
	eventually(t, "it has said so ten times", func() bool { return count() >= 10 })
	p.terminate()
}

// A standby keeps nothing, until it is active.
func TestServiceStandby(t *testing.T) {
	u := newManaged(t)
	socket := filepath.Join(u.dir, "takeover.sock")
	active := serving(t, ordinary, "--listen", u.address, "--shards", "2", "--steer", "hash", "--takeover", socket, "--output", "file:"+u.file)
	u.start("--shards", "2", "--listen", freePort(t)).terminate() // and leaves its sockets
	u.wantHeld(2)
	args := []string{"--shards", "2", "--takeover", socket, "--standby", "--standby-after", "10s"}
	p := u.start(args...)
	if !u.says(p, fmt.Sprintf("STATUS=standing by for pid %d", active.cmd.Process.Pid))() {
		t.Errorf("%q", u.by(p))
	}
	if s, c, l, _ := u.holds(); s+c != 0 || l > 1 {
		t.Errorf("%q is kept", u.StoredNames())
	}
	p.cmd.Process.Signal(syscall.SIGHUP)
	eventually(t, "it has reloaded", func() bool {
		said := u.by(p)
		i := slices.IndexFunc(said, isReloading)
		return i >= 0 && slices.ContainsFunc(said[i:], func(text string) bool { return strings.HasPrefix(text, "READY=1") })
	})
	report := sendingTo(t, u.address, "--rate", "80000", "--flows", "16", "--verify", u.file)
	eventually(t, "there is load", func() bool { return active.total().Received > 10_000 })
	active.cmd.Process.Kill()
	active.wait()
	eventually(t, "it serves", u.says(p, "STATUS=serving 1 listeners with 2 shards"))
	u.wantHeld(2)
	p.reads()
	u.account(p, report(), true)

	// It is a service like others from then on.
	before := p.total()
	p.cmd.Process.Kill()
	p.wait()
	p = u.start(args...)
	notBack(t, before, p.total())
	u.wantHeld(2)
}

var reloading = regexp.MustCompile(`^RELOADING=1\nMONOTONIC_USEC=[0-9]+$`)

func isReloading(text string) bool { return reloading.MatchString(text) }

func TestServiceReload(t *testing.T) {
	u := newManaged(t)
	p := u.start("--shards", "2")
	before := len(u.by(p))
	p.cmd.Process.Signal(syscall.SIGHUP)
	eventually(t, "it is ready again", func() bool { return len(u.by(p)) >= before+2 })
	if said := u.by(p)[before:]; !isReloading(said[0]) || said[1] != "READY=1\nSTATUS=serving 1 listeners with 2 shards" {
		t.Errorf("%q", said)
	}
	u.wantHeld(2)
}

// A successor in the same control group is the service from then on, and keeps
// what it has.
func TestServiceUpgradeByHand(t *testing.T) {
	u := newManaged(t)
	args := []string{"--shards", "2", "--takeover", filepath.Join(u.dir, "takeover.sock")}
	p := u.start(args...)
	if own, err := os.ReadFile("/proc/self/cgroup"); err != nil || len(own) == 0 {
		t.Skip("needs /proc/self/cgroup (CONFIG_CGROUPS)")
	}
	report := u.load(p)
	for range 5 {
		before := p.total()
		next := launch(t, func(cmd *exec.Cmd) {
			cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+u.Address()) // not what is kept: it is there
			ordinary(cmd)
		}, append([]string{"serve", "--http", u.web, "--log-format", "json", "--listen", u.address, "--steer", "hash", "--output", "file:" + u.file}, args...)...)
		next.http = u.web
		u.ready(next)
		if !u.says(p, fmt.Sprintf("MAINPID=%d", next.cmd.Process.Pid))() {
			t.Errorf("%q", u.by(p))
		}
		if code := p.wait(); code != 0 {
			t.Errorf("exit code %d", code)
		}
		for _, m := range u.Messages() {
			if m.Ignored && m.Text != "WATCHDOG=1" {
				t.Errorf("pid %d said %q, and was not heard", m.PID, m.Text)
			}
		}
		if k := u.passed(); len(k.Listeners) != 1 || len(k.Listeners[0].Sockets) != 2 || len(k.Surplus) > 0 || k.Dropped != nil {
			t.Errorf("%+v", k)
		}
		p = next
		notBack(t, before, p.total())
	}
	before := p.total()
	p.cmd.Process.Kill()
	p.wait()
	p = u.start(args...)
	notBack(t, before, p.total())
	u.wantHeld(2)
	u.account(p, report(), true)
}

// A store that was damaged, or is not to be understood, keeps no service from
// starting: it says what is the matter, and serves.
func TestDamagedStore(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(t *testing.T, passed []systemdtest.Descriptor) []systemdtest.Descriptor
		words  string
		counts bool // goes on counting
		waited bool // what had waited is read
	}{
		"no list": {func(t *testing.T, passed []systemdtest.Descriptor) []systemdtest.Descriptor {
			return slices.DeleteFunc(passed, isKind(systemd.ManifestKind))
		}, "2 stored sockets without a manifest", false, true},
		"a socket less": {func(t *testing.T, passed []systemdtest.Descriptor) []systemdtest.Descriptor {
			i := slices.IndexFunc(passed, isKind(systemd.SocketKind))
			passed[i].File.Close()
			return slices.Delete(passed, i, i+1)
		}, "missing", false, false},
		"no counters": {func(t *testing.T, passed []systemdtest.Descriptor) []systemdtest.Descriptor {
			return slices.DeleteFunc(passed, isKind(systemd.CountersKind))
		}, "counters missing", false, true},
		"counters of another version": {func(t *testing.T, passed []systemdtest.Descriptor) []systemdtest.Descriptor {
			written := 0
			for _, d := range passed {
				if isKind(systemd.CountersKind)(d) {
					if _, err := d.File.WriteAt([]byte{99}, 8); err == nil { // behind its first eight letters
						written++
					} else if !errors.Is(err, unix.EPERM) {
						t.Fatal(err)
					}
				}
			}
			if written != 1 {
				t.Fatalf("%d of the counters' files can be written to, want the control memory alone", written)
			}
			return passed
		}, "and this program needs version", false, true},
		"no socket": {func(t *testing.T, passed []systemdtest.Descriptor) []systemdtest.Descriptor {
			i := slices.IndexFunc(passed, isKind(systemd.SocketKind))
			null, err := os.Open(os.DevNull)
			if err != nil {
				t.Fatal(err)
			}
			passed[i].File.Close()
			passed[i].File = null
			return passed
		}, "missing", false, false},
		"another's descriptor": {func(t *testing.T, passed []systemdtest.Descriptor) []systemdtest.Descriptor {
			null, err := os.Open(os.DevNull)
			if err != nil {
				t.Fatal(err)
			}
			return append(passed, systemdtest.Descriptor{Name: "web", File: null})
		}, "socket of the service manager unused", true, true},
	} {
		t.Run(name, func(t *testing.T) {
			u := newManaged(t)
			p := u.start("--shards", "2")
			s := newSenders(t, u.address, 16)
			s.send(1000, 0)
			eventually(t, "all is delivered", func() bool { return p.total().Delivered == 1000 })
			p.terminate()
			if c.waited {
				s.send(2000, 0)
			}

			old := u
			u = &managed{Manager: systemdtest.New(t, filepath.Join(u.dir, "again")), t: t, dir: u.dir, address: u.address, web: u.web, file: u.file, user: ordinary}
			u.activated = c.damage(t, old.Descriptors())
			old.EmptyStore()
			p = u.start("--shards", "2")
			for _, d := range u.activated {
				d.File.Close()
			}
			p.wantSaid(c.words)
			first := s.sent
			s.send(first+1000, 0)
			want := uint64(s.sent)
			if !c.counts {
				want -= 1000
			}
			eventually(t, "all is delivered", func() bool { return p.total().Delivered == want })
			u.wantHeld(2)
			p.terminate()
			u.activated = nil
			p = u.start("--shards", "2")
			eventually(t, "counters go on", func() bool { return p.total().Delivered == want })
			if p.says("stored descriptor unusable") || p.says("socket of the service manager unused") {
				t.Error("the damage is still there")
			}
		})
	}
}

func isKind(kind systemd.Kind) func(systemdtest.Descriptor) bool {
	return func(d systemdtest.Descriptor) bool {
		name, _ := systemd.ParseName(d.Name)
		return name.Kind == kind
	}
}

// A store that is too small is told of once, with what helps; it serves all the
// same, and drains at its end as if there were none.
func TestStoreTooSmall(t *testing.T) {
	u := newManaged(t)
	u.Limit(3, -1)
	p := u.start("--shards", "2")
	newSenders(t, u.address, 16).send(1000, 0)
	eventually(t, "all is delivered", func() bool { return p.total().Delivered == 1000 })
	p.wantSaid("set FileDescriptorStoreMax=5 or more in the unit")
	if n := strings.Count(p.logs.String(), "descriptor store failed"); n != 1 {
		t.Errorf("that is told %d times", n)
	}
	if code := p.terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// A manager that is slow keeps nobody from reading.
func TestSlowServiceManager(t *testing.T) {
	u := newManaged(t)
	p := u.begin("--shards", "2")
	goOn := u.Pause()
	eventually(t, "it listens", func() bool { return p.says(`"message":"listening"`) })
	newSenders(t, u.address, 16).send(1000, 0)
	eventually(t, "all is delivered", func() bool {
		status, err := statusAt(u.web)
		return err == nil && metrics.Sum(status.Listeners[0].Shards).Delivered == 1000
	})
	p.cmd.Process.Kill()
	p.wait()
	goOn()
	eventually(t, "the manager has all", func() bool { s, c, l, _ := u.holds(); return s == 2 && c == 2 && l == 1 })
	p = u.start("--shards", "2")
	if total := p.total(); total.Received != 1000 || total.Delivered != 1000 {
		t.Errorf("%+v", total)
	}
}

// Descriptors that were passed are closed when they are of no more use, start
// after start.
func TestServiceLeaksNoDescriptors(t *testing.T) {
	u := newManaged(t)
	u.activate(2, nil)
	var counts []int
	for range 4 {
		p := u.start("--shards", "2", "--http", "")
		eventually(t, "its shards read", func() bool { return p.says(`"message":"listening"`) })
		var has int
		eventually(t, "it is at rest", func() bool {
			files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.cmd.Process.Pid))
			if err != nil {
				t.Fatal(err)
			}
			was := has
			has = len(files)
			return was == has
		})
		counts = append(counts, has)
		environment, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p.cmd.Process.Pid))
		if err != nil || !strings.Contains(string(environment), "NOTIFY_SOCKET") {
			t.Errorf("it was not started as a service: %v", err)
		}
		p.terminate()
	}
	if slices.Max(counts[1:]) > slices.Min(counts[1:])+1 {
		t.Errorf("descriptors: %d", counts)
	}
}

// A crash of the program has an exit code after which the unit starts it again, and it goes on
// with what waited. SIGQUIT is a fatal error of the Go runtime (os/signal).
func TestCrashedServiceIsRestarted(t *testing.T) {
	unit := readUnit(t, "udpshard.service")
	u := newManaged(t)
	p := u.start("--shards", "2")
	newSenders(t, u.address, 16).send(500, 0)
	eventually(t, "all is written", func() bool { return p.total().Delivered == 500 })
	p.cmd.Process.Signal(syscall.SIGQUIT)
	code := p.wait()
	if !p.says("SIGQUIT") {
		t.Errorf("it has not crashed:\n%s", p.logs)
	}
	if !unit.restartsAfter(t, code) {
		t.Fatalf("exit code %d, after which it stays down", code)
	}
	newSenders(t, u.address, 16).send(500, 0)
	p = u.start("--shards", "2")
	eventually(t, "what waited is read", func() bool { return p.total().Delivered == 1000 })
	if code := p.terminate(); unit.restartsAfter(t, code) {
		t.Errorf("exit code %d of one that is stopped: it is started again", code)
	}
}

// What a start can't mend has exit codes after which the unit leaves it.
func TestUnusableServiceStaysDown(t *testing.T) {
	unit := readUnit(t, "udpshard.service")
	u := newManaged(t)
	file := write(t, u.dir, "bad.yaml", "listeners: [{batch: 0}]\n")
	for _, test := range []struct {
		args []string
		want int
	}{
		{[]string{"serve", "--batch", "0"}, cli.ExitUsage},
		{[]string{"serve", "--listen", u.address, "--http", "", "--output", "file:" + u.dir + "/none/records"}, cli.ExitUsage},
		{[]string{"serve", "--config", file}, cli.ExitConfig},
		{[]string{"serve", "--config", u.dir + "/none.yaml"}, cli.ExitConfig},
	} {
		code := u.launch(test.args...).wait()
		if code != test.want || unit.restartsAfter(t, code) {
			t.Errorf("%q: exit code %d, want %d, and to stay down", test.args, code, test.want)
		}
	}
}
