package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/udpshard/udpshard/internal/cli"
)

// A service is killed under load three times, and restarted with the stored descriptors: lost
// datagrams are counted exactly.
func TestServiceKilledUnderLoad(t *testing.T) {
	for _, takeover := range []bool{false, true} {
		t.Run(fmt.Sprint("takeover=", takeover), func(t *testing.T) {
			svc := newService(t)
			args := []string{"--shards", "2"}
			if takeover {
				args = append(args, "--takeover", filepath.Join(svc.dir, "takeover.sock"))
			}
			p := svc.start(args...)
			report := svc.startLoad(p)
			for range 3 {
				before := p.total()
				p.kill()
				p = svc.start(args...)
				wantTotalsGrow(t, before, p.total())
				svc.wantStored(2)
				p.waitUntilReading()
			}
			r := report()
			p.wantAccounted(r, true)
			t.Logf("%d sent, %d lost in three crashes", r.Sent, p.total().Dropped.LostInCrash)
			p.wantStop()
		})
	}
}

// A service is killed at several moments of its start, before READY=1: no count is lost.
func TestServiceKilledDuringStart(t *testing.T) {
	svc := newService(t)
	p := svc.start("--shards", "2")
	report := svc.startLoad(p)
	for i := range 12 {
		before := p.total()
		p.kill()
		p = svc.launchServe("--shards", "2")
		switch i % 4 {
		case 0: // at once
		case 1:
			p.waitForTakeover()
		case 2:
			eventually(t, "the service has begun to store descriptors", svc.hasNotified(p, "FDSTORE=1"))
		case 3:
			p.waitForLog(`"message":"listening"`)
		}
		p.kill()
		p = svc.start("--shards", "2")
		wantTotalsGrow(t, before, p.total())
	}
	p.wantAccounted(report(), true)
	svc.wantStored(2)
}

// A service is stopped by SIGTERM and started under load, five times: each datagram becomes one
// record, in the order of its sender.
func TestServiceRestartLosesNothing(t *testing.T) {
	svc := newService(t)
	p := svc.start("--shards", "2")
	report := svc.startLoad(p)
	for range 5 {
		before := p.total()
		p.wantStop()
		p = svc.start("--shards", "2")
		wantTotalsGrow(t, before, p.total())
		p.waitUntilReading()
	}
	p.wantAccounted(report(), true)
	if lost := p.total().Dropped.LostInCrash; lost > 0 {
		t.Errorf("got %d lost in a crash, want none", lost)
	}
	p.wantStop()
}

// A service under overload is restarted: after half of --drain-timeout, the drain ends, and the
// next process reads the remaining queue.
func TestServiceRestartUnderOverload(t *testing.T) {
	svc := newService(t)
	svc.records = unreadPipe(t)
	pipe, err := os.OpenFile(svc.records, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	var records atomic.Uint64
	go func() { // slower than the load
		for buffer := make([]byte, 64<<10); ; time.Sleep(5 * time.Millisecond) {
			n, err := pipe.Read(buffer)
			if err != nil {
				return
			}
			records.Add(uint64(bytes.Count(buffer[:n], []byte("\n"))))
		}
	}()
	args := []string{"--shards", "1", "--drain-timeout", "2s"}
	p := svc.start(args...)
	report := startSend(t, svc.address, "--rate", "80000", "--flows", "16")
	for range 2 {
		dropped := p.total().Dropped.Kernel
		eventually(t, "the receive queue is full", func() bool { return p.total().Dropped.Kernel > dropped })
		before := p.total()
		began := time.Now()
		p.wantStop()
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("the process ended after %s, want at most 5s", took)
		}
		p = svc.start(args...)
		wantTotalsGrow(t, before, p.total())
	}
	sent := report().Sent
	eventually(t, "all datagrams are accounted for", func() bool {
		r := p.total()
		return r.Received+r.Dropped.Kernel == sent && r.Delivered == r.Received && records.Load() == r.Delivered
	})
}

// A service is stopped or killed, and restarted with more or fewer shards: no datagram is lost
// uncounted.
func TestServiceRestartChangesShards(t *testing.T) {
	svc := newService(t)
	p := svc.start("--shards", "2")
	report := svc.startLoad(p)
	for i, shards := range []int{4, 1, 3, 2} {
		before := p.total()
		if i%2 == 0 {
			p.terminate()
		} else {
			p.kill()
		}
		p = svc.start("--shards", strconv.Itoa(shards))
		wantTotalsGrow(t, before, p.total())
		if n := len(p.status().Listeners[0].Shards); n != shards {
			t.Errorf("got %d shards, want %d", n, shards)
		}
		svc.wantStored(shards)
		p.waitUntilReading()
	}
	p.wantAccounted(report(), false)
}

// A restart without a former listener: the stored sockets of this listener are logged and closed.
func TestRemovedListenerIsClosed(t *testing.T) {
	svc := newService(t)
	removed := freePort(t)
	file := filepath.Join(svc.dir, "serve.yaml")
	config := func(listeners ...string) {
		text := fmt.Sprintf("http: %s\nlog: {format: json}\nlisteners:\n", svc.http)
		for i, address := range listeners {
			text += fmt.Sprintf("  - {name: l%d, address: '%s', output: discard, shards: 2}\n", i, address)
		}
		writeFile(t, file, text)
	}
	start := func() *process {
		p := svc.launch("serve", "--config", file)
		svc.waitUntilReady(p)
		return p
	}
	config(svc.address, removed)
	p := start()
	svc.wantStored(4)
	p.terminate()
	config(svc.address)
	p = start()
	svc.wantStored(2)
	p.waitForLog(removed)
	eventually(t, "both sockets are logged", func() bool { return strings.Count(p.logs.String(), "socket of the service manager unused") == 2 })
	conn, err := net.ListenPacket("udp", removed)
	if err != nil {
		t.Errorf("the port is still in use: %v", err)
	} else {
		conn.Close()
	}
}

// After the exit code of a crash, udpshard.service restarts the program, which reads the queued
// datagrams. SIGQUIT is a fatal error of the Go runtime (os/signal).
func TestCrashedServiceIsRestarted(t *testing.T) {
	unit := readUnit(t, "udpshard.service")
	svc := newService(t)
	p := svc.start("--shards", "2")
	newSenders(t, svc.address, 16).send(500, 0)
	p.waitForDelivered(500)
	p.signal(syscall.SIGQUIT)
	code := p.wait()
	if !p.hasLogged("SIGQUIT") {
		t.Errorf("no crash after SIGQUIT:\n%s", p.logs)
	}
	if !unit.restartsAfter(t, code) {
		t.Fatalf("exit code %d: got no restart", code)
	}
	newSenders(t, svc.address, 16).send(500, 0)
	p = svc.start("--shards", "2")
	p.waitForDelivered(1000)
	if code := p.terminate(); unit.restartsAfter(t, code) {
		t.Errorf("exit code %d after SIGTERM: got a restart", code)
	}
}

// After the exit codes of unusable flags and configurations, udpshard.service does not restart the
// program.
func TestUnusableServiceStaysDown(t *testing.T) {
	unit := readUnit(t, "udpshard.service")
	svc := newService(t)
	file := writeFile(t, filepath.Join(svc.dir, "bad.yaml"), "listeners: [{batch: 0}]\n")
	for _, test := range []struct {
		args []string
		want int
	}{
		{[]string{"serve", "--batch", "0"}, cli.ExitUsage},
		{[]string{"serve", "--listen", svc.address, "--http", "", "--output", "file:" + svc.dir + "/none/records"}, cli.ExitUsage},
		{[]string{"serve", "--config", file}, cli.ExitConfig},
		{[]string{"serve", "--config", svc.dir + "/none.yaml"}, cli.ExitConfig},
	} {
		code := svc.launch(test.args...).wait()
		if code != test.want || unit.restartsAfter(t, code) {
			t.Errorf("%q: got exit code %d, want %d without a restart", test.args, code, test.want)
		}
	}
}
