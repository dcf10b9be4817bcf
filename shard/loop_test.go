package shard

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/steer"
	"github.com/udpshard/udpshard/metrics"
	"github.com/udpshard/udpshard/packet"
)

// holdingSink keeps records until Flush, like the sinks of outputs.
type holdingSink struct {
	counters *metrics.Shard
	buf      []byte
	held     atomic.Uint64
}

func (s *holdingSink) Buffer() []byte    { return s.buf }
func (s *holdingSink) Commit(buf []byte) { s.buf = buf[:0]; s.held.Add(1) }
func (s *holdingSink) Flush()            { s.counters.Delivered.Add(s.held.Swap(0)) }

// holding returns a configuration with one shard and a holdingSink. handle is called for each
// datagram.
func holding(handle func(b *packet.Batch, text string)) Config {
	return Config{Address: "127.0.0.1:0", Shards: 1, MaxDatagram: 10,
		Sink: func(_ int, counters *metrics.Shard) (packet.Sink, error) {
			return &holdingSink{counters: counters}, nil
		},
		Handler: func(int) packet.Handler {
			return packet.HandlerFunc(func(b *packet.Batch) {
				for _, d := range b.Datagrams {
					handle(b, string(d.Payload))
				}
			})
		},
	}
}

func record(b *packet.Batch, text string) { b.Commit(append(b.Record(), text...)) }

// Records are flushed while the shard reads, with and without further datagrams.
func TestRecordsAreFlushedInTime(t *testing.T) {
	g, _ := start(t, holding(record))
	conn := dial(t, g.Addr().String())
	conn.Write([]byte("alone"))
	eventually(t, "the record is flushed", func() bool { return total(g).Delivered == 1 })
	eventually(t, "records are flushed while more come", func() bool {
		conn.Write([]byte("more"))
		return total(g).Delivered > 1
	})
}

// The time of a flush depends on the oldest record in the sink.
func TestTheOldestRecordTimesTheFlush(t *testing.T) {
	g := open(t, holding(record))
	defer g.Close()
	s, conn, now := g.shards[0], dial(t, g.Addr().String()), time.Now()
	for i := range 3 {
		conn.Write([]byte("x"))
		s.receiver.Reset()
		n, err := s.receiver.Receive(s.fd, unix.MSG_DONTWAIT)
		if n != 1 || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
		if err := s.processBatch(s.fd, n, now.Add(time.Duration(i)*receiveTimeout)); err != nil {
			t.Fatal(err)
		}
		if !s.oldestRecord.Equal(now) {
			t.Errorf("after batch %d: %s late", i, s.oldestRecord.Sub(now))
		}
	}
}

// A shard flushes its records at the end of Run.
func TestRecordsAreFlushedAtTheEnd(t *testing.T) {
	for range 10 { // receiveTimeout may pass before the end
		g, stop := start(t, holding(record))
		conn := dial(t, g.Addr().String())
		conn.Write([]byte("x"))
		eventually(t, "it is read", func() bool { return total(g).Received == 1 })
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if r := total(g); r.Delivered != 1 || r.InFlight != 0 {
			t.Errorf("%d delivered, %d in flight", r.Delivered, r.InFlight)
		}
	}
}

// Records of surplus sockets are flushed before Run.
func TestRecordsOfSurplusSocketsAreFlushed(t *testing.T) {
	first := open(t, Config{Address: "127.0.0.1:0", Shards: 4, Steering: Steering{Mode: steer.Hash}})
	const sent = 64
	for range sent {
		dial(t, first.Addr().String()).Write([]byte("x"))
	}
	files, err := first.Sockets()
	if err != nil {
		t.Fatal(err)
	}
	first.Close()
	c := holding(record)
	c.Address = first.Addr().String()
	next := open(t, c, inherited(files, first.Seed()))
	closeFiles(files)
	defer next.Close()
	adopt(t, next)
	drainSurplus(t, next)
	r := total(next)
	if r.Received == 0 || r.Received == sent || r.Delivered != r.Received {
		t.Errorf("%d of %d received, %d delivered", r.Received, sent, r.Delivered)
	}
}

// A shard has no heartbeat and no thread after its end, and so is not stalled.
func TestAShardThatHasEndedIsNotStalled(t *testing.T) {
	g, stop := start(t, holding(record))
	eventually(t, "it reads", func() bool { return len(notReady(g)) == 0 })
	page := g.Listener().Shards[0]
	if page.LastHeartbeat() == 0 || page.Thread() == 0 {
		t.Errorf("pulse %d, thread %d of a shard that reads", page.LastHeartbeat(), page.Thread())
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if page.LastHeartbeat() != 0 || page.Thread() != 0 {
		t.Errorf("pulse %d, thread %d of a shard that has ended", page.LastHeartbeat(), page.Thread())
	}
}

// Datagrams that were queued before a shutdown of the socket are handled.
func TestTheQueueBeforeAShutdownIsHandled(t *testing.T) {
	entered, hold := make(chan struct{}), make(chan struct{})
	first := true
	c := holding(func(b *packet.Batch, text string) {
		if first {
			first = false
			close(entered)
			<-hold
		}
		record(b, text)
	})
	g := open(t, c)
	r := run(t, g)
	conn := dial(t, g.Addr().String())
	conn.Write([]byte("x"))
	<-entered
	const queued = 5
	for range queued {
		conn.Write([]byte("y"))
	}
	err := unix.Shutdown(g.shards[0].fd, unix.SHUT_RDWR)
	if err != nil && !errors.Is(err, unix.ENOTCONN) {
		t.Fatal(err)
	}
	close(hold)
	if err := r.wait(t); !errors.Is(err, errShutdown) {
		t.Errorf("%v", err)
	}
	if r := total(g); r.Received != 1+queued || r.Delivered != 1+queued || r.InFlight != 0 {
		t.Errorf("%d received and %d delivered of %d", r.Received, r.Delivered, 1+queued)
	}
}

// Transient errors for five seconds end the group. Here the errors are ICMP errors: the socket
// sends to a closed port again and again.
func TestErrorsWithoutEndEndTheGroup(t *testing.T) {
	nobody, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(nobody, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	closed, err := unix.Getsockname(nobody)
	unix.Close(nobody)
	if err != nil {
		t.Fatal(err)
	}
	g := open(t, holding(record))
	files, err := g.Sockets()
	if err != nil {
		t.Fatal(err)
	}
	defer closeFiles(files)
	fd := int(files[0].Fd())
	if err := unix.Connect(fd, closed); err != nil {
		t.Fatal(err)
	}
	r := run(t, g)
	var ended atomic.Bool
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for !ended.Load() {
			if waitFor(fd, 0, time.Millisecond) { // POLLERR: an error that no receive has returned yet
				time.Sleep(time.Millisecond)
				continue
			}
			unix.Write(fd, []byte("x"))
		}
	}()
	err = r.wait(t)
	ended.Store(true)
	<-sent
	if !errors.Is(err, unix.ECONNREFUSED) || !strings.Contains(err.Error(), "100 times in a row") {
		t.Errorf("%v", err)
	}
}

// The ledger counts the results of handlers.
func TestResultsOfHandlersAreCounted(t *testing.T) {
	for _, gro := range []bool{false, true} {
		t.Run(fmt.Sprintf("gro %t", gro), func(t *testing.T) { countsResults(t, gro) })
	}
}

func countsResults(t *testing.T, gro bool) {
	c := holding(func(b *packet.Batch, text string) {
		switch text {
		case "malformed":
			b.Malformed()
		case "unparsed":
			b.Unparsed()
			record(b, text)
		case "header":
			b.MalformedHeader()
			record(b, text)
		case "record":
			record(b, text)
		}
	})
	c.GRO = gro
	g, _ := start(t, c)
	conn := dial(t, g.Addr().String())
	texts := map[string]int{
		"malformed": 2, "unparsed": 3, "header": 4, "record": 5, "nothing": 6, "is too long": 7,
	}
	sent, bytes := 0, 0
	for text, times := range texts {
		for range times {
			conn.Write([]byte(text))
			sent, bytes = sent+1, bytes+min(len(text), 10)
		}
	}
	eventually(t, "all is counted", func() bool {
		r := total(g)
		return r.Received == uint64(sent) && r.InFlight == 0
	})
	r := total(g)
	if d := r.Dropped; d.Malformed != 2 || d.Received() != 2 {
		t.Errorf("dropped: %+v", d)
	}
	if r.Unparsed != 3 || r.MalformedHeader != 4 || r.Truncated != 7 ||
		r.Delivered != uint64(sent)-2 || r.Bytes != uint64(bytes) {
		t.Errorf("%+v", r)
	}
	if r.Batches == 0 || r.Batches > uint64(sent) {
		t.Errorf("%d batches of %d datagrams", r.Batches, sent)
	}
}
