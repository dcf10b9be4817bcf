package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/metrics"
)

// startStandby starts `serve --standby` with a process's HTTP address, and
// returns once it waits. Without another --standby-after it has the patience that
// a busy machine asks for.
func (p *process) startStandby(args ...string) *process {
	p.t.Helper()
	args = append([]string{"serve", "--standby", "--http", p.http, "--log-format", "json"}, args...)
	if !slices.Contains(args, "--standby-after") {
		args = append(args, "--standby-after", "2s")
	}
	next := launch(p.t, ordinary, args...)
	next.http = p.http
	eventually(p.t, "it stands by", func() bool { return next.says("standby started") })
	return next
}

// whoTookOver waits until one of two standbys has taken over.
func whoTookOver(t *testing.T, standbys [2]*process) (active, next *process) {
	t.Helper()
	eventually(t, "one has taken over", func() bool {
		for i, q := range standbys {
			if q.says(`"message":"takeover finished`) {
				active, next = q, standbys[1-i]
			}
		}
		return active != nil
	})
	return active, next
}

// reads waits until it reads what is sent.
func (p *process) reads() {
	p.t.Helper()
	first := uint64(0) // what it has received when it is the one that answers
	eventually(p.t, "it reads", func() bool {
		status, err := statusAt(p.http)
		if err != nil || status.PID != p.cmd.Process.Pid {
			return false
		}
		now := metrics.Sum(status.Listeners[0].Shards).Received
		if first == 0 {
			first = now
		}
		return now > first+1000
	})
}

// halt stops it, and returns when none of its threads runs any more: one that
// does could take a datagram along. Where it was busy elsewhere for too long it may
// have left for a standby.
func (p *process) halt() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		p.t.Fatal(err)
	}
	tasks := fmt.Sprintf("/proc/%d/task/*/stat", p.cmd.Process.Pid)
	eventually(p.t, "it has stopped", func() bool {
		files, _ := filepath.Glob(tasks)
		return !slices.ContainsFunc(files, func(file string) bool {
			stat, _ := os.ReadFile(file)
			return !bytes.Contains(stat, []byte(") T ")) && !bytes.Contains(stat, []byte(") Z "))
		})
	})
}

// waitsForCPU begins to measure how long others keep the CPUs from whoever wakes
// up: how much longer than it asked for a thread sleeps that does nothing else.
// The function returns how long that was until now.
func waitsForCPU(t *testing.T) func() time.Duration {
	var waited atomic.Int64
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread() // and its end ends the thread
		for {
			const nap = time.Millisecond
			began, left := time.Now(), unix.NsecToTimespec(int64(nap))
			if err := unix.Nanosleep(&left, nil); err == nil {
				waited.Add(int64(time.Since(began) - nap))
			}
			select {
			case <-done:
				return
			default:
			}
		}
	}()
	t.Cleanup(func() { close(done); <-ended })
	return func() time.Duration { return time.Duration(waited.Load()) }
}

// Ten times a process is killed at a random moment, under load, and a standby
// goes on: what is lost is counted, to the datagram.
func TestStandbyReplacesKilledProcess(t *testing.T) {
	const within = 100 * time.Millisecond // until the standby is active: from the kill eight times of ten, from the death always
	dir := publicDir(t)
	file, address := filepath.Join(dir, "records.json"), freePort(t)
	args := []string{"--listen", address, "--shards", "2", "--steer", "hash", "--takeover", filepath.Join(dir, "takeover.sock"),
		"--output", "file:" + file, "--standby-after", "10s"}
	p := serving(t, ordinary, args...)
	next := p.startStandby(args...)
	report := sendingTo(t, address, "--rate", "80000", "--flows", "16", "--verify", file)
	eventually(t, "there is load", func() bool { return p.total().Received > 10_000 })
	waited := waitsForCPU(t)
	var took []time.Duration
	for range 10 {
		moment := p.total().Received + rand.Uint64N(30_000)
		eventually(t, "a moment comes", func() bool { return p.total().Received >= moment })
		before := counters(t, p.http)
		began, waitedBefore := time.Now(), waited()
		if err := p.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		died := make(chan time.Time, 1)
		go func() {
			p.wait()
			died <- time.Now()
		}()
		eventually(t, "the standby takes over", func() bool { return next.says(`"message":"takeover finished`) })
		now, others := time.Now(), waited()-waitedBefore
		// Its threads die on the CPUs that they are pinned to: where others have these, the kernel's
		// part takes long, and nobody can know before.
		death := <-died
		t.Logf("active again %s after the kill, and %s after its death; others had the CPUs for %s", now.Sub(began), now.Sub(death), others)
		took = append(took, now.Sub(began))
		if now.Sub(death)-others > within {
			t.Errorf("active again %s after the death of the one before, of which others had the CPUs for %s", now.Sub(death), others)
		}
		p = next
		goOn(t, before, counters(t, p.http))
		next = p.startStandby(args...)
		p.reads()
	}
	slices.Sort(took)
	if took[7] > within {
		t.Errorf("active again this long after the kills: %s", took)
	}
	r, total := report(), p.settled()
	if kernel := total.Dropped.Kernel; kernel > 0 && !p.says("smaller than asked") {
		t.Errorf("%d were dropped by the kernel", kernel)
	}
	lost := total.Dropped.LostInCrash + total.Dropped.Kernel
	if all := r.Records.Total; all.Arrived+lost != r.Sent || all.Doubled > 0 || all.Reordered > 0 || total.Delivered != all.Arrived {
		t.Errorf("%+v of %d sent; %+v", all, r.Sent, total)
	}
	t.Logf("%d sent, %d lost in ten crashes", r.Sent, total.Dropped.LostInCrash)
	if code := next.terminate(); code != 0 {
		t.Errorf("a standby that is told to stop: exit code %d", code)
	}
	if code := p.terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// unmet is what a process says that reads before all standbys know of it.
const unmet = "reading begun before every standby answered"

// A standby that dies when it has just taken over is followed by the next one,
// which has met it by the time at which it reads.
func TestSecondStandbyReplacesFirst(t *testing.T) {
	dir := publicDir(t)
	file, address := filepath.Join(dir, "records.json"), freePort(t)
	args := []string{"--listen", address, "--shards", "2", "--steer", "hash", "--takeover", filepath.Join(dir, "takeover.sock"),
		"--output", "file:" + file, "--standby-after", "10s"}
	p := serving(t, ordinary, args...)
	report := sendingTo(t, address, "--rate", "80000", "--flows", "16", "--verify", file)
	late := false // a standby: nothing is promised then
	for range 5 {
		queue := [2]*process{p.startStandby(args...), p.startStandby(args...)}
		p.reads()
		before := p.total()
		p.cmd.Process.Kill()
		p.wait()
		active, next := whoTookOver(t, queue)
		for moment := time.Now().Add(rand.N(10 * time.Millisecond)); time.Now().Before(moment); {
		}
		active.cmd.Process.Kill()
		active.wait()
		late = late || active.says(unmet)
		eventually(t, "the next one has", func() bool { return next.says(`"message":"takeover finished`) })
		p = next
		if now := p.total(); now.Received < before.Received || now.Delivered < before.Delivered {
			t.Errorf("counters went back from %+v to %+v", before, now)
		}
		p.reads()
		if p.says(unmet) {
			t.Error("it has waited, and there is nobody to wait for")
		}
	}
	r, total := report(), p.settled()
	all, unknown := r.Records.Total, r.Sent-total.Received-total.Dropped.Kernel
	if all.Doubled > 0 || all.Reordered > 0 || total.Dropped.Kernel > 0 && !p.says("smaller than asked") {
		t.Errorf("%+v of %d sent; %+v", all, r.Sent, total)
	}
	if !late && (unknown != 0 || all.Arrived != total.Delivered) {
		t.Errorf("%d are in no account: %+v of %d sent; %+v", unknown, all, r.Sent, total)
	}
	t.Logf("%d sent, %d lost; late: %v", r.Sent, total.Dropped.LostInCrash, late)
	lines(t, file, func(line []byte) {
		if !json.Valid(line) {
			t.Errorf("no record: %.200s", line)
		}
	})
	if code := p.terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// A standby that does not answer is told of, whoever else stands by meanwhile.
func TestSilentStandbyIsLogged(t *testing.T) {
	dir, address := publicDir(t), freePort(t)
	args := []string{"--listen", address, "--protocol", "discard", "--shards", "1", "--takeover", filepath.Join(dir, "takeover.sock")}
	p := serving(t, ordinary, args...)
	first := p.startStandby(args...)
	second := p.startStandby(args...)
	second.halt()
	p.cmd.Process.Kill()
	p.wait()
	first.wantSaid(`"message":"takeover finished`)
	first.startStandby(args...)
	first.wantSaid(unmet)
}

// A standby that has not met the successor, and has its counters from the process before that
// one, is waited for like those that have: when another standby takes over, it says that one is
// missing.
func TestRedirectedStandbyIsAwaited(t *testing.T) {
	dir, address := publicDir(t), freePort(t)
	args := []string{"--listen", address, "--protocol", "discard", "--shards", "1", "--takeover", filepath.Join(dir, "takeover.sock")}
	p := serving(t, ordinary, args...)
	told := p.startStandby(args...)
	told.halt()
	successor := p.succeeding(args...)
	p.wait()
	next := successor.startStandby(args...)
	successor.cmd.Process.Kill()
	successor.wait()
	next.wantSaid(`"message":"takeover finished`, unmet)
}

// A process that is stopped is replaced within the patience of those who ask
// it; when it wakes up it sees that, and leaves.
func TestStandbyReplacesStoppedProcess(t *testing.T) {
	const questions, batch = 200, 64
	dir, address := publicDir(t), freePort(t)
	args := []string{"--listen", address, "--shards", "2", "--protocol", "echo", "--takeover", filepath.Join(dir, "takeover.sock"), "--standby-after", "250ms"}
	p := serving(t, ordinary, args...)
	next := p.startStandby(args...)
	ask := func(n int) error { // from a source port of its own
		conn, err := net.Dial("udp", address)
		if err != nil {
			return err
		}
		defer conn.Close()
		text := fmt.Sprint("question ", n)
		if _, err := conn.Write([]byte(text)); err != nil {
			return err
		}
		conn.SetReadDeadline(time.Now().Add(time.Second))
		var buf [64]byte
		k, err := conn.Read(buf[:])
		if err == nil && string(buf[:k]) != text {
			err = fmt.Errorf("answer %q", buf[:k])
		}
		return err
	}
	answered := 0
	var before metrics.Reading
	for n := range questions {
		if n == questions/4 {
			before = p.total()
			p.halt()
		}
		if n == questions/2 {
			if err := p.cmd.Process.Signal(syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
		}
		if err := ask(n); err != nil {
			t.Errorf("question %d: %v", n, err)
			continue
		}
		answered++
	}
	if code := p.wait(); code != cli.ExitReplaced {
		t.Errorf("the one that was stopped ended with %d, not %d", code, cli.ExitReplaced)
	}
	p.wantSaid("udpshard: error: ", "another process has taken over", "udpshard: hint: ")
	if received, _, _, _ := p.finalLedger(); received > before.Received+2*batch {
		t.Errorf("it has received %d, and had received %d when it was stopped", received, before.Received)
	}
	next.wantSaid(`"reason":"stalled"`)
	eventually(t, "all is accounted for", func() bool {
		now := next.total()
		return now.Received == questions && now.Delivered == questions && now.Replied == questions
	})
	t.Logf("%d of %d answered", answered, questions)
	if code := next.terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// Of two standbys one takes over from a process that is stopped, and the other one
// then waits for that one, though the first still says nothing.
func TestStandbyFollowsNewActiveProcess(t *testing.T) {
	dir, address := publicDir(t), freePort(t)
	args := []string{"--listen", address, "--protocol", "discard", "--shards", "1", "--takeover", filepath.Join(dir, "takeover.sock"), "--standby-after"}
	p := serving(t, ordinary, append(args, "0")...)
	last := p.startStandby(append(args, "0")...)
	next := p.startStandby(append(args, "100ms")...)
	p.halt()
	s := newSenders(t, address, 1)
	s.send(100, 10_000)
	eventually(t, "one takes over", func() bool { return next.says(`"message":"takeover finished`) })
	eventually(t, "the other one waits for it", func() bool { return strings.Count(last.logs.String(), "standby started") > 1 })
	next.cmd.Process.Kill()
	next.wait()
	eventually(t, "it goes on", func() bool { return last.says(`"message":"takeover finished`) })
	s.send(200, 10_000)
	eventually(t, "all have come", func() bool { return last.total().Received == 200 })
	p.cmd.Process.Kill()
	p.wait()
	if code := last.terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// A standby that is stopped when it is asked to take over is not waited for; when
// it wakes up it serves all the same.
func TestStoppedStandbyServesOnceResumed(t *testing.T) {
	dir, address := publicDir(t), freePort(t)
	args := []string{"--listen", address, "--protocol", "discard", "--shards", "2", "--takeover", filepath.Join(dir, "takeover.sock")}
	p := serving(t, ordinary, args...)
	next := p.startStandby(args...)
	s := newSenders(t, address, 4)
	s.send(100, 10_000)
	next.halt()
	if code := p.terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	p.wantSaid("handover to a standby failed")
	next.cmd.Process.Signal(syscall.SIGCONT)
	eventually(t, "it serves", func() bool { return next.says(`"message":"listening"`) })
	s.send(200, 10_000)
	eventually(t, "all have come, and no count goes back", func() bool { return next.total().Received == 200 })
	if lost := next.total().Dropped.LostInCrash; lost > 0 {
		t.Errorf("%d were lost in a crash, and there was none", lost)
	}
	if code := next.terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// A process that is killed in the middle of a record is replaced by one with fewer
// shards, which writes what waits at the other sockets to the same file: it cuts
// the half of a record off first, and counts what is there.
func TestStandbyCutsPartialRecord(t *testing.T) {
	t.Run("raw", func(t *testing.T) { testCutsPartialRecord(t, "raw", "") })
	t.Run("dns", func(t *testing.T) { // whose output has records of queries over TCP, too
		testCutsPartialRecord(t, "dns", "id\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x00\x00\x01\x00\x01")
	})
}

func testCutsPartialRecord(t *testing.T, protocol, begin string) {
	dir := smallDisk(t)
	file, address := filepath.Join(dir, "records.json"), freePort(t)
	args := []string{"--listen", address, "--protocol", protocol, "--steer", "hash", "--standby-after", "10m",
		"--takeover", filepath.Join(publicDir(t), "takeover.sock"), "--output", "file:" + file, "--shards"}
	p := serving(t, ordinary, append(args, "3")...)
	next := p.startStandby(append(args, "1")...)
	s := newSenders(t, address, 32)
	s.begin = []byte(begin)
	eventually(t, "the disk is full", func() bool {
		s.send(s.sent+500, 50_000)
		return p.says("no space left on device")
	})
	p.halt()
	s.send(s.sent+1000, 50_000)
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT, "size=256m"); err != nil {
		t.Fatal(err)
	}
	p.cmd.Process.Kill()
	p.wait()
	eventually(t, "all is accounted for", func() bool {
		if !next.says("listening") {
			return false
		}
		r := next.total()
		return r.Received+r.Dropped.Kernel == uint64(s.sent) && r.InFlight == 0
	})
	if next.says("last write of the predecessor unknown") {
		t.Error("it can't tell what was written")
	}
	total := next.total()
	n := lines(t, file, func(line []byte) {
		if !json.Valid(line) {
			t.Errorf("no record: %.200s", line)
		}
	})
	if uint64(n) != total.Delivered || total.Delivered+total.Dropped.LostInCrash+total.Dropped.Output+total.Dropped.Kernel != uint64(s.sent) || total.Dropped.LostInCrash == 0 {
		t.Errorf("%d records of %d sent: %+v", n, s.sent, total)
	}
	if code := next.terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// smallDisk is a folder for an ordinary user that holds 1 MiB.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := publicDir(t)
	if err := unix.Mount("udpshard-test", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("needs a small file system: run as root (CAP_SYS_ADMIN) to mount one: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// One with fewer shards that takes over while the disk is full, and so can't write
// what waits at the other sockets, can be stopped: the rest is counted as lost.
func TestStopAfterTakeoverWithFullDisk(t *testing.T) {
	file, address := filepath.Join(smallDisk(t), "records.json"), freePort(t)
	args := []string{"--listen", address, "--protocol", "raw", "--steer", "hash", "--standby-after", "10m", "--drain-timeout", "100ms",
		"--takeover", filepath.Join(publicDir(t), "takeover.sock"), "--output", "file:" + file, "--shards"}
	p := serving(t, ordinary, append(args, "3")...)
	next := p.startStandby(append(args, "1")...)
	p.halt()
	s := newSenders(t, address, 32)
	s.send(20_000, 100_000)
	p.cmd.Process.Kill()
	p.wait()
	eventually(t, "the disk is full", func() bool { return next.says("no space left on device") })
	if code := next.terminate(); code != cli.ExitFailed {
		t.Errorf("exit code %d", code)
	}
	received, delivered, kernel, lost := next.finalLedger()
	if received+kernel != uint64(s.sent) || delivered+lost != received || lost == 0 {
		t.Errorf("%d received, %d delivered, %d lost, %d dropped by the kernel, of %d sent", received, delivered, lost, kernel, s.sent)
	}
}

// A process that is killed while it is stopped has delivered what its files
// say, and the rest is lost in the crash.
func TestReplacedProcessIsKilled(t *testing.T) {
	dir := publicDir(t)
	file, address := filepath.Join(dir, "records.json"), freePort(t)
	args := []string{"--listen", address, "--shards", "2", "--steer", "hash", "--takeover", filepath.Join(dir, "takeover.sock"), "--output", "file:" + file}
	p := serving(t, ordinary, args...)
	next := p.startStandby(args...)
	report := sendingTo(t, address, "--rate", "80000", "--flows", "16", "--verify", file)
	eventually(t, "there is load", func() bool { return p.total().Received > 10_000 })
	p.halt()
	eventually(t, "it is replaced", func() bool { return next.says(`"message":"takeover finished`) })
	p.cmd.Process.Kill()
	p.wait()
	eventually(t, "its account is settled", func() bool { return next.says("replaced process ended") })
	r, total := report(), next.settled()
	if all := r.Records.Total; all.Arrived+total.Dropped.LostInCrash+total.Dropped.Kernel != r.Sent || all.Doubled > 0 || total.Delivered != all.Arrived {
		t.Errorf("%+v of %d sent; %+v", all, r.Sent, total)
	}
}

// Standbys queue up, whatever ends the active one, and each starts as one
// that finds nobody.
func TestStandbysQueueUp(t *testing.T) {
	dir := publicDir(t)
	file, address := filepath.Join(dir, "records.json"), freePort(t)
	args := []string{"--listen", address, "--shards", "2", "--steer", "hash", "--takeover", filepath.Join(dir, "takeover.sock"), "--output", "file:" + file}
	p := serving(t, ordinary, append([]string{"--standby"}, args...)...)
	queue := []*process{p}
	for range 4 {
		queue = append(queue, p.startStandby(args...))
	}
	report := sendingTo(t, address, "--rate", "80000", "--flows", "16", "--verify", file)
	eventually(t, "there is load", func() bool { return p.total().Received > 10_000 })
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL, syscall.SIGSTOP, syscall.SIGKILL} {
		active := 0
		eventually(t, "one is active", func() bool {
			for i, q := range queue {
				if q.cmd.Process.Pid == pid(p.http) {
					active = i
					return true
				}
			}
			return false
		})
		q := queue[active]
		q.reads()
		queue = append(queue[:active:active], queue[active+1:]...)
		for _, r := range queue {
			eventually(t, "the others stand by", func() bool { return r.says("standby started") })
			r.logs.Reset()
		}
		q.cmd.Process.Signal(sig)
		if sig == syscall.SIGTERM {
			if code := q.wait(); code != 0 {
				t.Errorf("it ended with %d", code)
			}
		}
		eventually(t, "another one is active", func() bool {
			took := 0
			for _, r := range queue {
				if r.says(`"message":"takeover finished`) {
					took++
				}
			}
			if took > 1 {
				t.Fatal("two have taken over")
			}
			return took == 1
		})
		if sig == syscall.SIGSTOP {
			q.cmd.Process.Signal(syscall.SIGCONT)
			if code := q.wait(); code != cli.ExitReplaced {
				t.Errorf("it ended with %d", code)
			}
			eventually(t, "what it had delivered is counted", func() bool {
				return slices.ContainsFunc(queue, func(r *process) bool { return r.says("replaced process ended") })
			})
		}
	}
	last := queue[0]
	r, total := report(), last.settled()
	if all := r.Records.Total; all.Arrived+total.Dropped.LostInCrash+total.Dropped.Kernel != r.Sent || all.Doubled > 0 {
		t.Errorf("%+v of %d sent; %+v", all, r.Sent, total)
	}
	if code := last.terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// pid is the process that answers at an HTTP address, 0 where none does.
func pid(address string) int {
	status, err := statusAt(address)
	if err != nil {
		return 0
	}
	return status.PID
}

// A standby that comes while the process that serves is stopped, with nothing
// waiting at its sockets, waits for it.
func TestStandbyWaitsForStoppedProcess(t *testing.T) {
	if testing.Short() {
		t.Skip("takes as long as an answer may take: 10 s")
	}
	dir := publicDir(t)
	args := []string{"--listen", freePort(t), "--shards", "2", "--takeover", filepath.Join(dir, "takeover.sock"), "--output", "discard"}
	p := serving(t, ordinary, args...)
	p.halt()
	next := launch(t, ordinary, append([]string{"serve", "--standby", "--http", p.http, "--log-format", "json"}, args...)...)
	eventually(t, "it says what it waits for", func() bool { return next.says("active process not answering") })
	if err := p.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it stands by", func() bool { return next.says("standby started") })
	if code := p.terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	eventually(t, "it takes over", func() bool { return next.says(`"message":"takeover finished`) })
	if code := next.terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// A standby with an HTTP address of its own says that it is one, and reads its
// file again on SIGHUP.
func TestStandbyRoleAndReload(t *testing.T) {
	dir, address := publicDir(t), freePort(t)
	args := []string{"--listen", address, "--output", "discard", "--takeover", filepath.Join(dir, "takeover.sock")}
	p := serving(t, ordinary, args...)
	own := freePort(t)
	next := launch(t, ordinary, append([]string{"serve", "--standby", "--http", own, "--log-format", "json"}, args...)...)
	next.http = own
	eventually(t, "it stands by", func() bool { return next.says("standby started") })
	if role := next.status().Role; role != metrics.Standby {
		t.Errorf("its role is %s", role)
	}
	if response, err := http.Get("http://" + own + "/readyz"); err != nil || response.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("%v, %v", response, err)
	}
	next.cmd.Process.Signal(syscall.SIGHUP)
	eventually(t, "it has reloaded, and waits again", func() bool { return strings.Count(next.logs.String(), "standby started") == 2 })
	if code := p.terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	eventually(t, "it is active", func() bool { return next.status().Role == metrics.Active })
	if code := next.terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
