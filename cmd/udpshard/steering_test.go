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

// Steering needs no privilege: all of it is tried as an ordinary user.

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
				const soon = 3 * 100_000 // three seconds' datagrams
				if now := p.total(); now.Received+now.Dropped.Kernel > first.Received+first.Dropped.Kernel+soon {
					t.Errorf("that took from %+v until %+v", first, now)
				}
			}
			before := p.status().Listeners[0].Shards
			eventually(t, "a second's datagrams have come", func() bool { return p.total().Received > metrics.Sum(before).Received+100_000 })
			l := p.status().Listeners[0]
			most := slices.Max(receivedShares(before, l.Shards))
			if mode == "hash" && most <= 0.85 || mode == "auto" && most >= 0.40 {
				t.Errorf("parts %.2f", receivedShares(before, l.Shards))
			}
			words := map[string]string{"hash": "one sender, 127.0.0.1:", "auto": "; sprayed"}[mode]
			if top := l.TopSenders; len(top) == 0 || top[0].Percent < 75 || !strings.Contains(l.Skew, words) || !strings.Contains(l.Skew, top[0].Source) {
				t.Errorf("top senders %v, skew %q", top, l.Skew)
			}
			r, kernel := report(), p.settledTotal().Dropped.Kernel
			if kernel > 0 && !p.hasLogged("smaller than asked") {
				t.Errorf("%d dropped by the kernel", kernel)
			}
			for _, flow := range r.Records.Flows {
				if flow.Flow > 0 && flow.Reordered > 0 || flow.Doubled > 0 {
					t.Errorf("flow %d: %+v", flow.Flow, flow)
				}
			}
			if total := r.Records.Total; total.Lost != kernel || total.Arrived+kernel != r.Sent {
				t.Errorf("%+v, dropped by the kernel %d", total, kernel)
			}
		})
	}
}

// reloads changes a running process's configuration file by SIGHUP.
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
	eventually(t, fmt.Sprintf("it has reloaded for the %dth time", r.done), func() bool {
		return strings.Count(r.p.logs.String(), `"message":"reload finished`) == r.done
	})
}

func TestSteerModeChangesLoseNothing(t *testing.T) {
	dir := publicDir(t)
	file, address, web := filepath.Join(dir, "serve.yaml"), freePort(t), freePort(t)
	config := func(mode string) string {
		return fmt.Sprintf("http: %s\nlog: {format: json}\nlisteners:\n  - {address: '%s', protocol: discard, output: discard, shards: 4, steer: %s}\n", web, address, mode)
	}
	writeFile(t, file, config("auto"))
	p := launch(t, asNobody, "serve", "--config", file)
	p.http = web
	eventually(t, "it listens", func() bool {
		response, err := http.Get("http://" + web + "/readyz")
		if err == nil {
			response.Body.Close()
		}
		return err == nil && response.StatusCode == http.StatusOK
	})
	sockets := func() []string {
		held, err := socketsOf(p.pid(), "udp")
		if err != nil {
			t.Fatal(err)
		}
		return held
	}
	before := sockets()
	report := p.startLoad(address, "--rate", "100000", "--flows", "64")
	r := &reloader{p: p, file: file}
	modes := []string{"hash", "source", "spray", "cpu", "auto"}
	for i := range 100 {
		mode := modes[i%len(modes)]
		r.reload(t, config(mode))
		if steer := p.status().Listeners[0].Steer; steer != mode {
			t.Fatalf("the mode is %s, want %s", steer, mode)
		}
	}
	if p.total().Received < 50_000 {
		t.Errorf("there was little load: %+v", p.total())
	}
	sent := report().Sent
	p.waitForLedger(int(sent))
	if r := p.total(); r.Dropped.Kernel > 0 && !p.hasLogged("smaller than asked") {
		t.Errorf("%d of %d were lost", r.Dropped.Kernel, sent)
	}
	if after := sockets(); len(before) != 4 || !slices.Equal(before, after) {
		t.Errorf("its sockets were %q and are %q", before, after)
	}
	r.reload(t, strings.Replace(config("hash"), "shards: 4", "shards: 4, stall_after: 2s, spray_above: off", 1))

	writeFile(t, file, config("east"))
	p.signal(syscall.SIGHUP)
	p.waitForLog(`\"east\" is not one of`)
	if steer := p.status().Listeners[0].Steer; steer != "hash" {
		t.Errorf("after a bad one the mode is %s", steer)
	}
}

// A shard whose output takes nothing any more is named, and goes without
// datagrams until it reads again; nothing is lost but what its own queue
// could not hold.
func TestSteeringAvoidsStalledShard(t *testing.T) {
	dir := publicDir(t)
	var pipes [2]*os.File
	for i := range pipes {
		path := filepath.Join(dir, fmt.Sprintf("%d.fifo", i))
		if err := unix.Mkfifo(path, 0o666); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, 0o666); err != nil { // whatever the umask
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
	const rate = 10_000 // a queue holds a second's
	report := startSend(t, address, "--rate", strconv.Itoa(rate), "--flows", "64")
	p.waitForLog("shard stalled, datagrams go to other shards")
	stuck := p.status().Listeners[0]
	if !slices.Equal(stuck.Steering.StalledShards, []int{1}) || !strings.Contains(stuck.Skew, "shard 1 is stalled; the output accepts nothing; datagrams go to other shards") {
		t.Errorf("steering %+v, skew %q", stuck.Steering, stuck.Skew)
	}
	if body, code := p.get("/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "listener syslog shard 1 has not read for") || !strings.Contains(body, "its output takes nothing") {
		t.Errorf("%d %q", code, body)
	}
	if body, _ := p.get("/metrics"); !strings.Contains(body, `udpshard_shard_stalled{listener="syslog",shard="1"} 1`) ||
		!strings.Contains(body, `udpshard_steer_changes_total{kind="avoid",listener="syslog"} 1`) {
		t.Errorf("the metrics do not tell of it")
	}
	before := p.status().Listeners[0].Shards
	eventually(t, "a second's datagrams have come", func() bool { return p.total().Received > metrics.Sum(before).Received+rate })
	after := p.status().Listeners[0].Shards
	if after[1].Received != before[1].Received || after[1].Dropped != before[1].Dropped || after[0].Dropped.Kernel != 0 {
		t.Errorf("while shard 1 is steered around: %+v, before %+v", after, before)
	}

	go io.Copy(io.Discard, pipes[1])
	p.waitForLog("shard resumed, datagrams come back")
	if _, code := p.get("/readyz"); code != http.StatusOK {
		t.Errorf("/readyz is %d", code)
	}
	again := p.status().Listeners[0].Shards
	eventually(t, "shard 1 gets its datagrams again", func() bool { return p.status().Listeners[0].Shards[1].Received > again[1].Received+1000 })
	sent := report().Sent
	p.waitForLedger(int(sent))
	if lost := p.total().Dropped.Kernel; lost != after[1].Dropped.Kernel {
		t.Errorf("%d were lost in all, %d of these while shard 1's queue was full", lost, after[1].Dropped.Kernel)
	}
}

// Another process of the same user joins the port, which takes the steering program off, and
// leaves. The program is attached again, which the log, the metrics and the status tell.
func TestSteeringIsReattachedAfterJoin(t *testing.T) {
	address := freePort(t)
	p := startServe(t, asNobody, "--listen", address, "--shards", "2", "--protocol", "discard", "--steer", "spray", "--stall-after", "1m")
	other := startServe(t, asNobody, "--listen", address, "--shards", "1", "--protocol", "discard", "--join")
	other.wantStop()
	flow := newSenders(t, address, 1)
	eventually(t, "one flow has both shards", func() bool {
		flow.burst(0, 1)
		for _, r := range p.status().Listeners[0].Shards {
			if r.Received == 0 {
				return false
			}
		}
		return true
	})
	if l := p.status().Listeners[0]; l.Steer != "spray" || l.Steering.InForce != "spray" || l.Steering.Changes["reattach"] != 1 {
		t.Errorf("steer %s, steering %+v", l.Steer, l.Steering)
	}
	if body, _ := p.get("/metrics"); !strings.Contains(body, `udpshard_steer_changes_total{kind="reattach",listener="discard"} 1`) {
		t.Error("the metrics do not tell of it")
	}
	if !p.hasLogged("steering program attached again") && !p.hasLogged("port no longer shared") {
		t.Error("the log does not tell of it")
	}
}

// While another process shares the port, the status says that the kernel's hash is in force.
func TestSteeringOfSharedPort(t *testing.T) {
	address := freePort(t)
	p := startServe(t, asNobody, "--listen", address, "--shards", "2", "--protocol", "discard", "--steer", "source")
	other := startServe(t, asNobody, "--listen", address, "--shards", "2", "--protocol", "discard", "--join")
	eventually(t, "the kernel's hash is in force", func() bool { return p.status().Listeners[0].Steering.InForce == "hash" })
	if steer := p.status().Listeners[0].Steer; steer != "source" {
		t.Errorf("the mode that was asked for is %s", steer)
	}
	other.wantStop()
	eventually(t, "the mode is in force again, and told of", func() bool {
		l := p.status().Listeners[0]
		return l.Steering.InForce == "source" && l.Steering.Changes["reattach"] == 1 && p.hasLogged("port no longer shared")
	})
}
