package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/ipv4"

	"github.com/udpshard/udpshard/internal/loadgen"
)

// senders are sockets that send numbered syslog messages in turn.
type senders struct {
	t     *testing.T
	conns []*net.UDPConn
	batch []*ipv4.PacketConn
	next  []int // number of each one's next message
	sent  int
	begin []byte // of each message
}

func newSenders(t *testing.T, to string, count int) *senders {
	t.Helper()
	s := &senders{t: t, next: make([]int, count)}
	for range count {
		conn, err := net.Dial("udp", to)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		s.conns = append(s.conns, conn.(*net.UDPConn))
		s.batch = append(s.batch, ipv4.NewPacketConn(conn.(*net.UDPConn)))
	}
	return s
}

// burst sends count messages from one sender.
func (s *senders) burst(sender, count int) {
	s.t.Helper()
	messages := make([]ipv4.Message, count)
	for i := range messages {
		text := fmt.Appendf(bytes.Clone(s.begin), "<134>1 2026-11-20T10:00:00.123456Z host%d app 42 - - number %d", sender, s.next[sender]+i)
		messages[i].Buffers = [][]byte{text}
	}
	for len(messages) > 0 {
		n, err := s.batch[sender].WriteBatch(messages, 0)
		if err != nil {
			s.t.Fatal(err)
		}
		messages = messages[n:]
		s.next[sender] += n
		s.sent += n
	}
}

// send sends until total messages were sent, at a rate per second (0: as
// fast as it goes).
func (s *senders) send(total, rate int) {
	s.t.Helper()
	const size = 25
	began, before := time.Now(), s.sent
	for s.sent < total {
		s.burst(s.sent/size%len(s.conns), min(size, total-s.sent))
		if rate > 0 {
			due := began.Add(time.Duration(s.sent-before) * time.Second / time.Duration(rate))
			time.Sleep(time.Until(due))
		}
	}
}

// reader checks records of senders: each at most once, in order of sending.
type recordChecker struct {
	last    map[string]int
	records int
	faults  []string
}

func newRecordChecker() *recordChecker { return &recordChecker{last: make(map[string]int)} }

func (r *recordChecker) read(line []byte) {
	var record struct{ Hostname, Appname, Message, Format string }
	if err := json.Unmarshal(line, &record); err != nil || record.Format != "rfc5424" || record.Appname != "app" {
		r.fault("record %q: %v", line, err)
		return
	}
	digits, _ := strings.CutPrefix(record.Message, "number ")
	number, err := strconv.Atoi(digits)
	if err != nil {
		r.fault("record %q: %v", line, err)
		return
	}
	r.records++
	if last, ok := r.last[record.Hostname]; ok && number <= last {
		r.fault("%s: number %d comes after %d", record.Hostname, number, last)
	}
	r.last[record.Hostname] = number
}

func (r *recordChecker) fault(format string, args ...any) {
	if len(r.faults) < 10 {
		r.faults = append(r.faults, fmt.Sprintf(format, args...))
	}
}

// datagramsTo sends datagrams from several sources until stop is called, which returns how many.
func sendUntilStopped(t *testing.T, to string) (stop func() uint64) {
	t.Helper()
	var conns []net.Conn
	for range 16 {
		conn, err := net.Dial("udp", to)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	var ended atomic.Bool
	sent := make(chan uint64, 1)
	go func() {
		var n uint64
		for ; !ended.Load(); n++ {
			if _, err := fmt.Fprint(conns[n%16], "datagram ", n); err != nil {
				t.Error(err)
				break
			}
			if n%20 == 0 {
				time.Sleep(time.Millisecond) // some 15,000 a second
			}
		}
		for _, conn := range conns {
			conn.Close()
		}
		sent <- n
	}()
	return func() uint64 {
		ended.Store(true)
		return <-sent
	}
}

// trickle sends a datagram to each address in turn, until it is told to stop, which returns how
// many it has sent.
func sendInTurn(t *testing.T, addresses []string, pause time.Duration) (stop func() uint64) {
	t.Helper()
	var conns []*senders
	for _, address := range addresses {
		conns = append(conns, newSenders(t, address, 1))
	}
	var over atomic.Bool
	ended := make(chan uint64)
	go func() {
		sent := uint64(0)
		for !over.Load() {
			for _, c := range conns {
				c.conns[0].Write([]byte("x"))
				sent++
			}
			time.Sleep(pause)
		}
		ended <- sent
	}()
	return func() uint64 {
		over.Store(true)
		return <-ended
	}
}

// sendingTo starts `send` and returns a function that ends it, and returns its
// report: load lasts for as long as a test needs it.
func startSend(t *testing.T, address string, args ...string) (report func() loadgen.Summary) {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, append([]string{"send", "--json", "--to", address, "--duration", "1m"}, args...)...)
	asNobody(cmd)
	out := new(safeBuffer)
	cmd.Stdout, cmd.Stderr = out, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	return func() (r loadgen.Summary) {
		t.Helper()
		cmd.Process.Signal(syscall.SIGINT)
		cmd.Wait() // its exit code says no more than the report
		if err := json.Unmarshal([]byte(out.String()), &r); err != nil {
			t.Fatalf("%v: %q", err, out)
		}
		return r
	}
}
