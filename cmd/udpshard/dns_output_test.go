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

// longName makes records of some 400 bytes.
var longName = strings.Repeat("long.", 40)

// askMany asks count questions over UDP from each of four sockets, and returns how
// many were answered. Few are under way at a time, so that none is lost.
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

// askStreams does so over TCP, from one connection.
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
	moreThanHeld  = 8_000  // questions of each of four sockets: more than two shards hold records of
	streamsBeyond = 12_000 // and more than are held of those over TCP
)

// A pipe that nobody reads keeps no query from being answered, over UDP or TCP,
// and no shard from being ready. When it is read there are records again.
func TestDNSAnswersWithUnreadPipe(t *testing.T) {
	pipe, address := unreadPipe(t), freePort(t)
	p := startServe(t, asNobody, "--listen", address, "--protocol", "dns", "--shards", "2", "--output", "file:"+pipe)
	stop, looked := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(looked)
		for {
			status, err := statusAt(p.http)
			if err != nil {
				t.Error(err)
				return
			}
			for _, r := range status.Listeners[0].Shards {
				if !ledgerBalances(r) {
					t.Errorf("it does not add up: %+v", r)
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
		t.Errorf("%d answers to %d questions", asked, 4*moreThanHeld)
	}
	askStreams(t, address, streamsBeyond)
	close(stop)
	<-looked
	stuck := p.total()
	if stuck.Received != uint64(asked) || stuck.Replied != uint64(asked) || stuck.Dropped.Output == 0 || !ledgerBalances(stuck) {
		t.Errorf("%+v", stuck)
	}
	response, err := http.Get("http://" + p.http + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("it is not ready: %d", response.StatusCode)
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
				t.Errorf("no record: %.100q", lines.Bytes())
			case record.Shard != nil:
				ofShards.Add(1)
			default:
				ofStreams.Add(1)
			}
		}
	}()
	eventually(t, "what was held is written", func() bool { return p.total().InFlight == 0 })
	if r := p.total(); r.Dropped.Output != stuck.Dropped.Output || !ledgerBalances(r) {
		t.Errorf("%+v, and before %+v", r, stuck)
	}
	askMany(t, address, 100)
	askStreams(t, address, 100)
	p.waitForLog(recordsAgain)
	p.wantStop()
	<-ended
	received, delivered, _, lost := p.finalLedger()
	if received != uint64(asked+400) || delivered+lost != received || lost != stuck.Dropped.Output || delivered != uint64(ofShards.Load()) {
		t.Errorf("%d received, %d delivered, %d lost, %d records", received, delivered, lost, ofShards.Load())
	}
	if n := ofStreams.Load(); n < 100 || n >= streamsBeyond {
		t.Errorf("%d records of what came over TCP", n)
	}
	if n := strings.Count(p.logs.String(), dropsRecords); n != 1 {
		t.Errorf("%d log lines about one outage", n)
	}
}

// Nor does a disk that is full.
func TestDNSAnswersWithFullDisk(t *testing.T) {
	dir, address := smallDisk(t), freePort(t)
	file := filepath.Join(dir, "queries.json")
	p := startServe(t, asNobody, "--listen", address, "--protocol", "dns", "--shards", "2", "--output", "file:"+file)
	asked := askMany(t, address, 2*moreThanHeld)
	if asked != 8*moreThanHeld {
		t.Errorf("%d answers to %d questions", asked, 8*moreThanHeld)
	}
	full := p.total()
	if full.Received != uint64(asked) || full.Replied != uint64(asked) || full.Dropped.Output == 0 || full.InFlight == 0 || !ledgerBalances(full) {
		t.Errorf("%+v", full)
	}
	p.waitForLog("no space left on device", dropsRecords)
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT, "size=256m"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what was held is written", func() bool { return p.total().InFlight == 0 })
	askMany(t, address, 100)
	p.wantStop()
	received, delivered, _, lost := p.finalLedger()
	n := countLines(t, file, func(line []byte) {
		if !json.Valid(line) {
			t.Errorf("no record: %.100q", line)
		}
	})
	if received != uint64(asked+400) || delivered+lost != received || lost != full.Dropped.Output || delivered != uint64(n) {
		t.Errorf("%d received, %d delivered, %d lost, %d records", received, delivered, lost, n)
	}
}

// An output that takes nothing does not keep a process from ending: what it had
// not taken is counted as lost.
func TestDNSStopsWithBlockedOutput(t *testing.T) {
	address := freePort(t)
	p := startServe(t, asNobody, "--listen", address, "--protocol", "dns", "--shards", "2", "--output", "file:"+unreadPipe(t), "--drain-timeout", "300ms")
	asked := askMany(t, address, moreThanHeld)
	askStreams(t, address, 100)
	began := time.Now()
	if code := p.terminate(); code != cli.ExitFailed || !p.hasLogged("could not write everything in time") {
		t.Errorf("exit code %d", code)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
	received, delivered, _, lost := p.finalLedger()
	if received != uint64(asked) || delivered+lost != received || regexp.MustCompile(`"in_flight":[1-9].*"final ledger"`).MatchString(p.logs.String()) {
		t.Errorf("%d received, %d delivered, %d lost", received, delivered, lost)
	}
}

// Nor from answering on, when it can't hand over what its output does not take.
func TestDNSRefusesUpgradeWithBlockedOutput(t *testing.T) {
	pipe, address := unreadPipe(t), freePort(t)
	args := takeoverArgs(publicDir(t), address, "--protocol", "dns", "--shards", "2", "--output", "file:"+pipe, "--drain-timeout", "300ms")
	p := startServe(t, asNobody, args...)
	asked := askMany(t, address, moreThanHeld)
	next := p.launchSuccessor(args...)
	if code := next.wait(); code != cli.ExitFailed || !next.hasLogged("records are still on their way to the outputs") {
		t.Errorf("the successor ends with %d", code)
	}
	asked += askMany(t, address, 100)
	askStreams(t, address, 10)
	eventually(t, "the last answers are counted, which the client has before", func() bool { return p.total().Replied == uint64(asked) })
	if r := p.total(); r.Received != uint64(asked) || r.Replied != uint64(asked) || !ledgerBalances(r) {
		t.Errorf("%+v of %d", r, asked)
	}
	p.terminate()
	if received, delivered, _, lost := p.finalLedger(); received != uint64(asked) || delivered+lost != received {
		t.Errorf("%d received of %d, %d delivered, %d lost", received, asked, delivered, lost)
	}
}

// A standby sees nothing amiss in a process that drops records. When that one is
// killed, what it held is lost with it, and what it had dropped is not.
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
		t.Fatal("it was taken for stuck")
	}
	held := p.total()
	if held.Received != uint64(asked) || held.InFlight == 0 || held.Dropped.Output == 0 || !ledgerBalances(held) {
		t.Errorf("%+v of %d", held, asked)
	}
	p.kill()
	next.waitForLog(`"message":"listening"`)
	asked += askMany(t, address, 100)
	r := next.total()
	if r.Received != uint64(asked) || r.Dropped.LostInCrash != held.InFlight || r.Dropped.Output < held.Dropped.Output ||
		r.Received != r.Delivered+r.InFlight+r.Dropped.Output+r.Dropped.LostInCrash {
		t.Errorf("%+v, and before %+v", r, held)
	}
}
