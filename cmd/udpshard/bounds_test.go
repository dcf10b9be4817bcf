package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/cli"
)

// replaceByPipe puts a pipe that nobody writes to in a file's place, and returns what
// puts the file back.
func replaceByPipe(t *testing.T, path string) (undo func()) {
	t.Helper()
	away := path + ".away"
	if err := errors.Join(os.Rename(path, away), unix.Mkfifo(path, 0o666), os.Chmod(path, 0o666)); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := os.Rename(away, path); err != nil {
			t.Fatal(err)
		}
	}
}

// A reload that finds a pipe where a file was, be it the configuration, a zone, or what
// a zone includes, is refused, and the next one is heard.
func TestReloadRefusesPipe(t *testing.T) {
	dir := publicDir(t)
	path := func(name string) string { return filepath.Join(dir, name) }
	address := freePort(t)
	for name, text := range map[string]string{
		"serve.yaml": fmt.Sprintf("http: ''\nlog: {format: json}\nlisteners:\n  - {address: %s, protocol: dns, shards: 1, zone: %s, output: 'file:%s'}\n",
			address, path("zone"), path("records")),
		"zone":     "$ORIGIN t.\n$TTL 60\n@ SOA ns host 1 2 3 4 5\n@ NS ns\n$INCLUDE included\n",
		"included": "www A 192.0.2.1\n",
	} {
		if err := os.WriteFile(path(name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	p := launch(t, ordinary, "serve", "--config", path("serve.yaml"))
	p.wantSaid(`"message":"listening"`)
	for _, name := range []string{"serve.yaml", "zone", "included"} {
		p.logs.Reset()
		undo := replaceByPipe(t, path(name))
		p.cmd.Process.Signal(unix.SIGHUP)
		p.wantSaid("reload refused", name+": not a regular file")
		undo()
		if err := os.Rename(path("records"), path("records."+name)); err != nil {
			t.Fatal(err)
		}
		p.cmd.Process.Signal(unix.SIGHUP)
		p.wantSaid("reload finished")
		eventually(t, "the output is opened anew", func() bool {
			_, err := os.Stat(path("records"))
			return err == nil
		})
	}
	if code := p.terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	undo := replaceByPipe(t, path("serve.yaml"))
	defer undo()
	if code := launch(t, ordinary, "serve", "--config", path("serve.yaml")).wait(); code != cli.ExitConfig {
		t.Errorf("started with a pipe: exit code %d", code)
	}
}

// A standby whose reload finds a pipe refuses it, and takes over all the same.
func TestStandbyReloadRefusesPipe(t *testing.T) {
	dir, address := publicDir(t), freePort(t)
	socket, file := filepath.Join(dir, "takeover.sock"), filepath.Join(dir, "standby.yaml")
	text := "http: ''\nstandby: true\ntakeover: " + socket + "\nlog: {format: json}\nlisteners:\n  - {address: " + address + ", shards: 1, output: discard}\n"
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	p := serving(t, ordinary, "--listen", address, "--shards", "1", "--takeover", socket, "--output", "discard")
	standby := launch(t, ordinary, "serve", "--config", file)
	standby.wantSaid("standby started")
	undo := replaceByPipe(t, file)
	standby.cmd.Process.Signal(unix.SIGHUP)
	standby.wantSaid("reload refused", "standby.yaml: not a regular file")
	undo()
	standby.cmd.Process.Signal(unix.SIGHUP)
	eventually(t, "it has reloaded", func() bool { return strings.Count(standby.logs.String(), "standby started") == 2 })
	p.cmd.Process.Kill()
	standby.wantSaid(`"message":"takeover finished`)
	if code := standby.terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// fullPipe is a pipe that takes nothing and that nobody reads.
func fullPipe(t *testing.T) (writer *os.File) {
	t.Helper()
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(ends[0]) })
	writer = os.NewFile(uintptr(ends[1]), "pipe")
	t.Cleanup(func() { writer.Close() })
	if err := unix.SetNonblock(ends[1], true); err != nil {
		t.Fatal(err)
	}
	for size := 4096; size > 0; size /= 2 {
		for {
			if _, err := unix.Write(ends[1], make([]byte, size)); err != nil {
				break
			}
		}
	}
	if err := unix.SetNonblock(ends[1], false); err != nil {
		t.Fatal(err)
	}
	return writer
}

// A process that can't go on, and whose standard error takes nothing, exits all the same,
// and its standby goes on.
func TestFailedServeExitsWithUnreadStderr(t *testing.T) {
	dir, address := publicDir(t), freePort(t)
	args := []string{"--listen", address, "--protocol", "raw", "--shards", "1", "--takeover", filepath.Join(dir, "takeover.sock")}
	reader, records, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer records.Close()
	p := serving(t, func(cmd *exec.Cmd) {
		ordinary(cmd)
		cmd.Stdout, cmd.Stderr = records, fullPipe(t)
	}, append(args, "--output", "stdout")...)
	standby := p.startStandby(append(args, "--output", "discard")...)
	reader.Close()
	newSenders(t, address, 1).send(10, 0) // and there is nobody to read their records
	began := time.Now()
	standby.wantSaid(`"message":"takeover finished`)
	t.Logf("another one goes on after %s", time.Since(began))
	if code := p.wait(); code != cli.ExitFailed {
		t.Errorf("exit code %d", code)
	}
	newSenders(t, address, 1).send(20, 0)
	eventually(t, "it reads", func() bool { return standby.total().Received >= 20 })
	if code := standby.terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// A command whose standard error takes nothing ends with its exit code.
func TestUsageErrorExitsWithUnreadStderr(t *testing.T) {
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"serve", "--no-such-flag"}, {"no-such-command"}, {"serve", "--listen", "127.0.0.1:0", "--output", "file:/no/such/folder/x"}} {
		cmd := exec.Command(path, args...)
		cmd.Stderr = fullPipe(t)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := time.AfterFunc(30*time.Second, func() { cmd.Process.Signal(syscall.SIGKILL) })
		cmd.Wait()
		if !ended.Stop() || cmd.ProcessState.ExitCode() <= 0 {
			t.Errorf("%v: it ended with %s", args, cmd.ProcessState)
		}
	}
}

// A lock on the takeover path's folder is what any user can take who may read the folder:
// it keeps no process from starting, and no standby from reading at once.
func TestLockedTakeoverFolder(t *testing.T) {
	dir, address := publicDir(t), freePort(t)
	folder, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	if err := unix.Flock(int(folder.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		t.Fatal(err)
	}
	args := []string{"--listen", address, "--protocol", "discard", "--shards", "1", "--takeover", filepath.Join(dir, "takeover.sock")}
	p := serving(t, ordinary, args...)
	standby := p.startStandby(args...)
	began := time.Now()
	p.cmd.Process.Kill()
	newSenders(t, address, 1).send(100, 0)
	standby.wantSaid(`"message":"takeover finished`)
	eventually(t, "it reads", func() bool { return standby.total().Received == 100 })
	t.Logf("it reads %s after the kill", time.Since(began))
	if standby.says("takeover path unavailable") {
		t.Error("it has no takeover path")
	}
	if code := standby.terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("what is left: %v, %v", left, err)
	}
}

// A standby whose takeover path another process of its user keeps locked reads at once,
// and takes the path when that is free.
func TestStandbyReadsWhileTakeoverPathIsLocked(t *testing.T) {
	for name, end := range map[string]func(*process){
		"of one that dies":  func(p *process) { p.cmd.Process.Kill() },
		"of one that hangs": func(p *process) { p.halt() },
	} {
		t.Run(name, func(t *testing.T) {
			dir, address := publicDir(t), freePort(t)
			socket := filepath.Join(dir, "takeover.sock")
			args := []string{"--listen", address, "--protocol", "discard", "--shards", "1", "--takeover", socket}
			p := serving(t, ordinary, args...)
			standby := p.startStandby(append(args, "--standby-after", "250ms")...)
			lock, err := os.OpenFile(socket+".lock", os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer lock.Close()
			if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
				t.Fatal(err)
			}
			end(p)
			newSenders(t, address, 1).send(100, 0)
			standby.wantSaid(`"message":"takeover finished`, "takeover path unavailable")
			eventually(t, "it reads", func() bool { return standby.total().Received == 100 })
			if standby.says("takeover path available") {
				t.Error("it has the path, which is locked")
			}
			lock.Close()
			standby.wantSaid("takeover path available")
			next := standby.startStandby(args...)
			if code := standby.terminate(); code != 0 {
				t.Errorf("exit code %d", code)
			}
			next.wantSaid(`"message":"takeover finished`)
			if name == "of one that hangs" {
				p.cmd.Process.Signal(unix.SIGCONT)
				if code := p.wait(); code != cli.ExitReplaced {
					t.Errorf("the one that hung ended with %d", code)
				}
			}
			if code := next.terminate(); code != 0 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

// A takeover path whose socket others may replace is refused, and the log says what
// others can reach of one that is taken.
func TestTakeoverPathInSharedFolder(t *testing.T) {
	dir := publicDir(t)
	args := []string{"serve", "--listen", freePort(t), "--http", "", "--log-format", "json", "--shards", "1", "--output", "discard", "--takeover", filepath.Join(dir, "takeover.sock")}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	p := launch(t, ordinary, args...)
	if code := p.wait(); code != cli.ExitUsage || !p.says("udpshard: error: --takeover: other users may write to the folder "+dir) ||
		!p.says("udpshard: hint: chmod go-w "+dir) {
		t.Errorf("exit code %d", code)
	}
	if err := os.Chmod(dir, 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	p = launch(t, ordinary, args...)
	p.wantSaid("takeover path reachable by other users", "other users may create files in "+dir)
	if code := p.terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// Two processes that take each other for stalled again and again wait longer and longer,
// and what has happened goes along: the counts, and the patience.
func TestRepeatedTakeoversDoublePatience(t *testing.T) {
	const after = 100 * time.Millisecond
	dir, address := publicDir(t), freePort(t)
	args := []string{"--listen", address, "--protocol", "discard", "--shards", "1", "--takeover", filepath.Join(dir, "takeover.sock"), "--standby-after", after.String()}
	p := serving(t, ordinary, args...)
	var stalled uint64
	last := time.Time{}
	for {
		next := p.startStandby(args...)
		p.halt()
		newSenders(t, address, 1).send(100, 0)
		next.wantSaid(`"reason":"stalled"`)
		stalled++
		var line struct{ Patience, NextPatience, Reason string }
		for text := range strings.Lines(next.logs.String()) {
			var of struct {
				Message      string
				Patience     string
				NextPatience string `json:"next_patience"`
				Stalled      string
			}
			if json.Unmarshal([]byte(text), &of) == nil && strings.HasPrefix(of.Message, "takeover finished") {
				line.Patience, line.NextPatience, line.Reason = of.Patience, of.NextPatience, of.Stalled
			}
		}
		_, away, _ := strings.Cut(line.Reason, "has not read for ")
		away, _, _ = strings.Cut(away, ",")
		waited, err := time.ParseDuration(away)
		patience, wrong := time.ParseDuration(line.Patience)
		if err != nil || wrong != nil || waited < patience {
			t.Errorf("it has waited for %s where its patience is %s: %s", waited, patience, line.Reason)
		}
		p.cmd.Process.Signal(unix.SIGCONT)
		if code := p.wait(); code != cli.ExitReplaced {
			t.Errorf("exit code %d", code)
		}
		status := next.status().Takeovers
		if status.Stalled != stalled || status.Last == nil || status.Last.Reason != "stalled" || status.Upgrade+status.Stop+status.Died+status.Restart != 0 {
			t.Errorf("after %d: %+v", stalled, status)
		}
		gap := time.Since(last)
		p, last = next, time.Now()
		t.Logf("takeover %d: %+v", stalled, line)
		if stalled >= 3 && line.Patience == (2*after).String() && line.NextPatience == (4*after).String() {
			break // the second doubled it, and the third again
		}
		if stalled >= 3 && gap < 20*time.Second || stalled == 10 {
			t.Fatalf("%d takeovers within a minute, and the patience is %+v", stalled, line)
		}
	}
	if got := counters(t, p.http)[`udpshard_takeovers_total{reason="stalled"`]; got != float64(stalled) {
		t.Errorf("the metric is %v", got)
	}
	next := p.startStandby(args...)
	if code := p.terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	eventually(t, "it is the one that answers", func() bool { return pid(next.http) == next.cmd.Process.Pid })
	next = next.succeeding(args...)
	dead := next.startStandby(args...)
	next.cmd.Process.Kill()
	dead.wantSaid(`"reason":"died"`)
	eventually(t, "it is the one that answers", func() bool { return pid(dead.http) == dead.cmd.Process.Pid })
	if got := dead.status().Takeovers; got.Stalled != stalled || got.Stop != 1 || got.Upgrade != 1 || got.Died != 1 || got.Last.Reason != "died" {
		t.Errorf("%+v", got)
	}
}

// A shard that waits for an output that takes nothing is let go at the end of --drain-timeout.
func TestDrainTimeoutWithBlockedOutput(t *testing.T) {
	address := freePort(t)
	p := serving(t, ordinary, "--listen", address, "--protocol", "raw", "--shards", "1",
		"--output", "file:"+unreadPipe(t), "--drain-timeout", "300ms")
	s := newSenders(t, address, 8)
	s.send(40_000, 100_000)
	eventually(t, "the shard waits for its output", func() bool { return p.total().QueueBytes > 0 })
	ended := make(chan int, 1)
	go func() { ended <- p.terminate() }()
	select {
	case code := <-ended:
		if code != cli.ExitFailed || !p.says("could not write everything in time") {
			t.Errorf("exit code %d", code)
		}
	case <-time.After(20 * time.Second):
		p.cmd.Process.Kill()
		t.Fatal("it does not end")
	}
	received, delivered, _, lost := p.finalLedger()
	if received == 0 || delivered+lost != received {
		t.Errorf("%d received, %d delivered, %d lost", received, delivered, lost)
	}
}

// A handover waits for records that are on their way to an output, for longer than it would keep
// those who ask from their answers.
func TestHandoverWaitsForRecords(t *testing.T) {
	pipe, address := unreadPipe(t), freePort(t)
	args := []string{"--listen", address, "--protocol", "raw", "--shards", "1", "--output", "file:" + pipe,
		"--takeover", filepath.Join(publicDir(t), "takeover.sock")}
	p := serving(t, ordinary, args...)
	s := newSenders(t, address, 1)
	const sent = 1000 // more than a pipe holds, and less than the shard's buffers do
	s.send(sent, 20_000)
	eventually(t, "all are recorded", func() bool { return p.total().Received == sent })
	if p.total().InFlight == 0 {
		t.Fatal("the pipe holds them all")
	}
	next := launch(t, ordinary, append([]string{"serve", "--http", p.http, "--log-format", "json"}, args...)...)
	next.http = p.http
	p.wantSaid("successor connected")
	time.Sleep(1500 * time.Millisecond) // three times what it waits where only records of queries are under way
	if p.says("handover failed") || next.says("error") {
		t.Fatal("the handover is given up")
	}
	file, err := os.Open(pipe)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	go io.Copy(io.Discard, file)
	next.wantSaid(`"message":"takeover finished`)
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if r := next.total(); r.Received != sent || r.Delivered != sent {
		t.Errorf("%d received, %d delivered of %d", r.Received, r.Delivered, sent)
	}
}
