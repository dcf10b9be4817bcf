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

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/cli"
)

// Three times in a row it is killed under load, and started again with what
// was kept: what is lost is counted, to the datagram.
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
			svc.wantAccounted(p, r, true)
			t.Logf("%d sent, %d lost in three crashes", r.Sent, p.total().Dropped.LostInCrash)
			p.wantStop()
		})
	}
}

// Killed before it says that it is ready, it loses what it has counted as
// little as later.
func TestServiceKilledDuringStart(t *testing.T) {
	svc := newService(t)
	p := svc.start("--shards", "2")
	report := svc.startLoad(p)
	for i := range 12 {
		before := p.total()
		p.kill()
		p = svc.launchServe("--shards", "2")
		switch i % 4 {
		case 0: // as soon as it is there
		case 1:
			p.waitForTakeover()
		case 2:
			eventually(t, "it has begun to store", svc.hasNotified(p, "FDSTORE=1"))
		case 3:
			p.waitForLog(`"message":"listening"`)
		}
		p.kill()
		p = svc.start("--shards", "2")
		wantTotalsGrow(t, before, p.total())
	}
	svc.wantAccounted(p, report(), true)
	svc.wantStored(2)
}

// Five times in a row it is told to stop under load, and started again: every
// datagram is one record, in its sender's order.
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
	svc.wantAccounted(p, report(), true)
	if lost := p.total().Dropped.LostInCrash; lost > 0 {
		t.Errorf("%d were lost in a crash", lost)
	}
	p.wantStop()
}

// Where there is no end of what comes, what still waits when half of the time for
// a drain has passed is the next one's.
func TestServiceRestartUnderOverload(t *testing.T) {
	svc := newService(t)
	svc.records = filepath.Join(svc.dir, "pipe")
	if err := unix.Mkfifo(svc.records, 0o666); err != nil {
		t.Fatal(err)
	}
	os.Chmod(svc.records, 0o666) // whatever the umask
	pipe, err := os.OpenFile(svc.records, os.O_RDWR, 0)
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
	p := svc.start(args...)
	report := startSend(t, svc.address, "--rate", "80000", "--flows", "16")
	for range 2 {
		dropped := p.total().Dropped.Kernel
		eventually(t, "the queue is full", func() bool { return p.total().Dropped.Kernel > dropped })
		before := p.total()
		began := time.Now()
		p.wantStop()
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("it has ended after %s", took)
		}
		p = svc.start(args...)
		wantTotalsGrow(t, before, p.total())
	}
	sent := report().Sent
	eventually(t, "all is accounted for", func() bool {
		r := p.total()
		return r.Received+r.Dropped.Kernel == sent && r.Delivered == r.Received && records.Load() == r.Delivered
	})
}

// More and fewer shards across restarts lose nothing either.
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
			t.Errorf("%d shards, want %d", n, shards)
		}
		svc.wantStored(shards)
		p.waitUntilReading()
	}
	svc.wantAccounted(p, report(), false)
}

// Sockets of a listener that is in the configuration no more are told of, and
// closed.
func TestRemovedListenerIsClosed(t *testing.T) {
	svc := newService(t)
	other := freePort(t)
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
	config(svc.address, other)
	p := start()
	svc.wantStored(4)
	p.terminate()
	config(svc.address)
	p = start()
	svc.wantStored(2)
	p.waitForLog(other)
	eventually(t, "both sockets are told of", func() bool { return strings.Count(p.logs.String(), "socket of the service manager unused") == 2 })
	conn, err := net.ListenPacket("udp", other)
	if err != nil {
		t.Errorf("somebody still has the port: %v", err)
	} else {
		conn.Close()
	}
}

// A crash of the program has an exit code after which the unit starts it again, and it goes on
// with what waited. SIGQUIT is a fatal error of the Go runtime (os/signal).
func TestCrashedServiceIsRestarted(t *testing.T) {
	unit := readUnit(t, "udpshard.service")
	svc := newService(t)
	p := svc.start("--shards", "2")
	newSenders(t, svc.address, 16).send(500, 0)
	p.waitForDelivered(500)
	p.signal(syscall.SIGQUIT)
	code := p.wait()
	if !p.hasLogged("SIGQUIT") {
		t.Errorf("it has not crashed:\n%s", p.logs)
	}
	if !unit.restartsAfter(t, code) {
		t.Fatalf("exit code %d, after which it stays down", code)
	}
	newSenders(t, svc.address, 16).send(500, 0)
	p = svc.start("--shards", "2")
	p.waitForDelivered(1000)
	if code := p.terminate(); unit.restartsAfter(t, code) {
		t.Errorf("exit code %d of one that is stopped: it is started again", code)
	}
}

// What a start can't mend has exit codes after which the unit leaves it.
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
			t.Errorf("%q: exit code %d, want %d, and to stay down", test.args, code, test.want)
		}
	}
}
