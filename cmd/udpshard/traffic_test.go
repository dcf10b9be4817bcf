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
	"github.com/udpshard/udpshard/metrics"
)

// senders are sockets that send numbered syslog messages in turn.
type senders struct {
	t      *testing.T
	conns  []*net.UDPConn
	batch  []*ipv4.PacketConn
	next   []int // number of the next message of each socket
	sent   int
	prefix []byte // of each message
	suffix []byte // of each message
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

// burst sends count messages from a socket.
func (s *senders) burst(sender, count int) {
	s.t.Helper()
	messages := make([]ipv4.Message, count)
	for i := range messages {
		text := fmt.Appendf(bytes.Clone(s.prefix), "<134>1 2026-11-20T10:00:00.123456Z host%d app 42 - - number %d", sender, s.next[sender]+i)
		messages[i].Buffers = [][]byte{append(text, s.suffix...)}
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

// send sends messages until total messages were sent since newSenders, at a rate per second. At
// rate 0 send does not pause.
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

// recordChecker checks the records of senders: each message at most once, in the order of its
// sender.
type recordChecker struct {
	last   map[string]int // last message number by host name
	faults []string
}

func newRecordChecker() *recordChecker { return &recordChecker{last: make(map[string]int)} }

func (r *recordChecker) check(line []byte) {
	var record struct{ Hostname, Appname, Message, Format string }
	if err := json.Unmarshal(line, &record); err != nil || record.Format != "rfc5424" || record.Appname != "app" {
		r.fault("bad record %q: %v", line, err)
		return
	}
	digits, _ := strings.CutPrefix(record.Message, "number ")
	digits, _, _ = strings.Cut(digits, " ") // the suffix of senders
	number, err := strconv.Atoi(digits)
	if err != nil {
		r.fault("record %q: %v", line, err)
		return
	}
	if last, ok := r.last[record.Hostname]; ok && number <= last {
		r.fault("%s: message %d follows message %d", record.Hostname, number, last)
	}
	r.last[record.Hostname] = number
}

func (r *recordChecker) fault(format string, args ...any) {
	if len(r.faults) < 10 {
		r.faults = append(r.faults, fmt.Sprintf(format, args...))
	}
}

// sendUntilStopped sends datagrams from 16 sockets until stop is called. stop returns their number.
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
				time.Sleep(time.Millisecond) // about 15,000 datagrams a second
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

// sendInTurn sends a datagram to each address, pauses, and repeats until stop is called. stop
// returns the number of datagrams.
func sendInTurn(t *testing.T, addresses []string, pause time.Duration) (stop func() uint64) {
	t.Helper()
	var conns []*senders
	for _, address := range addresses {
		conns = append(conns, newSenders(t, address, 1))
	}
	var ended atomic.Bool
	sent := make(chan uint64)
	go func() {
		n := uint64(0)
		for !ended.Load() {
			for _, c := range conns {
				c.conns[0].Write([]byte("x"))
				n++
			}
			time.Sleep(pause)
		}
		sent <- n
	}()
	return func() uint64 {
		ended.Store(true)
		return <-sent
	}
}

// startSend starts `send`. report ends `send`, and returns its report.
func startSend(t *testing.T, address string, args ...string) (report func() loadgen.Summary) {
	t.Helper()
	path := builtProgram(t)
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
		cmd.Wait() // the report says more than the exit code
		if err := json.Unmarshal([]byte(out.String()), &r); err != nil {
			t.Fatalf("%v: %q", err, out)
		}
		return r
	}
}

// startLoad starts `send` to p, and returns when p has received 10,000 datagrams.
func (p *process) startLoad(address string, args ...string) (report func() loadgen.Summary) {
	p.t.Helper()
	report = startSend(p.t, address, args...)
	p.waitForLoad(10_000)
	return report
}

// wantNoDrops fails the test if the kernel dropped datagrams, unless the kernel granted smaller
// receive buffers than p asked for.
func (p *process) wantNoDrops(kernel uint64) {
	p.t.Helper()
	if kernel > 0 && !p.hasLogged("smaller than asked") {
		p.t.Errorf("got %d datagrams dropped by the kernel, want none", kernel)
	}
}

// wantAccounted compares the report of `send` with the ledger of p: each datagram became one
// record, was lost in a crash, or was dropped by the kernel. ordered: records have the order of
// their sender.
func (p *process) wantAccounted(r loadgen.Summary, ordered bool) (total metrics.Reading) {
	p.t.Helper()
	total = p.settledTotal()
	all, lost, kernel := r.Records.Total, total.Dropped.LostInCrash, total.Dropped.Kernel
	p.wantNoDrops(kernel)
	if all.Arrived+lost+kernel != r.Sent || all.Doubled > 0 || ordered && all.Reordered > 0 ||
		total.Received+kernel != r.Sent || total.Delivered != all.Arrived {
		p.t.Errorf("got records %+v of %d sent, and ledger %+v", all, r.Sent, total)
	}
	return total
}
