package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/metrics"
)

// Steering needs no privilege: all tests run the program as the user nobody.

// A sender with 90% of the load: by hash, a shard gets the whole load of the sender; by auto, the
// sender is sprayed over the shards. The status names the sender, and no datagram is lost.
func TestHeavySenderIsSprayed(t *testing.T) {
	for _, mode := range []string{"hash", "auto"} {
		t.Run(mode, func(t *testing.T) {
			file := filepath.Join(publicDir(t), "records.json")
			address := freePort(t)
			p := startServe(t, asNobody, "--listen", address, "--shards", "4", "--steer", mode, "--output", "file:"+file)
			report := p.startLoad(address, "--rate", "100000", "--heavy", "90%", "--flows", "16", "--verify", file)
			first := p.total()
			if mode == "auto" {
				eventually(t, "the sender is sprayed", func() bool { return len(p.status().Listeners[0].Steering.SprayedSources) == 1 })
				const soon = 3 * 100_000 // datagrams of three seconds
				if now := p.total(); now.Received+now.Dropped.Kernel > first.Received+first.Dropped.Kernel+soon {
					t.Errorf("sprayed too late: %+v at the start, %+v now", first, now)
				}
			}
			before := p.status().Listeners[0].Shards
			eventually(t, "the datagrams of a second are received", func() bool { return p.total().Received > metrics.Sum(before).Received+100_000 })
			l := p.status().Listeners[0]
			most := slices.Max(receivedShares(before, l.Shards))
			if mode == "hash" && most <= 0.85 || mode == "auto" && most >= 0.40 {
				t.Errorf("got shares %.2f of the shards", receivedShares(before, l.Shards))
			}
			words := map[string]string{"hash": "one sender, 127.0.0.1:", "auto": "; sprayed"}[mode]
			if top := l.TopSenders; len(top) == 0 || top[0].Percent < 75 || !strings.Contains(l.Skew, words) || !strings.Contains(l.Skew, top[0].Source) {
				t.Errorf("got top senders %v, skew %q", top, l.Skew)
			}
			r, kernel := report(), p.settledTotal().Dropped.Kernel
			p.wantNoDrops(kernel)
			for _, flow := range r.Records.Flows {
				if flow.Flow > 0 && flow.Reordered > 0 || flow.Doubled > 0 {
					t.Errorf("flow %d: got %+v, want each record once and in order", flow.Flow, flow)
				}
			}
			if total := r.Records.Total; total.Lost != kernel || total.Arrived+kernel != r.Sent {
				t.Errorf("got %+v, %d dropped by the kernel", total, kernel)
			}
		})
	}
}

// reloader changes the configuration file of a process, and sends SIGHUP.
type reloader struct {
	p    *process
	file string
	done int
}

func (r *reloader) reload(t *testing.T, text string) {
	t.Helper()
	writeFile(t, r.file, text)
	r.p.signal(syscall.SIGHUP)
	r.done++
	eventually(t, fmt.Sprintf("reload %d has finished", r.done), func() bool {
		return strings.Count(r.p.logs.String(), `"message":"reload finished`) == r.done
	})
}

// A hundred reloads with changing steering modes, under load: no datagram is lost, and the sockets
// stay. A reload with an unknown mode is refused.
func TestSteerModeChangesLoseNothing(t *testing.T) {
	dir := publicDir(t)
	file, address, web := filepath.Join(dir, "serve.yaml"), freePort(t), freePort(t)
	config := func(mode string) string {
		return fmt.Sprintf("http: %s\nlog: {format: json}\nlisteners:\n  - {address: '%s', protocol: discard, output: discard, shards: 4, steer: %s}\n", web, address, mode)
	}
	writeFile(t, file, config("auto"))
	p := launch(t, asNobody, "serve", "--config", file)
	p.http = web
	p.waitUntilReady()
	before := p.udpSockets()
	report := p.startLoad(address, "--rate", "100000", "--flows", "64")
	r := &reloader{p: p, file: file}
	modes := []string{"hash", "source", "spray", "cpu", "auto"}
	for i := range 100 {
		mode := modes[i%len(modes)]
		r.reload(t, config(mode))
		if steer := p.status().Listeners[0].Steer; steer != mode {
			t.Fatalf("got mode %s, want %s", steer, mode)
		}
	}
	if p.total().Received < 50_000 {
		t.Errorf("got %+v, want at least 50000 received", p.total())
	}
	sent := report().Sent
	p.waitForLedger(int(sent))
	p.wantNoDrops(p.total().Dropped.Kernel)
	if after := p.udpSockets(); len(before) != 4 || !slices.Equal(before, after) {
		t.Errorf("got sockets %[2]q, want %[1]q", before, after)
	}
	r.reload(t, strings.Replace(config("hash"), "shards: 4", "shards: 4, stall_after: 2s, spray_above: off", 1))

	writeFile(t, file, config("east"))
	p.signal(syscall.SIGHUP)
	p.waitForLog(`\"east\" is not one of`)
	if steer := p.status().Listeners[0].Steer; steer != "hash" {
		t.Errorf("got mode %s after a refused reload, want hash", steer)
	}
}

// The output of shard 1 is blocked: log, status, /readyz and metrics name the shard, and datagrams
// go to shard 0 until shard 1 reads again. Only datagrams beyond the queue of shard 1 are lost.
func TestSteeringAvoidsStalledShard(t *testing.T) {
	dir := publicDir(t)
	var pipes [2]*os.File
	for i := range pipes {
		path := filepath.Join(dir, fmt.Sprintf("%d.fifo", i))
		if err := unix.Mkfifo(path, 0o666); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, 0o666); err != nil { // for every umask
			t.Fatal(err)
		}
		var err error
		if pipes[i], err = os.OpenFile(path, os.O_RDWR, 0); err != nil {
			t.Fatal(err)
		}
		defer pipes[i].Close()
	}
	go io.Copy(io.Discard, pipes[0])
	address := freePort(t)
	p := startServe(t, asNobody, "--listen", address, "--shards", "2", "--output", "file:"+filepath.Join(dir, "{shard}.fifo"))
	const rate = 10_000 // a queue holds the datagrams of a second
	report := startSend(t, address, "--rate", strconv.Itoa(rate), "--flows", "64")
	p.waitForLog("shard stalled, datagrams go to other shards")
	stalled := p.status().Listeners[0]
	if !slices.Equal(stalled.Steering.StalledShards, []int{1}) || !strings.Contains(stalled.Skew, "shard 1 is stalled; the output accepts no records; datagrams go to other shards") {
		t.Errorf("got steering %+v, skew %q, want shard 1 stalled", stalled.Steering, stalled.Skew)
	}
	if body, code := p.get("/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "listener syslog shard 1 has not read for") || !strings.Contains(body, "its output accepts no records") {
		t.Errorf("got %d %q of /readyz, want 503 with shard 1", code, body)
	}
	if body, _ := p.get("/metrics"); !strings.Contains(body, `udpshard_shard_stalled{listener="syslog",shard="1"} 1`) ||
		!strings.Contains(body, `udpshard_steer_changes_total{kind="avoid",listener="syslog"} 1`) {
		t.Errorf("the metrics do not have the stalled shard")
	}
	before := p.status().Listeners[0].Shards
	eventually(t, "the datagrams of a second are received", func() bool { return p.total().Received > metrics.Sum(before).Received+rate })
	after := p.status().Listeners[0].Shards
	if after[1].Received != before[1].Received || after[1].Dropped != before[1].Dropped || after[0].Dropped.Kernel != 0 {
		t.Errorf("got %+v while shard 1 is avoided, %+v before", after, before)
	}

	go io.Copy(io.Discard, pipes[1])
	p.waitForLog("shard resumed, datagrams come back")
	if _, code := p.get("/readyz"); code != http.StatusOK {
		t.Errorf("got %d of /readyz, want 200", code)
	}
	resumed := p.status().Listeners[0].Shards
	eventually(t, "shard 1 receives datagrams again", func() bool { return p.status().Listeners[0].Shards[1].Received > resumed[1].Received+1000 })
	sent := report().Sent
	p.waitForLedger(int(sent))
	if lost := p.total().Dropped.Kernel; lost != after[1].Dropped.Kernel {
		t.Errorf("got %d dropped by the kernel, want only the %d at the full queue of shard 1", lost, after[1].Dropped.Kernel)
	}
}

// Another process of the same user joins the port, which detaches the steering program, and leaves:
// the program is attached again, and log, metrics and status have the change.
func TestSteeringIsReattachedAfterJoin(t *testing.T) {
	address := freePort(t)
	p := startServe(t, asNobody, "--listen", address, "--shards", "2", "--protocol", "discard", "--steer", "spray", "--stall-after", "1m")
	joined := startServe(t, asNobody, "--listen", address, "--shards", "1", "--protocol", "discard", "--join")
	joined.wantStop()
	flow := newSenders(t, address, 1)
	eventually(t, "both shards receive datagrams of a flow", func() bool {
		flow.burst(0, 1)
		for _, r := range p.status().Listeners[0].Shards {
			if r.Received == 0 {
				return false
			}
		}
		return true
	})
	if l := p.status().Listeners[0]; l.Steer != "spray" || l.Steering.InForce != "spray" || l.Steering.Changes["reattach"] != 1 {
		t.Errorf("got steer %s, steering %+v, want spray in force and a reattach", l.Steer, l.Steering)
	}
	if body, _ := p.get("/metrics"); !strings.Contains(body, `udpshard_steer_changes_total{kind="reattach",listener="discard"} 1`) {
		t.Error("the metrics do not have the reattach")
	}
	if !p.hasLogged("steering program attached again") && !p.hasLogged("port no longer shared") {
		t.Error("the log does not have the reattach")
	}
}

// While another process shares the port, the hash of the kernel is in force and in the status;
// afterwards the configured mode is in force again.
func TestSteeringOfSharedPort(t *testing.T) {
	address := freePort(t)
	p := startServe(t, asNobody, "--listen", address, "--shards", "2", "--protocol", "discard", "--steer", "source")
	joined := startServe(t, asNobody, "--listen", address, "--shards", "2", "--protocol", "discard", "--join")
	eventually(t, "the kernel's hash is in force", func() bool { return p.status().Listeners[0].Steering.InForce == "hash" })
	if steer := p.status().Listeners[0].Steer; steer != "source" {
		t.Errorf("got steer %s, want source", steer)
	}
	joined.wantStop()
	eventually(t, "the configured mode is in force again, and logged", func() bool {
		l := p.status().Listeners[0]
		return l.Steering.InForce == "source" && l.Steering.Changes["reattach"] == 1 && p.hasLogged("port no longer shared")
	})
}
