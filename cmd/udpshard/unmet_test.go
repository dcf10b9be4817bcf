package main

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/cli"
)

// A standby does not run while a successor takes over, and that one dies or
// hangs before the standby has met it: it has that one's counters from the one
// before, and goes on from them, to the datagram.
func TestUnconnectedStandbyTakesOver(t *testing.T) {
	for name, c := range map[string]struct {
		signal syscall.Signal
		says   string
	}{
		"it dies":  {syscall.SIGKILL, `"reason":"died"`},
		"it hangs": {syscall.SIGSTOP, `"reason":"stalled"`},
	} {
		t.Run(name, func(t *testing.T) {
			dir := publicDir(t)
			file, address := filepath.Join(dir, "records.json"), freePort(t)
			args := []string{"--listen", address, "--shards", "2", "--steer", "hash", "--takeover", filepath.Join(dir, "takeover.sock"), "--output", "file:" + file}
			p := serving(t, ordinary, args...)
			standby := p.startStandby(args...)
			s := newSenders(t, address, 16)
			s.send(3000, 0)
			standby.halt()
			next := p.succeeding(args...)
			if code := p.wait(); code != 0 {
				t.Errorf("exit code %d", code)
			}
			s.send(6000, 0)
			eventually(t, "all is delivered", func() bool { return next.total().Delivered == 6000 })
			if c.signal == syscall.SIGSTOP {
				next.halt()
			} else {
				next.cmd.Process.Signal(c.signal)
				next.wait()
			}
			s.send(7000, 0) // these wait
			standby.cmd.Process.Signal(syscall.SIGCONT)
			eventually(t, "the standby serves", func() bool { return standby.says(c.says) })
			eventually(t, "all is delivered", func() bool { return standby.total().Delivered == 7000 })
			if total := standby.total(); total.Received != 7000 || total.Dropped.LostInCrash != 0 || total.Dropped.Kernel != 0 {
				t.Errorf("%+v", total)
			}
			if c.signal == syscall.SIGSTOP {
				next.cmd.Process.Signal(syscall.SIGCONT)
				if code := next.wait(); code != cli.ExitReplaced {
					t.Errorf("who hung left with %d", code)
				}
			}
			if code := standby.terminate(); code != 0 {
				t.Errorf("exit code %d", code)
			}
			if n := lines(t, file, nil); n != 7000 {
				t.Errorf("%d records", n)
			}
		})
	}
}

// A standby that has missed some upgrades, and can't find who serves, takes
// nobody for dead: those who left did so in order.
func TestStandbyWithoutTakeoverSocketWaits(t *testing.T) {
	dir := publicDir(t)
	address, socket := freePort(t), filepath.Join(dir, "takeover.sock")
	args := []string{"--listen", address, "--shards", "2", "--steer", "hash", "--takeover", socket, "--output", "discard"}
	p := serving(t, ordinary, args...)
	standby := p.startStandby(args...)
	standby.halt()
	for range 3 {
		next := p.succeeding(args...)
		p.wait()
		p = next
	}
	// In such a folder it is not made anew.
	if err := errors.Join(os.Chmod(dir, 0o777), os.Remove(socket)); err != nil {
		t.Fatal(err)
	}
	p.wantSaid("takeover socket recreation failed",
		"other users may write to the folder")
	standby.cmd.Process.Signal(syscall.SIGCONT)
	eventually(t, "it says so", func() bool { return standby.says("standby not possible yet") })
	s := newSenders(t, address, 32)
	s.send(2000, 0)
	eventually(t, "all is delivered", func() bool { return p.total().Delivered == 2000 })
	if standby.says("takeover finished") {
		t.Error("two are active")
	}
	p.cmd.Process.Kill()
	p.wait()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it serves, now that nobody does", func() bool { return standby.says(`"message":"listening"`) })
}

// What a standby has is let go by no reload, whenever the process that serves
// ends, and settings that can't be put into force are refused.
func TestStandbyReload(t *testing.T) {
	dir := publicDir(t)
	address, web, socket, file := freePort(t), freePort(t), filepath.Join(dir, "takeover.sock"), filepath.Join(dir, "standby.yaml")
	settings := func(output, more string) {
		t.Helper()
		text := "http: " + web + "\nstandby: true\ntakeover: " + socket + "\nlisteners:\n  - {name: syslog, address: " + address + ", shards: 2, steer: hash, output: " + output + "}\n" + more
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	p := serving(t, ordinary, "--listen", address, "--shards", "2", "--steer", "hash", "--takeover", socket, "--output", "discard")
	settings("discard", "")
	standby := launch(t, ordinary, "serve", "--config", file, "--log-format", "json")
	eventually(t, "it stands by", func() bool { return standby.says("standby started") })
	s := newSenders(t, address, 16)
	s.send(1000, 0)
	eventually(t, "all is delivered", func() bool { return p.total().Delivered == 1000 })

	other := serving(t, ordinary, "--listen", freePort(t), "--output", "discard")
	shared := other.status().Listeners[0].Address
	for _, wrong := range []struct{ output, more, words string }{
		{"file:/nonexistent/folder/x", "", "no such file or directory"},
		{"discard", "  - {name: shared, address: " + shared + ", join: true, output: discard}\n", "the process that serves has no such listener"},
		{"discard", "  - {name: taken, address: " + shared + ", output: discard}\n", "address already in use"},
	} {
		standby.logs.Reset()
		settings(wrong.output, wrong.more)
		standby.cmd.Process.Signal(syscall.SIGHUP)
		eventually(t, "the reload is refused", func() bool { return standby.says("reload refused") && standby.says(wrong.words) })
		eventually(t, "it stands by as before", func() bool { return standby.says("standby started") })
	}

	settings("discard", "")
	standby.logs.Reset()
	standby.cmd.Process.Signal(syscall.SIGHUP)
	eventually(t, "it reloads", func() bool { return standby.says("reload finished") })
	p.cmd.Process.Kill()
	p.wait()
	eventually(t, "it has taken over", func() bool { return standby.says(`"message":"takeover finished`) })
	s.send(2000, 0)
	standby.http = web
	eventually(t, "counters go on", func() bool { return standby.total().Received == 2000 })
}

// A standby that can't listen at the takeover path serves all the same, with
// all there is, and listens when it can.
func TestStandbyServesWithoutTakeoverPath(t *testing.T) {
	dir := filepath.Join(publicDir(t), "run")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	ownedByOrdinary(t, dir)
	address := freePort(t)
	args := []string{"--listen", address, "--shards", "2", "--steer", "hash", "--takeover", filepath.Join(dir, "takeover.sock"), "--output", "discard"}
	p := serving(t, ordinary, args...)
	standby := p.startStandby(args...)
	s := newSenders(t, address, 16)
	s.send(1000, 0)
	eventually(t, "all is delivered", func() bool { return p.total().Delivered == 1000 })
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	p.cmd.Process.Kill()
	p.wait()
	eventually(t, "it serves", func() bool {
		return standby.says(`"message":"takeover finished`) && standby.says("takeover path unavailable")
	})
	s.send(2000, 0)
	eventually(t, "counters go on", func() bool { return standby.total().Delivered == 2000 })
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	ownedByOrdinary(t, dir)
	eventually(t, "it listens", func() bool { return standby.says("takeover path available") })
	next := standby.succeeding(args...)
	if code := standby.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if total := next.total(); total.Received != 2000 {
		t.Errorf("%+v", total)
	}
}

// Where the takeover path can't be used, a second standby can't know that nobody has met the first
// one, which has served: it does not serve, and says why, until the path can be used.
func TestSecondStandbyWaitsForTakeoverPath(t *testing.T) {
	dir := filepath.Join(publicDir(t), "run")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	ownedByOrdinary(t, dir)
	args := []string{"--listen", freePort(t), "--shards", "2", "--takeover", filepath.Join(dir, "takeover.sock"), "--output", "discard"}
	p := serving(t, ordinary, args...)
	queue := [2]*process{p.startStandby(args...), p.startStandby(args...)}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	p.cmd.Process.Kill()
	p.wait()
	active, next := whoTookOver(t, queue)
	active.cmd.Process.Kill()
	active.wait()
	next.wantSaid("standby not possible yet", filepath.Base(dir)+": no such file or directory")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	ownedByOrdinary(t, dir)
	eventually(t, "it serves", func() bool { return next.says(`"message":"takeover finished`) })
	if code := next.terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// A process that does not run is replaced, and its replacement dies; then it
// wakes up: what it had read is not lost.
func TestStoppedProcessOutlivesReplacement(t *testing.T) {
	dir := publicDir(t)
	file, address := filepath.Join(dir, "records.json"), freePort(t)
	args := []string{"--listen", address, "--shards", "2", "--steer", "hash", "--takeover", filepath.Join(dir, "takeover.sock"), "--output", "file:" + file, "--standby-after", "2s"}
	p := serving(t, ordinary, args...)
	queue := [2]*process{p.startStandby(args...), p.startStandby(args...)}
	report := sendingTo(t, address, "--rate", "20000", "--flows", "16", "--verify", file)
	eventually(t, "there is load", func() bool { return p.total().Received > 10_000 })
	path := filepath.Join(dir, "takeover.sock")
	before := inode(t, path)
	p.halt()
	for deadline := time.Now().Add(30 * time.Second); inode(t, path) == before; {
		if time.Now().After(deadline) {
			t.Fatal("no standby takes the path")
		}
	}
	active, next := queue[0], queue[1] // which it kills before they have met
	if listens(t, path) != active.cmd.Process.Pid {
		active, next = next, active
	}
	active.cmd.Process.Kill()
	active.wait()
	eventually(t, "its replacement too", func() bool { return next.says(`"message":"takeover finished`) })
	next.reads()
	p.cmd.Process.Signal(syscall.SIGCONT)
	if code := p.wait(); code != cli.ExitReplaced {
		t.Errorf("it woke up and left with %d", code)
	}
	r, total := report(), next.settled()
	if all := r.Records.Total; all.Doubled > 0 || !active.says(unmet) && (all.Arrived != total.Delivered || all.Arrived+total.Dropped.LostInCrash+total.Dropped.Kernel != r.Sent) {
		t.Errorf("%+v of %d sent; %+v", all, r.Sent, total)
	}
}

// inode returns that of a path.
func inode(t *testing.T, path string) uint64 {
	t.Helper()
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Ino
}

// listens returns the PID of the process that listens at a takeover path.
func listens(t *testing.T, path string) int {
	t.Helper()
	conn, err := net.Dial("unixpacket", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var cred *unix.Ucred
	var asked error
	if err := raw.Control(func(fd uintptr) {
		cred, asked = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil || asked != nil {
		t.Fatal(err, asked)
	}
	return int(cred.Pid)
}

// A process that does not run is replaced, and its replacement is upgraded, which waits for it no
// longer: what it had read counts as lost, and is written all the same when it wakes up.
func TestStoppedProcessOutlivesUpgrade(t *testing.T) {
	dir := publicDir(t)
	file, address := filepath.Join(dir, "records.json"), freePort(t)
	args := []string{"--listen", address, "--shards", "2", "--steer", "hash", "--takeover", filepath.Join(dir, "takeover.sock"), "--output", "file:" + file, "--standby-after", "2s"}
	p := serving(t, ordinary, args...)
	standby := p.startStandby(args...)
	report := sendingTo(t, address, "--rate", "20000", "--flows", "16", "--verify", file)
	eventually(t, "there is load", func() bool { return p.total().Received > 10_000 })
	p.halt()
	eventually(t, "it is replaced", func() bool { return standby.says(`"message":"takeover finished`) })
	standby.reads()
	next := standby.succeeding(args...)
	standby.wantSaid("replaced process no longer watched")
	p.cmd.Process.Signal(syscall.SIGCONT)
	if code := p.wait(); code != cli.ExitReplaced {
		t.Errorf("it woke up and left with %d", code)
	}
	const more = 2 * 64 // a batch a shard
	r, total := report(), next.settled()
	if all := r.Records.Total; all.Doubled > 0 || all.Arrived < total.Delivered || all.Arrived > total.Delivered+total.Dropped.LostInCrash+more {
		t.Errorf("%+v of %d sent; %+v", all, r.Sent, total)
	}
}

// A standby whose zones or output can't be opened again, when another one has
// taken over, stays, and stands by again.
func TestStandbyKeepsZonesThatFailToReload(t *testing.T) {
	dir, address := publicDir(t), freePort(t)
	zone := filepath.Join(dir, "example.zone")
	right := "$ORIGIN example.\n$TTL 60\n@ SOA ns1 host 1 7200 3600 86400 300\n@ NS ns1\nns1 A 192.0.2.1\n"
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(zone, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(right)
	args := []string{"--listen", address, "--protocol", "dns", "--zone", zone, "--output", "discard", "--takeover", filepath.Join(dir, "takeover.sock"), "--standby-after", "10s"}
	p := serving(t, ordinary, args...)
	queue := [2]*process{p.startStandby(args...), p.startStandby(args...)}
	write(right + "wrong line\n")
	p.cmd.Process.Kill()
	p.wait()
	active, next := whoTookOver(t, queue)
	eventually(t, "the other one goes on with the zones that it has", func() bool {
		return next.says("example.zone:6") && strings.Count(next.logs.String(), "standby started") > 1
	})
	active.cmd.Process.Kill()
	active.wait()
	eventually(t, "it serves", func() bool {
		m := asking("udp", address, askFor("ns1.example.", dns.TypeA))
		return m != nil && len(m.Answer) == 1
	})
	if code := next.terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// A process that hands over while its output takes nothing hears signals all the
// same, and gives up what the output has not taken.
func TestStopDuringBlockedHandover(t *testing.T) {
	pipe, address := unreadPipe(t), freePort(t)
	args := []string{"--listen", address, "--protocol", "raw", "--shards", "2", "--steer", "hash", "--drain-timeout", "300ms", "--standby-after", "10s",
		"--takeover", filepath.Join(publicDir(t), "takeover.sock"), "--output", "file:" + pipe}
	p := serving(t, ordinary, args...)
	s := newSenders(t, address, 16)
	before := uint64(0)
	eventually(t, "its output takes nothing more", func() bool {
		s.send(s.sent+5000, 0)
		now := p.total()
		stuck := now.QueueBytes > 0 && now.Received == before
		before = now.Received
		return stuck
	})
	next := launch(t, ordinary, append([]string{"serve", "--http", p.http, "--log-format", "json"}, args...)...)
	eventually(t, "a successor waits", func() bool { return next.says("takeover started") })
	if code := p.terminate(); code != 0 && code != cli.ExitFailed {
		t.Errorf("exit code %d", code)
	}
	received, delivered, kernel, lost := p.finalLedger()
	if delivered+lost != received || lost == 0 || received+kernel > uint64(s.sent) {
		t.Errorf("%d received, %d delivered, %d lost, %d dropped by the kernel, of %d", received, delivered, lost, kernel, s.sent)
	}
}

// A takeover socket that somebody removes is made anew: whoever stands by still does, and others
// can come. A process that was replaced makes nothing anew.
func TestRemovedTakeoverSocketIsRecreated(t *testing.T) {
	dir := publicDir(t)
	address, socket := freePort(t), filepath.Join(dir, "takeover.sock")
	args := []string{
		"--listen", address, "--shards", "2", "--steer", "hash", "--takeover", socket, "--output", "discard",
	}
	p := serving(t, ordinary, args...)
	standby := p.startStandby(append(slices.Clone(args), "--standby-after", "100ms")...)
	s := newSenders(t, address, 16)
	s.send(1000, 0)
	for n := 1; n <= 2; n++ {
		if err := os.Remove(socket); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it is made anew", func() bool {
			return strings.Count(p.logs.String(), "takeover socket recreated") == n
		})
	}
	next := p.succeeding(args...)
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	eventually(t, "the standby follows", func() bool {
		return strings.Count(standby.logs.String(), "standby started") == 2
	})
	s.send(2000, 0)
	eventually(t, "counters go on", func() bool { return next.total().Delivered == 2000 })

	next.halt()
	s.send(2100, 1000)
	standby.wantSaid(`"message":"takeover finished`)
	if err := os.Remove(socket); err != nil {
		t.Fatal(err)
	}
	next.cmd.Process.Signal(syscall.SIGCONT)
	if code := next.wait(); code != cli.ExitReplaced {
		t.Errorf("exit code %d, want %d", code, cli.ExitReplaced)
	}
	standby.wantSaid("takeover socket recreated")
	if next.says("made anew") {
		t.Error("who was replaced made it anew")
	}
	last := standby.succeeding(args...)
	if code := standby.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if total := last.total(); total.Received != 2100 {
		t.Errorf("%+v", total)
	}
}
