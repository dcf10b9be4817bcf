package main

import (
	"bufio"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/cli"
)

// longName makes records of about 400 bytes.
var longName = strings.Repeat("long.", 40)

// askMany asks count questions over UDP from each of four sockets, at most 16 at a time, and
// returns the number of answers.
func askMany(t *testing.T, address string, count int) int {
	t.Helper()
	question, err := newQuery(longName, dns.TypeA).Pack()
	if err != nil {
		t.Fatal(err)
	}
	var answered atomic.Int64
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			conn, err := net.Dial("udp", address)
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			const atOnce = 16
			answer := make([]byte, 1500)
			for left := count; left > 0; left -= atOnce {
				for range min(left, atOnce) {
					if _, err := conn.Write(question); err != nil {
						t.Error(err)
						return
					}
				}
				conn.SetReadDeadline(time.Now().Add(10 * time.Second))
				for range min(left, atOnce) {
					if _, err := conn.Read(answer); err != nil {
						t.Error(err)
						return
					}
					answered.Add(1)
				}
			}
		})
	}
	all.Wait()
	return int(answered.Load())
}

// askStreams asks count questions over a TCP connection.
func askStreams(t *testing.T, address string, count int) {
	t.Helper()
	conn, err := dns.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	question := newQuery(longName, dns.TypeA)
	for i := range count {
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		if err := conn.WriteMsg(question); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.ReadMsg(); err != nil {
			t.Fatalf("question %d over TCP: %v", i, err)
		}
	}
}

const (
	dropsRecords  = "output dropping records"
	recordsAgain  = "output accepting records again"
	moreThanHeld  = 8_000  // questions from each of four sockets: more records than two shards hold
	streamsBeyond = 12_000 // questions over TCP: more records than are held
)

// The output is a pipe without a reader: all queries over UDP and TCP are answered, the process
// stays ready, and records of queries are dropped and counted. With a reader, records are written
// again.
func TestDNSAnswersWithUnreadPipe(t *testing.T) {
	t.Parallel() // waits more than it works
	pipe, address := unreadPipe(t), freePort(t)
	p := startServe(t, asNobody, "--listen", address, "--protocol", "dns", "--shards", "2", "--output", "file:"+pipe)
	stop, checked := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(checked)
		for {
			status, err := statusAt(p.http)
			if err != nil {
				t.Error(err)
				return
			}
			for _, r := range status.Listeners[0].Shards {
				if !ledgerBalances(r) {
					t.Errorf("the ledger does not balance: %+v", r)
				}
			}
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
		}
	}()
	asked := askMany(t, address, moreThanHeld)
	if asked != 4*moreThanHeld {
		t.Errorf("got %d answers to %d questions", asked, 4*moreThanHeld)
	}
	askStreams(t, address, streamsBeyond)
	close(stop)
	<-checked
	blocked := p.total()
	if blocked.Received != uint64(asked) || blocked.Replied != uint64(asked) || blocked.Dropped.Output == 0 || !ledgerBalances(blocked) {
		t.Errorf("got %+v, want %d received and replied, and some dropped at the output", blocked, asked)
	}
	response, err := http.Get("http://" + p.http + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("got %d of /readyz, want 200", response.StatusCode)
	}

	reader, err := os.Open(pipe)
	if err != nil {
		t.Fatal(err)
	}
	var ofShards, ofStreams atomic.Int64
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer reader.Close()
		lines := bufio.NewScanner(reader)
		for lines.Scan() {
			var record struct {
				Name  string
				Shard *int
			}
			switch err := json.Unmarshal(lines.Bytes(), &record); {
			case err != nil || record.Name != longName:
				t.Errorf("bad record %.100q", lines.Bytes())
			case record.Shard != nil:
				ofShards.Add(1)
			default:
				ofStreams.Add(1)
			}
		}
	}()
	eventually(t, "held records are written", func() bool { return p.total().InFlight == 0 })
	if r := p.total(); r.Dropped.Output != blocked.Dropped.Output || !ledgerBalances(r) {
		t.Errorf("got %+v, want no more drops than %+v", r, blocked)
	}
	askMany(t, address, 100)
	askStreams(t, address, 100)
	p.waitForLog(recordsAgain)
	p.wantStop()
	<-ended
	received, delivered, _, lost := p.finalLedger()
	if received != uint64(asked+400) || delivered+lost != received || lost != blocked.Dropped.Output || delivered != uint64(ofShards.Load()) {
		t.Errorf("got %d received, %d delivered, %d lost, %d records", received, delivered, lost, ofShards.Load())
	}
	if n := ofStreams.Load(); n < 100 || n >= streamsBeyond {
		t.Errorf("got %d records of queries over TCP", n)
	}
	if n := strings.Count(p.logs.String(), dropsRecords); n != 1 {
		t.Errorf("got %d log lines about an outage, want 1", n)
	}
}

// The output is a file on a full disk: all queries are answered, and dropped records are counted.
// With space, held records are written.
func TestDNSAnswersWithFullDisk(t *testing.T) {
	dir, address := smallDisk(t), freePort(t)
	file := filepath.Join(dir, "queries.json")
	p := startServe(t, asNobody, "--listen", address, "--protocol", "dns", "--shards", "2", "--output", "file:"+file)
	asked := askMany(t, address, 2*moreThanHeld)
	if asked != 8*moreThanHeld {
		t.Errorf("got %d answers to %d questions", asked, 8*moreThanHeld)
	}
	full := p.total()
	if full.Received != uint64(asked) || full.Replied != uint64(asked) || full.Dropped.Output == 0 || full.InFlight == 0 || !ledgerBalances(full) {
		t.Errorf("got %+v, want %d received and replied, some dropped at the output, some in flight", full, asked)
	}
	p.waitForLog("no space left on device", dropsRecords)
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT, "size=256m"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "held records are written", func() bool { return p.total().InFlight == 0 })
	askMany(t, address, 100)
	p.wantStop()
	received, delivered, _, lost := p.finalLedger()
	n := countLines(t, file, func(line []byte) {
		if !json.Valid(line) {
			t.Errorf("bad record %.100q", line)
		}
	})
	if received != uint64(asked+400) || delivered+lost != received || lost != full.Dropped.Output || delivered != uint64(n) {
		t.Errorf("got %d received, %d delivered, %d lost, %d records", received, delivered, lost, n)
	}
}

// SIGTERM to a process with a blocked output: the process ends after --drain-timeout, and counts
// unwritten records as lost.
func TestDNSStopsWithBlockedOutput(t *testing.T) {
	address := freePort(t)
	p := startServe(t, asNobody, "--listen", address, "--protocol", "dns", "--shards", "2", "--output", "file:"+unreadPipe(t), "--drain-timeout", "300ms")
	asked := askMany(t, address, moreThanHeld)
	askStreams(t, address, 100)
	began := time.Now()
	if code := p.terminate(); code != cli.ExitFailed || !p.hasLogged("could not write everything in time") {
		t.Errorf("got exit code %d, want %d and the timeout in the log", code, cli.ExitFailed)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the process ended after %s, want at most 5s", took)
	}
	received, delivered, _, lost := p.finalLedger()
	if received != uint64(asked) || delivered+lost != received || regexp.MustCompile(`"in_flight":[1-9].*"final ledger"`).MatchString(p.logs.String()) {
		t.Errorf("got %d received of %d, %d delivered, %d lost", received, asked, delivered, lost)
	}
}

// A process with a blocked output can't hand over its records: the successor exits, and the active
// process answers on.
func TestDNSRefusesUpgradeWithBlockedOutput(t *testing.T) {
	pipe, address := unreadPipe(t), freePort(t)
	args := takeoverArgs(publicDir(t), address, "--protocol", "dns", "--shards", "2", "--output", "file:"+pipe, "--drain-timeout", "300ms")
	p := startServe(t, asNobody, args...)
	asked := askMany(t, address, moreThanHeld)
	next := p.launchSuccessor(args...)
	if code := next.wait(); code != cli.ExitFailed || !next.hasLogged("records are still on their way to the outputs") {
		t.Errorf("got exit code %d of the successor, want 1 and the reason in its log", code)
	}
	asked += askMany(t, address, 100)
	askStreams(t, address, 10)
	eventually(t, "all answers are counted: the client gets an answer earlier", func() bool { return p.total().Replied == uint64(asked) })
	if r := p.total(); r.Received != uint64(asked) || r.Replied != uint64(asked) || !ledgerBalances(r) {
		t.Errorf("got %+v, want %d received and replied", r, asked)
	}
	p.terminate()
	if received, delivered, _, lost := p.finalLedger(); received != uint64(asked) || delivered+lost != received {
		t.Errorf("got %d received of %d, %d delivered, %d lost", received, asked, delivered, lost)
	}
}

// The active process drops records at a blocked output: no reason for its standby to take over.
// After a kill, the standby counts held records as lost in the crash, and dropped records as
// before.
func TestDNSKilledWithBlockedOutput(t *testing.T) {
	pipe, address := unreadPipe(t), freePort(t)
	args := takeoverArgs(publicDir(t), address, "--protocol", "dns", "--shards", "2", "--output", "file:"+pipe, "--standby-after", "2s")
	p := startServe(t, asNobody, args...)
	next := p.startStandby(args...)
	asked := askMany(t, address, moreThanHeld)
	for began := time.Now(); time.Since(began) < 3*time.Second; {
		asked += askMany(t, address, 100)
	}
	if next.hasTakenOver() {
		t.Fatal("the standby took over from a process that drops records")
	}
	held := p.total()
	if held.Received != uint64(asked) || held.InFlight == 0 || held.Dropped.Output == 0 || !ledgerBalances(held) {
		t.Errorf("got %+v, want %d received, some in flight, some dropped at the output", held, asked)
	}
	p.kill()
	next.waitForLog(`"message":"listening"`)
	asked += askMany(t, address, 100)
	r := next.total()
	if r.Received != uint64(asked) || r.Dropped.LostInCrash != held.InFlight || r.Dropped.Output < held.Dropped.Output ||
		r.Received != r.Delivered+r.InFlight+r.Dropped.Output+r.Dropped.LostInCrash {
		t.Errorf("got %+v after the crash, %+v before", r, held)
	}
}
