package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/udpshard/udpshard/internal/ship/shiptest"
	"github.com/udpshard/udpshard/metrics"
)

// broker is a server that keeps records on the disk.
type broker interface {
	url() string
	start(t *testing.T)
	kill()
	signal(os.Signal)
	lines(t *testing.T) [][]byte // all records, in order
}

// kafka is kfaked: a fake of Kafka, which keeps its topics in a folder.
type kafka struct {
	address, folder string
	process         *shiptest.Process
}

func newKafka(t *testing.T) broker {
	t.Helper()
	requireProgram(t, "kcat", "kcat")
	return &kafka{address: shiptest.FreeTCP(t), folder: t.TempDir()}
}

func (k *kafka) url() string          { return "kafka://" + k.address + "/logs" }
func (k *kafka) kill()                { k.process.Kill() }
func (k *kafka) signal(sig os.Signal) { k.process.Process.Signal(sig) }

func (k *kafka) start(t *testing.T) {
	t.Helper()
	program := shiptest.Build(t, "github.com/udpshard/udpshard/internal/ship/shiptest/servers/kfaked")
	k.process = shiptest.Start(t, program, k.address, k.folder, "logs", "1")
	k.process.AwaitTCP(t, k.address)
}

func (k *kafka) lines(t *testing.T) [][]byte {
	t.Helper()
	out, err := exec.Command("kcat", "-b", k.address, "-t", "logs", "-C", "-e", "-q").Output()
	if err != nil {
		t.Fatal(err)
	}
	return bytes.SplitAfter(bytes.TrimSuffix(out, []byte("\n")), []byte("\n"))
}

// natsServer is nats-server with a stream on the disk.
type natsServer struct {
	address, folder string
	process         *shiptest.Process
}

func newNATS(t *testing.T) broker {
	t.Helper()
	return &natsServer{address: shiptest.FreeTCP(t), folder: t.TempDir()}
}

func (n *natsServer) url() string { return "nats://" + n.address + "/logs#create_stream=true" }
func (n *natsServer) kill()       { n.process.Kill() }

func (n *natsServer) signal(sig os.Signal) { n.process.Process.Signal(sig) }

func (n *natsServer) start(t *testing.T) {
	t.Helper()
	program := shiptest.Build(t, "github.com/nats-io/nats-server/v2")
	_, port, _ := net.SplitHostPort(n.address)
	n.process = shiptest.Start(t, program, "-a", "127.0.0.1", "-p", port, "-js", "-sd", n.folder)
	n.process.AwaitTCP(t, n.address)
}

func (n *natsServer) lines(t *testing.T) (lines [][]byte) {
	t.Helper()
	conn, err := nats.Connect("nats://" + n.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	name, err := js.StreamNameBySubject(ctx, "logs")
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	consumer, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		t.Fatal(err)
	}
	defer messages.Stop()
	for total := stream.CachedInfo().State.Msgs; uint64(len(lines)) < total; {
		m, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, m.Data())
	}
	return lines
}

var brokers = map[string]func(*testing.T) broker{"kafka": newKafka, "nats": newNATS}

// eachBroker runs a test with each broker.
func eachBroker(t *testing.T, test func(t *testing.T, b broker)) {
	for name, newBroker := range brokers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBroker(t)
			b.start(t)
			test(t, b)
		})
	}
}

// shipArgs are the arguments of serve with a target.
func shipArgs(t *testing.T, b broker, more ...string) (address string, args []string) {
	t.Helper()
	dir := t.TempDir()
	address = freePort(t)
	return address, append([]string{"--listen", address, "--shards", "1", "--to", b.url(),
		"--spool", filepath.Join(dir, "spool")}, more...)
}

// launchAt starts serve with a known HTTP address, which is in args, and does not wait.
func launchAt(t *testing.T, http string, args []string, more ...string) *process {
	t.Helper()
	p := launch(t, nil, slices.Concat([]string{"serve", "--log-format", "json"}, more, args)...)
	p.http = http
	return p
}

// target returns the ledger of the only target, whose equation must hold.
func (p *process) target() metrics.Output {
	p.t.Helper()
	outputs := p.status().Listeners[0].Outputs
	if len(outputs) != 1 {
		p.t.Fatalf("%+v", outputs)
	}
	o := outputs[0]
	if o.Spooled != o.Acknowledged+o.Waiting+o.Rejected+o.Expired {
		p.t.Errorf("%+v", o)
	}
	return o
}

// waitForShipped waits until the target has all records that the ledger has as delivered.
func (p *process) waitForShipped() metrics.Output {
	p.t.Helper()
	var o metrics.Output
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		total := p.total()
		o = p.target()
		if total.InFlight == 0 && o.Waiting == 0 && o.Acknowledged == total.Delivered {
			return o
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("%d delivered: %+v", total.Delivered, o)
		}
	}
}

// watchTarget reads the ledgers until stop is called: they are closed in every reading, and nothing
// goes backwards.
func watchTarget(t *testing.T, http string) (stop func()) {
	t.Helper()
	done := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		var last metrics.Output
		for {
			select {
			case <-done:
				return
			case <-time.After(20 * time.Millisecond):
			}
			status, err := statusAt(http)
			if err != nil || len(status.Listeners[0].Outputs) == 0 {
				continue // between two processes
			}
			now, delivered := status.Listeners[0].Outputs[0], uint64(0)
			for _, shard := range status.Listeners[0].Shards {
				delivered += shard.Delivered
			}
			// A delivered record is in the spool, but for the write of each shard that is just counted.
			if now.Spooled+5_000 < delivered {
				t.Errorf("%d spooled, %d delivered", now.Spooled, delivered)
			}
			if now.Spooled != now.Acknowledged+now.Waiting+now.Rejected+now.Expired ||
				now.Acknowledged < last.Acknowledged || now.Spooled < last.Spooled {
				t.Errorf("%+v after %+v", now, last)
			}
			last = now
		}
	})
	return func() { close(done); watching.Wait() }
}

// wantExactlyOnce checks that the broker has n records of the senders, each once, in order.
func wantExactlyOnce(t *testing.T, b broker, n uint64) {
	t.Helper()
	lines := b.lines(t)
	check := newRecordChecker()
	for _, line := range lines {
		check.check(line)
	}
	for _, fault := range check.faults {
		t.Error(fault)
	}
	if uint64(len(lines)) != n {
		t.Errorf("the broker has %d records, want %d", len(lines), n)
	}
}

// trials is smaller in short tests.
func trials(n int) int {
	if testing.Short() {
		return 1
	}
	return n
}

// A broker that is killed under load and comes back has each datagram once, in order.
func TestBrokerIsKilled(t *testing.T) {
	eachBroker(t, func(t *testing.T, b broker) {
		address, args := shipArgs(t, b)
		p := startServe(t, nil, args...)
		defer watchTarget(t, p.http)()
		s := newSenders(t, address, 4)
		for range trials(5) {
			s.send(s.sent+10_000, 20_000)
			b.kill()
			s.send(s.sent+10_000, 20_000)
			b.start(t)
		}
		s.send(s.sent+10_000, 20_000)
		p.waitForLedger(s.sent)
		p.waitForShipped()
		p.wantStop()
		wantExactlyOnce(t, b, uint64(s.sent))
	})
}

// The active process is killed again and again, with the broker up and away. The broker has each
// datagram once, but for those that the ledger calls lost in a crash.
func TestActiveProcessIsKilledWhileItShips(t *testing.T) {
	eachBroker(t, func(t *testing.T, b broker) {
		takeover := filepath.Join(t.TempDir(), "takeover.sock")
		http := freePort(t)
		address, args := shipArgs(t, b, "--http", http, "--takeover", takeover)
		active := launchAt(t, http, args)
		active.waitUntilReady()
		defer watchTarget(t, http)()
		s := newSenders(t, address, 4)
		up := true
		for i := range trials(5) {
			standby := launchAt(t, http, args, "--standby")
			standby.waitForLog("standby started")
			s.send(s.sent+10_000, 20_000)
			if up = i%2 == 1; !up {
				b.kill()
			} else {
				b.start(t)
			}
			s.send(s.sent+5_000, 20_000)
			active.kill()
			active = standby
			active.waitForTakeover()
			s.send(s.sent+5_000, 20_000)
		}
		if !up {
			b.start(t)
		}
		active.waitForLedger(s.sent)
		active.waitForShipped()
		total := active.total()
		active.wantStop()
		wantExactlyOnce(t, b, uint64(s.sent)-total.Dropped.LostInCrash)
	})
}

// A process that is stopped while it ships, replaced, and wakes up, ships nothing more. What it had
// read goes to a series of its own, and is shipped by its successor.
func TestStoppedProcessShipsNothing(t *testing.T) {
	eachBroker(t, func(t *testing.T, b broker) {
		takeover := filepath.Join(t.TempDir(), "takeover.sock")
		http := freePort(t)
		address, args := shipArgs(t, b, "--http", http, "--takeover", takeover)
		active := launchAt(t, http, args)
		active.waitUntilReady()
		standby := launchAt(t, http, args, "--standby")
		standby.waitForLog("standby started")
		s := newSenders(t, address, 4)
		s.send(10_000, 20_000)
		active.signal(syscall.SIGSTOP)
		s.send(20_000, 20_000)
		standby.waitForTakeover()
		standby.waitForLog("spool taken over from a process that does not run")
		s.send(30_000, 20_000)
		active.signal(syscall.SIGCONT)
		active.wantExit(3)
		s.send(40_000, 20_000)
		standby.waitForLedger(s.sent)
		total := standby.total()
		eventually(t, "all records are shipped", func() bool {
			o := standby.target()
			return o.Waiting == 0 && o.Acknowledged == uint64(s.sent)-total.Dropped.Kernel
		})
		standby.wantStop()
		lines := b.lines(t)
		seen := make(map[string]int)
		for _, line := range lines {
			seen[string(line)]++
		}
		if len(lines) != len(seen) || len(lines) != s.sent-int(total.Dropped.Kernel) {
			t.Errorf("the broker has %d records, %d different, of %d", len(lines), len(seen), s.sent)
		}
	})
}

// Upgrades while the broker is away lose nothing, and the order is kept over the series of all
// processes.
func TestUpgradesWithoutBroker(t *testing.T) {
	eachBroker(t, func(t *testing.T, b broker) {
		takeover := filepath.Join(t.TempDir(), "takeover.sock")
		http := freePort(t)
		address, args := shipArgs(t, b, "--http", http, "--takeover", takeover)
		start := func() *process { return launchAt(t, http, args) }
		active := start()
		active.waitUntilReady()
		s := newSenders(t, address, 4)
		s.send(5_000, 20_000)
		b.kill()
		for range trials(10) {
			s.send(s.sent+5_000, 20_000)
			next := start()
			next.waitForTakeover()
			if gap := next.takeoverGap(); gap > 100 {
				t.Errorf("the gap is %v ms", gap)
			}
			active.wantExit(0)
			active = next
		}
		b.start(t)
		s.send(s.sent+5_000, 20_000)
		active.waitForLedger(s.sent)
		active.waitForShipped()
		active.wantStop()
		wantExactlyOnce(t, b, uint64(s.sent))
	})
}

// A restart without standby, also after SIGKILL, ships what the spool holds.
func TestRestartShipsTheSpool(t *testing.T) {
	eachBroker(t, func(t *testing.T, b broker) {
		address, args := shipArgs(t, b)
		p := startServe(t, nil, args...)
		s := newSenders(t, address, 4)
		s.send(1_000, 20_000)
		p.waitForLedger(s.sent)
		p.waitForShipped()
		b.kill()
		s.send(10_000, 20_000)
		p.waitForDelivered(10_000)
		p.wantStop()
		final := p.logLines("final ledger of a target")
		if len(final) != 1 || final[0]["acknowledged"] != 1_000.0 || final[0]["waiting"] != 9_000.0 {
			t.Errorf("%v", final)
		}
		p = startServe(t, nil, args...)
		s.send(20_000, 20_000)
		p.waitForDelivered(10_000)
		p.kill()
		b.start(t)
		p = startServe(t, nil, args...)
		s.send(30_000, 20_000)
		eventually(t, "all records are shipped", func() bool { return p.target().Acknowledged == 30_000 })
		p.wantStop()
		wantExactlyOnce(t, b, 30_000)
	})
}

// Processes are killed while they write small segments, of which those that are shipped are removed.
// Each record of the spool is shipped once, and the ledger says how many records there are.
func TestKillsWhileSegmentsAreRemoved(t *testing.T) {
	t.Parallel()
	b := newNATS(t)
	b.start(t)
	dir, http := t.TempDir(), freePort(t)
	address := freePort(t)
	file := writeFile(t, filepath.Join(dir, "udpshard.yaml"), fmt.Sprintf(`
http: %s
takeover: %s
spool: {path: %s, max_size: 64MiB, segment_size: 1MiB, sync: segment}
listeners: [{address: %q, shards: 2, to: %q}]
`, http, filepath.Join(dir, "takeover.sock"), filepath.Join(dir, "spool"), address, b.url()))
	start := func(more ...string) *process {
		p := launch(t, nil, append([]string{"serve", "--log-format", "json", "--config", file}, more...)...)
		p.http = http
		return p
	}
	active := start()
	active.waitUntilReady()
	s := newSenders(t, address, 8)
	for range trials(4) {
		standby := start("--standby")
		standby.waitForLog("standby started")
		s.send(s.sent+20_000, 30_000)
		active.kill()
		active = standby
		active.waitForTakeover()
	}
	s.send(s.sent+20_000, 30_000)
	active.waitForLedger(s.sent)
	active.waitForShipped()
	total := active.total()
	segments, err := filepath.Glob(filepath.Join(dir, "spool", "syslog", "*", "*.log"))
	if err != nil || len(segments) > 4 {
		t.Errorf("%d segments are left: %v", len(segments), err)
	}
	active.wantStop()
	wantExactlyOnce(t, b, uint64(s.sent)-total.Dropped.LostInCrash)
}
