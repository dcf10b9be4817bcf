package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/udpshard/udpshard/metrics"
)

// targetArgs are the arguments of serve with targets.
func targetArgs(t *testing.T, targets ...string) (address string, args []string) {
	t.Helper()
	address = freePort(t)
	spool := filepath.Join(t.TempDir(), "spool")
	args = []string{"--listen", address, "--shards", "1", "--spool", spool}
	for _, to := range targets {
		args = append(args, "--to", to)
	}
	return address, args
}

// outputs returns the ledgers of the targets by URL, whose equations must hold.
func (p *process) outputs() map[string]metrics.Output {
	p.t.Helper()
	list := make(map[string]metrics.Output)
	for _, o := range p.status().Listeners[0].Outputs {
		if o.Spooled != o.Acknowledged+o.Waiting+o.Rejected+o.Expired {
			p.t.Errorf("%+v", o)
		}
		list[o.To] = o
	}
	return list
}

// startHTTP starts a server of a test.
func startHTTP(t *testing.T, handler http.HandlerFunc) *http.Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Addr: l.Addr().String(), Handler: handler}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	return server
}

// A dead target and a slow one do not delay a target that is well. The dead target is one line in
// the log at once, and one when it is back.
func TestDeadAndSlowTargetsDelayNoOther(t *testing.T) {
	well := startCollector(t, freePort(t), nil)
	well.awaitListening()
	slow := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		time.Sleep(400 * time.Millisecond)
	})
	dead := freePort(t)
	toWell, toSlow, toDead := "tcp://"+well.address, "http://"+slow.Addr, "tcp://"+dead
	address, args := targetArgs(t, toDead, toSlow, toWell)
	p := startServe(t, nil, args...)
	s := newSenders(t, address, 4)
	behind := 0.0
	for began := time.Now(); time.Since(began) < stallTime(); {
		s.send(s.sent+250, 5_000)
		behind = max(behind, p.outputs()[toWell].OldestWaiting)
	}
	if behind > 1 {
		t.Errorf("the well target was %v s behind", behind)
	}
	p.waitForLedger(s.sent)
	eventually(t, "the well target has everything", func() bool {
		return p.outputs()[toWell].Waiting == 0
	})
	now := p.outputs()
	if o := now[toDead]; o.Waiting != uint64(s.sent) || o.LastError == "" || o.Retries < 3 {
		t.Errorf("%+v", o)
	}
	if n := len(p.logLines("target failing")); n != 1 {
		t.Errorf("%d log lines about the dead target", n)
	}
	back := startCollector(t, dead, nil)
	eventually(t, "all targets have everything", func() bool {
		for _, o := range p.outputs() {
			if o.Acknowledged != uint64(s.sent) {
				return false
			}
		}
		return true
	})
	p.waitForLog(`"message":"target recovered`)
	p.wantStop()
	if n := len(p.logLines("target failing")) + len(p.logLines("target recovered")); n != 2 {
		t.Errorf("%d log lines about the dead target", n)
	}
	wantRecords(t, well, uint64(s.sent), 0)
	wantRecords(t, back, uint64(s.sent), 0)
}

// cpu returns the CPU time of all threads (proc_pid_schedstat(5)).
func (p *process) cpu() (used time.Duration) {
	p.t.Helper()
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p.pid()))
	for _, thread := range threads {
		text, _ := os.ReadFile(thread) // "": the thread has ended
		var d time.Duration
		fmt.Sscan(string(text), &d)
		used += d
	}
	return used
}

// Dead targets cost under 1% of a core each, and each is one line in the log.
func TestDeadTargetsCostNothing(t *testing.T) {
	var targets []string
	for _, url := range []string{"tcp://%s", "tls://%s", "relp://%s", "http://%s", "nats://%s/logs",
		"kafka://%s/logs"} {
		targets = append(targets, fmt.Sprintf(url, freePort(t)))
	}
	address, args := targetArgs(t, targets...)
	p := startServe(t, nil, args...)
	newSenders(t, address, 1).send(1_000, 0)
	p.waitForDelivered(1_000)
	eventually(t, "each target is in the log", func() bool {
		return len(p.logLines("target failing")) == len(targets)
	})
	const window = 2 * time.Second
	before, began := p.cpu(), time.Now()
	time.Sleep(window)
	used, most := p.cpu()-before, time.Since(began)*time.Duration(len(targets))/100
	if used > most {
		t.Errorf("%v of CPU in %v, want at most %v", used, time.Since(began), most)
	}
	for to, o := range p.outputs() {
		if o.Retries < 2 || o.LastError == "" || o.Waiting != 1_000 {
			t.Errorf("%s: %+v", to, o)
		}
	}
	p.wantStop()
	if n := len(p.logLines("target failing")); n != len(targets) {
		t.Errorf("%d log lines about %d targets", n, len(targets))
	}
}

// A target that dies while records come is in the log within 2 s.
func TestDeathIsLoggedAtOnce(t *testing.T) {
	t.Parallel()
	type server struct {
		url  string
		kill func()
	}
	starts := map[string]func(t *testing.T) server{
		"tcp": func(t *testing.T) server {
			c := startCollector(t, freePort(t), nil)
			return server{"tcp://" + c.address, func() { c.signal(syscall.SIGKILL) }}
		},
		"http": func(t *testing.T) server {
			h := startHTTP(t, func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) })
			return server{"http://" + h.Addr, func() { h.Close() }}
		},
	}
	for name, newBroker := range brokers {
		starts[name] = func(t *testing.T) server {
			b := newBroker(t)
			b.start(t)
			return server{b.url(), b.kill}
		}
	}
	for name, start := range starts {
		t.Run(name, func(t *testing.T) {
			to := start(t)
			address, args := targetArgs(t, to.url)
			p := startServe(t, nil, args...)
			s := newSenders(t, address, 4)
			eventually(t, "records are shipped", func() bool {
				s.send(s.sent+250, 5_000)
				return p.target().Acknowledged > 500
			})
			to.kill()
			died := time.Now()
			for !p.hasLogged(`"message":"target failing`) {
				if time.Since(died) > 3*time.Second {
					t.Fatal("3 s after the death of the target the log has nothing")
				}
				s.send(s.sent+100, 5_000)
			}
			p.wantStop()
		})
	}
}

// startFickle starts a TCP server that closes each connection after the first line.
func startFickle(t *testing.T, accepted *atomic.Int64) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			accepted.Add(1)
			go func() {
				bufio.NewReaderSize(conn, 1<<20).ReadString('\n')
				conn.Close()
			}()
		}
	}()
	return l.Addr().String()
}

// Reconnects leave neither goroutines nor descriptors.
func TestThousandReconnects(t *testing.T) {
	t.Parallel()
	var accepted, others atomic.Int64
	var targets []string
	for range 12 {
		targets = append(targets, "tcp://"+startFickle(t, &accepted))
		h := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
			accepted.Add(1)
			io.Copy(io.Discard, r.Body)
		})
		h.SetKeepAlivesEnabled(false)
		targets = append(targets, "http://"+h.Addr)
	}
	for _, url := range []string{"tls://%s", "relp://%s", "nats://%s/logs", "kafka://%s/logs"} {
		targets = append(targets, fmt.Sprintf(url, startFickle(t, &others)))
	}
	address, args := targetArgs(t, targets...)
	p := startServe(t, nil, args...)
	s := newSenders(t, address, 1)
	until := func(n int64) {
		t.Helper()
		eventually(t, fmt.Sprintf("%d connections", n), func() bool {
			s.send(s.sent+1, 200)
			return accepted.Load() >= n
		})
	}
	until(100)
	goroutines, descriptors := p.goroutines(), p.descriptors()
	until(1_100)
	const noise = 8 // of attempts that are under way
	eventually(t, "goroutines and descriptors are as before", func() bool {
		return p.goroutines() <= goroutines+noise && p.descriptors() <= descriptors+noise
	})
	p.wantStop()
}

func (p *process) goroutines() (n int) {
	p.t.Helper()
	_, after, _ := strings.Cut(p.metrics(), "\ngo_goroutines ")
	if _, err := fmt.Sscan(after, &n); err != nil {
		p.t.Fatal(err)
	}
	return n
}

func (p *process) descriptors() int {
	p.t.Helper()
	names, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.pid()))
	if err != nil {
		p.t.Fatal(err)
	}
	return len(names)
}
