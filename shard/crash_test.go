package shard

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/output"
	"github.com/udpshard/udpshard/internal/output/file"
	"github.com/udpshard/udpshard/internal/sys"
	"github.com/udpshard/udpshard/metrics"
	"github.com/udpshard/udpshard/packet"
)

// A crash test runs this test program as a child. The child receives from sockets of which the test
// has duplicates, counts in shared counters that the test has too, and writes records to files,
// until SIGKILL. Then the counts are finalized: lines in files, lost datagrams and queued datagrams
// together are the datagrams that were sent.

const (
	crashShards = 2
	crashBatch  = 64
	crashRecord = 200  // bytes of a datagram
	crashGRO    = 7    // most datagrams in a GRO batch
	crashWindow = 8000 // datagrams sent ahead: the kernel drops none
)

// crashText returns datagram n: a JSON object of crashRecord bytes.
func crashText(n int) []byte {
	head := fmt.Appendf(nil, `{"n":%08d,"pad":"`, n)
	return append(append(head, bytes.Repeat([]byte{'x'}, crashRecord-len(head)-2)...), `"}`...)
}

// recorder writes each datagram as a line.
func recorder(b *packet.Batch) {
	for i := range b.Datagrams {
		b.Commit(append(append(b.Record(), b.Datagrams[i].Payload...), '\n'))
	}
}

const crashChild = "UDPSHARD_TEST_CRASH_CHILD" // the output of the child; empty: not the child

// crashConfig is the configuration of the child, with which the test opens the sockets.
func crashConfig(gro bool) Config {
	return Config{
		Address: "127.0.0.1:0", Shards: crashShards, Batch: crashBatch, MaxDatagram: 1000, OneWay: true, GRO: gro,
		ReceiveBuffer: 32 << 20, Steering: Steering{Mode: "hash"},
		Handler: func(int) packet.Handler { return packet.HandlerFunc(recorder) },
	}
}

// TestCrashChild is the child, and never returns.
func TestCrashChild(t *testing.T) {
	out := os.Getenv(crashChild)
	if out == "" {
		t.Skip("a part of TestKilled")
	}
	book, err := metrics.NewSharedCounters(metrics.Layout{Listener: bookListener, Shards: crashShards, Batch: crashBatch})
	if err != nil {
		t.Fatal(err)
	}
	counters, control := book.Files()
	rights := unix.UnixRights(int(counters.Fd()), int(control.Fd()))
	if err := unix.Sendmsg(3, []byte("book"), rights, nil, 0); err != nil {
		t.Fatal(err)
	}
	outputs := output.NewSet(func(e output.Event) { t.Error(e) })
	c := crashConfig(os.Getenv(crashChild+"_GRO") != "")
	c.Sink = func(index int, page *metrics.Shard) (packet.Sink, error) { return outputs.Open(out, index, page, 1000) }
	if c, err = c.Complete(); err != nil {
		t.Fatal(err)
	}
	at, err := sys.BoundAddress(4)
	if err != nil {
		t.Fatal(err)
	}
	var fds []int
	for i := range c.Shards {
		fds = append(fds, 4+i)
	}
	g, err := newGroup(c, countersOf(book), address{AddrPort: at}, fds, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.attacher.setSteering(c.Steering); err != nil {
		t.Fatal(err)
	}
	g.startThreads()
	t.Fatal(g.Run(context.Background()))
}

// crash is a child, with the descriptors that outlive the child.
type crash struct {
	t       *testing.T
	gro     bool
	paths   []string
	book    *metrics.SharedCounters
	pages   []*metrics.Shard
	fds     []int // of the sockets
	to      unix.Sockaddr
	command *exec.Cmd
	sent    atomic.Int64
	stop    atomic.Bool
	stopped chan struct{}
	partial int // files that ended in an incomplete record
}

// heldSocket is a socket that outlives the child.
type heldSocket int

func (s heldSocket) Memory() (queued, buffer, dropped uint32, err error) {
	m, err := sys.SocketMemory(int(s))
	return m.Queued, m.Buffer, m.Dropped, err
}
func (heldSocket) CPUTime() (time.Duration, error) { return 0, errNoThread }
func (s heldSocket) Cookie() uint64 {
	cookie, _ := sys.SocketCookie(int(s))
	return cookie
}

func startCrash(t *testing.T, perShard, gro bool) *crash {
	t.Helper()
	x := &crash{t: t, gro: gro, stopped: make(chan struct{})}
	dir := t.TempDir()
	out := "file:" + dir + "/records"
	x.paths = []string{filepath.Join(dir, "records")}
	if perShard {
		out = "file:" + dir + "/{shard}"
		x.paths = nil
		for i := range crashShards {
			x.paths = append(x.paths, filepath.Join(dir, strconv.Itoa(i)))
		}
	}
	c, err := crashConfig(gro).Complete()
	if err != nil {
		t.Fatal(err)
	}
	at, err := resolve(c.Address)
	if err != nil {
		t.Fatal(err)
	}
	if x.fds, at, err = openSockets(c, at); err != nil {
		t.Fatal(err)
	}
	x.to = &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}
	x.command = exec.Command(os.Args[0], "-test.run=^TestCrashChild$")
	x.command.Env = append(os.Environ(), crashChild+"="+out)
	if gro {
		x.command.Env = append(x.command.Env, crashChild+"_GRO=1")
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[0])
	theirs := os.NewFile(uintptr(pair[1]), "pair")
	defer theirs.Close()
	x.command.ExtraFiles = []*os.File{theirs}
	x.command.Stdout, x.command.Stderr = os.Stderr, os.Stderr
	for _, fd := range x.fds {
		t.Cleanup(func() { unix.Close(fd) })
		dup, err := sys.Duplicate(fd)
		if err != nil {
			t.Fatal(err)
		}
		file := os.NewFile(uintptr(dup), "socket")
		defer file.Close()
		x.command.ExtraFiles = append(x.command.ExtraFiles, file)
	}
	if err := x.command.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close() // so that the end of the child closes the pair
	if x.book, err = receiveBook(pair[0]); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.book.Close() })
	x.pages = x.book.Listeners()[0].Shards
	go x.send()
	return x
}

// receiveBook opens the shared counters of the child.
func receiveBook(from int) (*metrics.SharedCounters, error) {
	var text, rights [64]byte
	_, n, _, _, err := unix.Recvmsg(from, text[:], rights[:], unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return nil, err
	}
	messages, err := unix.ParseSocketControlMessage(rights[:n])
	if err != nil || len(messages) != 1 {
		return nil, fmt.Errorf("the child has sent no counters: %v", err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 2 {
		return nil, fmt.Errorf("the child has sent descriptors %v: %v", fds, err)
	}
	return metrics.OpenSharedCounters(os.NewFile(uintptr(fds[0]), "counters"), os.NewFile(uintptr(fds[1]), "control"))
}

// received returns the count of the child.
func (x *crash) received() (n int64) {
	for _, page := range x.pages {
		n += int64(page.Received.Load())
	}
	return n
}

// send sends numbered datagrams from several sources until stop.
func (x *crash) send() {
	defer close(x.stopped)
	var fds []int
	for range 16 {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			x.t.Error(err)
			return
		}
		defer unix.Close(fd)
		if x.gro {
			if err := unix.SetsockoptInt(fd, unix.SOL_UDP, unix.UDP_SEGMENT, crashRecord); err != nil {
				x.t.Error(err)
				return
			}
		}
		fds = append(fds, fd)
	}
	random := rand.New(rand.NewPCG(1, 2))
	var payload []byte
	for n := 0; !x.stop.Load(); {
		if int64(n)-x.received() > crashWindow {
			runtime.Gosched()
			continue
		}
		count := 1
		if x.gro {
			count += random.IntN(crashGRO)
		}
		payload = payload[:0]
		for i := range count {
			payload = append(payload, crashText(n+i)...)
		}
		if err := unix.Sendto(fds[random.IntN(len(fds))], payload, 0, x.to); err != nil {
			x.t.Errorf("send: %v", err)
			return
		}
		n += count
		x.sent.Store(int64(n))
	}
}

// until waits, without sleep, until a condition holds.
func (x *crash) until(what string, condition func() bool) {
	x.t.Helper()
	for deadline := time.Now().Add(time.Minute); !condition(); runtime.Gosched() {
		if time.Now().After(deadline) {
			x.kill()
			x.t.Fatalf("timed out waiting until %s: %d sent, %d received", what, x.sent.Load(), x.received())
		}
	}
}

// kill ends the child, and then the sender.
func (x *crash) kill() {
	x.t.Helper()
	if err := x.command.Process.Kill(); err != nil {
		x.t.Fatal(err)
	}
	_ = x.command.Wait() // the error is: killed
	x.stop.Store(true)
	<-x.stopped
}

// stopAt stops the child again and again, until sought is true for a stopped child. It returns
// false after too many tries.
func (x *crash) stopAt(tries int, sought func() bool) bool {
	x.t.Helper()
	pid := x.command.Process.Pid
	for range tries {
		if err := unix.Kill(pid, unix.SIGSTOP); err != nil {
			x.t.Fatal(err)
		}
		var status unix.WaitStatus
		for {
			_, err := unix.Wait4(pid, &status, unix.WUNTRACED, nil)
			if err == unix.EINTR {
				continue
			}
			if err != nil || !status.Stopped() {
				x.t.Fatalf("the child does not stop: %v, %v", status, err)
			}
			break
		}
		if sought() {
			return true
		}
		at := x.received()
		if err := unix.Kill(pid, unix.SIGCONT); err != nil {
			x.t.Fatal(err)
		}
		more := at + rand.Int64N(2000)
		x.until("it goes on", func() bool { return x.received() > more })
	}
	return false
}

// settle finalizes the counts of the child, and checks them.
func (x *crash) settle(t *testing.T) metrics.FinalCounts {
	t.Helper()
	heir, err := metrics.NewSharedCounters(metrics.Layout{Listener: bookListener, Shards: crashShards, Batch: crashBatch})
	if err != nil {
		t.Fatal(err)
	}
	defer heir.Close()
	listener := heir.Listeners()[0]
	for i, page := range listener.Shards {
		page.Attach(heldSocket(x.fds[i]))
	}
	for _, path := range x.paths {
		if text, err := os.ReadFile(path); err == nil && len(text) > 0 && text[len(text)-1] != '\n' {
			x.partial++
		}
	}
	counted := metrics.Sum(x.book.Listeners()[0].Read())
	settlement, err := heir.Inherit(x.book, nil).Finalize(func(w metrics.Write) (int, error) { return file.Recover(t.Context(), w) })
	if err != nil {
		t.Error(err)
	}

	seen := make([]byte, x.sent.Load()) // where datagram n was found
	once := func(where byte, text []byte) {
		var n int
		if _, err := fmt.Sscanf(string(text), `{"n":%08d,`, &n); err != nil || !bytes.Equal(text, crashText(n)) || n >= len(seen) {
			t.Errorf("%c: no datagram that was sent: %.40q", where, text)
		} else if seen[n] != 0 {
			t.Errorf("%c: datagram %d is in %c already", where, n, seen[n])
		} else {
			seen[n] = where
		}
	}
	lines, queued := 0, 0
	for _, path := range x.paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for len(text) > 0 {
			end := bytes.IndexByte(text, '\n')
			if end < 0 {
				t.Errorf("%s ends in %d bytes of a record", path, len(text))
				break
			}
			once('f', text[:end])
			text = text[end+1:]
			lines++
		}
	}
	var buf [1 << 16]byte
	for _, fd := range x.fds {
		for {
			n, _, err := unix.Recvfrom(fd, buf[:], unix.MSG_DONTWAIT)
			if err == unix.EAGAIN {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			for text := buf[:n]; len(text) > 0; text = text[min(len(text), crashRecord):] {
				once('q', text[:min(len(text), crashRecord)])
				queued++
			}
		}
	}
	r := metrics.Sum(listener.Read())
	if sent := uint64(len(seen)); sent != uint64(lines)+uint64(queued)+r.Dropped.LostInCrash || r.Dropped.Kernel != 0 {
		t.Errorf("%d sent, but %d in the file, %d queued, %d lost in the crash, %d dropped by the kernel: %d too many; settled %+v, counted %+v",
			sent, lines, queued, r.Dropped.LostInCrash, r.Dropped.Kernel, lines+queued+int(r.Dropped.LostInCrash)-int(sent), settlement, counted)
	}
	if r.Delivered != uint64(lines) || r.InFlight != 0 || r.Received != r.Delivered+r.Dropped.LostInCrash || settlement.Lost != r.Dropped.LostInCrash {
		t.Errorf("%d lines, settled %+v, ledger %+v", lines, settlement, r)
	}
	if r.Delivered < counted.Delivered || r.Received < counted.Received {
		t.Errorf("the ledger went back from %+v to %+v", counted, r)
	}
	return settlement
}

// inReceive: the thread has datagrams from the kernel that are not counted.
func (x *crash) inReceive() bool {
	heir, err := metrics.NewSharedCounters(metrics.Layout{Listener: bookListener, Shards: crashShards, Batch: crashBatch})
	if err != nil {
		x.t.Fatal(err)
	}
	defer heir.Close()
	heir.Inherit(x.book, nil)
	return metrics.Sum(heir.Listeners()[0].Read()).Received > uint64(x.received())
}

// inWrite: a write to a file has begun, and is not counted.
func (x *crash) inWrite() bool {
	for _, w := range x.book.LastWrites() {
		if info, err := os.Stat(w.Path); w.Uncounted && err == nil && info.Size() > w.Size {
			return true
		}
	}
	return false
}

// After SIGKILL at any moment, the final counts are exact to the datagram.
func TestKilled(t *testing.T) {
	const each = 8
	moments := []struct {
		name string
		die  func(x *crash) bool
	}{
		{"at random", func(x *crash) bool {
			n := 1 + rand.Int64N(60_000)
			x.until("so much is sent", func() bool { return x.sent.Load() >= n })
			return false
		}},
		{"as a write begins", func(x *crash) bool {
			x.until("a write begins", func() bool {
				for _, w := range x.book.LastWrites() {
					if w.Uncounted && w.Records > 1 {
						return true
					}
				}
				return false
			})
			return false
		}},
		{"in a receive", func(x *crash) bool { return x.stopAt(100, x.inReceive) }},
		{"in a write", func(x *crash) bool { return x.stopAt(300, x.inWrite) }},
	}
	for _, moment := range moments {
		t.Run(moment.name, func(t *testing.T) {
			var lost, received, delivered uint64
			hits, partial := 0, 0
			for i := range each {
				x := startCrash(t, i%2 == 1, i%4 >= 2)
				x.until("it receives", func() bool { return x.received() > 0 })
				if moment.die(x) {
					hits++
				}
				x.kill()
				s := x.settle(t)
				partial += x.partial
				lost, received, delivered = lost+s.Lost, received+s.Received, delivered+s.Delivered
			}
			t.Logf("%d deaths, %d as aimed; %d lost, of which %d in receivers' memory alone; %d delivered as the files alone know; %d files with an incomplete record",
				each, hits, lost, received, delivered, partial)
		})
	}
}
