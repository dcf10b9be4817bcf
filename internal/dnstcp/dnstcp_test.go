package dnstcp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/udpshard/udpshard/internal/connlimit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serving answers each question with itself, in upper case; "silence" not at all.
func serving(t *testing.T, s *Server) string {
	t.Helper()
	if s.NewHandler == nil {
		s.NewHandler = func(netip.AddrPort) Handler {
			return func(dst, question []byte) []byte {
				if string(question) == "silence" {
					return nil
				}
				return append(dst, bytes.ToUpper(question)...)
			}
		}
	}
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(socket) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return socket.Addr().String()
}

func connect(t *testing.T, to string) net.Conn {
	t.Helper()
	return connectFrom(t, "127.0.0.1", to)
}

// from dials from an address of loopback.
func from(address string) *net.Dialer {
	return &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
}

func connectFrom(t *testing.T, address, to string) net.Conn {
	t.Helper()
	conn, err := from(address).Dial("tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	return conn
}

func framed(texts ...string) (all []byte) {
	for _, text := range texts {
		all = append(binary.BigEndian.AppendUint16(all, uint16(len(text))), text...)
	}
	return all
}

func receive(conn net.Conn) (string, error) {
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return "", err
	}
	text := make([]byte, binary.BigEndian.Uint16(length[:]))
	_, err := io.ReadFull(conn, text)
	return string(text), err
}

// Questions are answered in order, however they are cut into segments, and as
// long as they can be.
func TestConversations(t *testing.T) {
	to := serving(t, &Server{})
	conn := connect(t, to)
	long := string(bytes.Repeat([]byte("x"), 65535))
	all := framed("one", "two", "", "silence", "three", long, "four")
	go func() {
		for _, cut := range []int{1, 3, 9, len(all) - 2} {
			conn.Write(all[:min(cut, len(all))])
			all = all[min(cut, len(all)):]
		}
		conn.Write(all)
	}()
	for _, want := range []string{"ONE", "TWO", "THREE", string(bytes.ToUpper([]byte(long))), "FOUR"} {
		if got, err := receive(conn); err != nil || got != want {
			t.Fatalf("%.10q (%d bytes), %v, want %.10q", got, len(got), err, want)
		}
	}
}

// Who is not let in is not served.
func TestAdmission(t *testing.T) {
	to := serving(t, &Server{Admit: func(client netip.Addr) bool { return client == netip.MustParseAddr("127.0.0.2") }})
	if text, err := receive(connect(t, to)); err == nil {
		t.Errorf("%q", text)
	}
	conn := connectFrom(t, "127.0.0.2", to)
	conn.Write(framed("x"))
	if text, err := receive(conn); err != nil || text != "X" {
		t.Errorf("%q, %v", text, err)
	}
}

// A message that is too short to be one ends the connection, at once and in
// order: nothing that was answered is lost, whatever is sent behind it.
func TestMessagesThatAreTooShort(t *testing.T) {
	for name, behind := range map[string]string{"nothing": "", "a message": "two", "a lot": strings.Repeat("x", 60_000)} {
		t.Run(name, func(t *testing.T) {
			conn := connect(t, serving(t, &Server{MinMessage: 3}))
			conn.Write(append(framed("one", "no"), behind...))
			if text, err := receive(conn); err != nil || text != "ONE" {
				t.Errorf("%q, %v", text, err)
			}
			if text, err := receive(conn); err != io.EOF {
				t.Errorf("%q, %v, want the end", text, err)
			}
			if _, err := conn.Write(framed("more")); err != nil {
				t.Errorf("it was reset: %v", err)
			}
		})
	}
}

// Who sends on after the end is cut off.
func TestWhoSendsOnAfterTheEnd(t *testing.T) {
	s := &Server{MinMessage: 3}
	to := serving(t, s)
	conn := connect(t, to)
	conn.Write(framed("no"))
	if text, err := receive(conn); err != io.EOF {
		t.Errorf("%q, %v", text, err)
	}
	junk := make([]byte, 1<<16)
	for began := time.Now(); ; {
		if _, err := conn.Write(junk); err != nil {
			break
		} else if time.Since(began) > 20*time.Second {
			t.Fatal("everything is read")
		}
	}
	quiet := connect(t, to)
	quiet.Write(framed("no"))
	for began := time.Now(); time.Since(began) < 20*time.Second; time.Sleep(time.Millisecond) {
		if s.OpenConnections() == 0 {
			return
		}
	}
	t.Errorf("%d are open", s.OpenConnections())
}

// outcomes counts what becomes of connections.
type outcomes [Evicted + 1]atomic.Int64

func (o *outcomes) count(what Outcome) { o[what].Add(1) }

// addresses returns n of loopback, without the first.
func addresses(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("127.0.%d.%d", 1+i/200, 1+i%200))
	}
	return all
}

// allIdle waits until the server has seen that all answers are written, which
// clients may see before.
func allIdle(t *testing.T, s *Server) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Microsecond) {
		s.mu.Lock()
		all, waiting := s.table.Len(connlimit.Idle)
		s.mu.Unlock()
		if waiting == all {
			return
		} else if time.Now().After(deadline) {
			t.Fatalf("%d of %d are idle", waiting, all)
		}
	}
}

// fill makes as many connections as there is room for, each of which has asked.
func fill(t *testing.T, to string) (conns []net.Conn) {
	t.Helper()
	for _, address := range addresses(maxConnections / maxPerClient) {
		for range maxPerClient {
			conn := connectFrom(t, address, to)
			conn.Write(framed("x"))
			if _, err := receive(conn); err != nil {
				t.Fatal(err)
			}
			conns = append(conns, conn)
		}
	}
	return conns
}

// When there are too many, those that have been idle for longest make room,
// and those that ask go on.
func TestTooManyConnections(t *testing.T) {
	var is outcomes
	s := &Server{CountOutcome: is.count}
	to := serving(t, s)
	conns := fill(t, to)
	first := conns[0]
	first.Write(framed("again")) // not idle for longest any more
	if _, err := receive(first); err != nil {
		t.Fatal(err)
	}
	allIdle(t, s)
	more := connect(t, to)
	more.Write(framed("more"))
	if text, err := receive(more); err != nil || text != "MORE" {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := receive(conns[1]); !errors.Is(err, io.EOF) {
		t.Errorf("the one that was idle for longest: %v", err)
	}
	for _, conn := range []net.Conn{first, conns[2], conns[maxConnections-1]} {
		conn.Write(framed("still"))
		if text, err := receive(conn); err != nil || text != "STILL" {
			t.Errorf("%q, %v", text, err)
		}
	}
	if n := s.OpenConnections(); n != maxConnections || is[Accepted].Load() != maxConnections+1 || is[Evicted].Load() != 1 || is[Refused].Load() != 0 {
		t.Errorf("%d open, %d accepted, %d evicted, %d refused", n, is[Accepted].Load(), is[Evicted].Load(), is[Refused].Load())
	}
}

// One client has a part of them. Those that it does not use make room for its
// own; where none waits, it gets no more.
func TestTooManyConnectionsOfOneClient(t *testing.T) {
	var is outcomes
	s := &Server{CountOutcome: is.count}
	to := serving(t, s)
	other := connectFrom(t, "127.0.0.2", to)
	other.Write(framed("x")) // idle for longest
	if _, err := receive(other); err != nil {
		t.Fatal(err)
	}
	var conns []net.Conn
	for range maxPerClient {
		conn := connect(t, to)
		conn.Write(framed("x"))
		if _, err := receive(conn); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	allIdle(t, s)
	more := connect(t, to)
	more.Write(framed("more"))
	if text, err := receive(more); err != nil || text != "MORE" {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := receive(conns[0]); !errors.Is(err, io.EOF) {
		t.Errorf("the client's own that was idle for longest: %v", err)
	}
	other.Write(framed("other"))
	if text, err := receive(other); err != nil || text != "OTHER" {
		t.Errorf("%q, %v", text, err)
	}
	if n := s.OpenConnections(); n != 1+maxPerClient || is[Evicted].Load() != 1 {
		t.Errorf("%d are open, %d made room", n, is[Evicted].Load())
	}

	// All have just been opened: again, with another client, where others had the
	// CPU for so long that the first of them count as waiting.
	for client := 3; ; client++ {
		address, began, refused := fmt.Sprint("127.0.0.", client), time.Now(), is[Refused].Load()
		for range maxPerClient {
			connectFrom(t, address, to)
		}
		_, err := receive(connectFrom(t, address, to))
		if time.Since(began) > freshPeriod && client < 9 {
			continue
		}
		if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("one too many is served: %v", err)
		}
		if n := is[Refused].Load() - refused; n != 1 {
			t.Errorf("%d were refused", n)
		}
		return
	}
}

// Whoever opens connections and more connections takes none from clients who
// have few, also if they take their time to ask. Here a fair part is twelve, and
// who asks again has ten until the server sees that five have ended.
func TestFloodsOfConnections(t *testing.T) {
	const honest, pause = 5, 150 * time.Millisecond
	for _, flooding := range []int{1, 20} {
		t.Run(fmt.Sprint(flooding), func(t *testing.T) {
			to := serving(t, &Server{})
			var floods, asking sync.WaitGroup
			stop := make(chan struct{})
			var opened atomic.Int64
			for _, address := range addresses(flooding) {
				floods.Go(func() {
					var open []net.Conn
					defer func() {
						for _, conn := range open {
							conn.Close()
						}
					}()
					for {
						select {
						case <-stop:
							return
						default:
						}
						conn, err := from(address).Dial("tcp", to)
						if err != nil {
							continue // the server's queue is full
						}
						opened.Add(1)
						conn.(*net.TCPConn).SetLinger(0) // its port is free at once
						if open = append(open, conn); len(open) > maxConnections {
							open[0].Close()
							open = open[1:]
						}
					}
				})
			}
			for opened.Load() < 2*maxConnections {
				time.Sleep(time.Millisecond)
			}
			began := opened.Load()
			for client := range honest {
				asking.Go(func() {
					for range 4 {
						conn, err := from("127.0.0.1").Dial("tcp", to)
						if err != nil {
							t.Error(err)
							continue
						}
						conn.SetDeadline(time.Now().Add(20 * time.Second))
						time.Sleep(pause)
						conn.Write(framed("x"))
						if text, err := receive(conn); err != nil || text != "X" {
							t.Errorf("client %d: %q, %v", client, text, err)
						}
						conn.Close()
					}
				})
			}
			asking.Wait()
			close(stop)
			floods.Wait()
			t.Logf("%d connections were opened meanwhile", opened.Load()-began)
		})
	}
}

// Where answers are awaited that do not come, those that come on and on are
// sent away.
func TestAnswersThatDoNotCome(t *testing.T) {
	var asked atomic.Int32
	stuck := make(chan struct{})
	var is outcomes
	to := serving(t, &Server{CountOutcome: is.count, NewHandler: func(netip.AddrPort) Handler {
		return func(dst, question []byte) []byte {
			asked.Add(1)
			<-stuck
			return append(dst, question...)
		}
	}})
	t.Cleanup(func() { close(stuck) }) // before Close
	ask := func(address string) {
		t.Helper()
		want := asked.Load() + 1
		connectFrom(t, address, to).Write(framed("x"))
		for deadline := time.Now().Add(20 * time.Second); asked.Load() < want; time.Sleep(100 * time.Microsecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%d are served, not %d", asked.Load(), want)
			}
		}
	}
	for i, address := range addresses(2 * maxServed) {
		times := 1 // whoever has fewer than others is served
		switch {
		case i < maxConnections/maxPerClient:
			times = maxPerClient
		case i < 64:
			times = 3
		}
		for ; times > 0 && asked.Load() < maxServed; times-- {
			ask(address)
		}
	}
	for range 10 {
		conn := connect(t, to)
		if _, err := receive(conn); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("one too many is served: %v", err)
		}
	}
	if n := is[Refused].Load(); n != 10 {
		t.Errorf("%d were refused", n)
	}
}

// Close ends connections that wait, and Serve that has not begun.
func TestClose(t *testing.T) {
	s := &Server{}
	to := serving(t, s)
	conn := connect(t, to)
	conn.Write(framed("x"))
	if _, err := receive(conn); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if _, err := receive(conn); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
	early := &Server{}
	early.Close()
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := early.Serve(socket); err != nil {
		t.Error(err)
	}
	if conn, err := socket.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("it still listens: %v, %v", conn, err)
	}
}
