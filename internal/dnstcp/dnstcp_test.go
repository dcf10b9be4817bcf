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

// startServer starts a server that answers each question with the question in upper case, and does
// not answer "silence".
func startServer(t *testing.T, s *Server) string {
	t.Helper()
	if s.NewHandler == nil {
		s.NewHandler = func(_, _ netip.AddrPort) Handler {
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

// dialFrom dials from a loopback address.
func dialFrom(address string) *net.Dialer {
	return &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
}

func connectFrom(t *testing.T, address, to string) net.Conn {
	t.Helper()
	conn, err := dialFrom(address).Dial("tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	return conn
}

func frame(texts ...string) (all []byte) {
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

// Questions are answered in order, for every way to cut them into segments, and up to the largest
// size.
func TestHandlers(t *testing.T) {
	to := startServer(t, &Server{})
	conn := connect(t, to)
	long := string(bytes.Repeat([]byte("x"), 65535))
	all := frame("one", "two", "", "silence", "three", long, "four")
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

// A client that Admit refuses is not served.
func TestAdmission(t *testing.T) {
	to := startServer(t, &Server{Admit: func(client netip.Addr) bool { return client == netip.MustParseAddr("127.0.0.2") }})
	if text, err := receive(connect(t, to)); err == nil {
		t.Errorf("%q", text)
	}
	conn := connectFrom(t, "127.0.0.2", to)
	conn.Write(frame("x"))
	if text, err := receive(conn); err != nil || text != "X" {
		t.Errorf("%q, %v", text, err)
	}
}

// A message below MinMessage ends the connection at once and in order: no earlier answer is lost,
// even if the client sends more data.
func TestMessagesThatAreTooShort(t *testing.T) {
	for name, behind := range map[string]string{"nothing": "", "a message": "two", "a lot": strings.Repeat("x", 60_000)} {
		t.Run(name, func(t *testing.T) {
			conn := connect(t, startServer(t, &Server{MinMessage: 3}))
			conn.Write(append(frame("one", "no"), behind...))
			if text, err := receive(conn); err != nil || text != "ONE" {
				t.Errorf("%q, %v", text, err)
			}
			if text, err := receive(conn); err != io.EOF {
				t.Errorf("%q, %v, want the end", text, err)
			}
			if _, err := conn.Write(frame("more")); err != nil {
				t.Errorf("it was reset: %v", err)
			}
		})
	}
}

// A client that sends data after the end is cut off.
func TestDataAfterTheEnd(t *testing.T) {
	s := &Server{MinMessage: 3}
	to := startServer(t, s)
	conn := connect(t, to)
	conn.Write(frame("no"))
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
	quiet.Write(frame("no"))
	for began := time.Now(); time.Since(began) < 20*time.Second; time.Sleep(time.Millisecond) {
		if s.OpenConnections() == 0 {
			return
		}
	}
	t.Errorf("%d are open", s.OpenConnections())
}

// outcomes counts the outcomes of connections.
type outcomes [Evicted + 1]atomic.Int64

func (o *outcomes) count(what Outcome) { o[what].Add(1) }

// addresses returns n loopback addresses other than 127.0.0.1.
func addresses(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("127.0.%d.%d", 1+i/200, 1+i%200))
	}
	return all
}

// waitAllIdle waits until the server knows that all answers are written. A client may read the
// answer before.
func waitAllIdle(t *testing.T, s *Server) {
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

// fillServer opens as many connections as the server has room for, and asks a question on each.
func fillServer(t *testing.T, to string) (conns []net.Conn) {
	t.Helper()
	for _, address := range addresses(maxConnections / maxPerClient) {
		for range maxPerClient {
			conn := connectFrom(t, address, to)
			conn.Write(frame("x"))
			if _, err := receive(conn); err != nil {
				t.Fatal(err)
			}
			conns = append(conns, conn)
		}
	}
	return conns
}

// Above the limit, the connection that has been idle for longest makes room, and the rest continue.
func TestTooManyConnections(t *testing.T) {
	var is outcomes
	s := &Server{CountOutcome: is.count}
	to := startServer(t, s)
	conns := fillServer(t, to)
	first := conns[0]
	first.Write(frame("again")) // so that another connection is idle for longest
	if _, err := receive(first); err != nil {
		t.Fatal(err)
	}
	waitAllIdle(t, s)
	more := connect(t, to)
	more.Write(frame("more"))
	if text, err := receive(more); err != nil || text != "MORE" {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := receive(conns[1]); !errors.Is(err, io.EOF) {
		t.Errorf("the one that was idle for longest: %v", err)
	}
	for _, conn := range []net.Conn{first, conns[2], conns[maxConnections-1]} {
		conn.Write(frame("still"))
		if text, err := receive(conn); err != nil || text != "STILL" {
			t.Errorf("%q, %v", text, err)
		}
	}
	if n := s.OpenConnections(); n != maxConnections || is[Accepted].Load() != maxConnections+1 || is[Evicted].Load() != 1 || is[Refused].Load() != 0 {
		t.Errorf("%d open, %d accepted, %d evicted, %d refused", n, is[Accepted].Load(), is[Evicted].Load(), is[Refused].Load())
	}
}

// Above the limit of a client, an idle connection of the same client makes room. If the client has
// no idle connection, the new connection is refused.
func TestTooManyConnectionsOfOneClient(t *testing.T) {
	var is outcomes
	s := &Server{CountOutcome: is.count}
	to := startServer(t, s)
	other := connectFrom(t, "127.0.0.2", to)
	other.Write(frame("x")) // the connection that is idle for longest
	if _, err := receive(other); err != nil {
		t.Fatal(err)
	}
	var conns []net.Conn
	for range maxPerClient {
		conn := connect(t, to)
		conn.Write(frame("x"))
		if _, err := receive(conn); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	waitAllIdle(t, s)
	more := connect(t, to)
	more.Write(frame("more"))
	if text, err := receive(more); err != nil || text != "MORE" {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := receive(conns[0]); !errors.Is(err, io.EOF) {
		t.Errorf("the client's own that was idle for longest: %v", err)
	}
	other.Write(frame("other"))
	if text, err := receive(other); err != nil || text != "OTHER" {
		t.Errorf("%q, %v", text, err)
	}
	if n := s.OpenConnections(); n != 1+maxPerClient || is[Evicted].Load() != 1 {
		t.Errorf("%d are open, %d made room", n, is[Evicted].Load())
	}

	// All connections of the client are fresh. Repeated with another client if the machine was so
	// slow that the first connections are no longer fresh.
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

// Clients that open many connections do not keep out clients with few connections, even if the
// latter ask late. The fair share is twelve here. A client that asks again has ten, until the
// server sees the end of five.
func TestFloodsOfConnections(t *testing.T) {
	const honest, pause = 5, 150 * time.Millisecond
	for _, flooding := range []int{1, 20} {
		t.Run(fmt.Sprint(flooding), func(t *testing.T) {
			to := startServer(t, &Server{})
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
						conn, err := dialFrom(address).Dial("tcp", to)
						if err != nil {
							continue // the server's queue is full
						}
						opened.Add(1)
						conn.(*net.TCPConn).SetLinger(0) // frees the port at once
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
						conn, err := dialFrom("127.0.0.1").Dial("tcp", to)
						if err != nil {
							t.Error(err)
							continue
						}
						conn.SetDeadline(time.Now().Add(20 * time.Second))
						time.Sleep(pause)
						conn.Write(frame("x"))
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

// While handlers block and no answers come, the server refuses connections above maxServed.
func TestBlockedHandlers(t *testing.T) {
	var asked atomic.Int32
	stuck := make(chan struct{})
	var is outcomes
	to := startServer(t, &Server{CountOutcome: is.count, NewHandler: func(_, _ netip.AddrPort) Handler {
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
		connectFrom(t, address, to).Write(frame("x"))
		for deadline := time.Now().Add(20 * time.Second); asked.Load() < want; time.Sleep(100 * time.Microsecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%d are served, not %d", asked.Load(), want)
			}
		}
	}
	for i, address := range addresses(2 * maxServed) {
		times := 1 // a client with fewer connections than other clients is served
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

// Close ends waiting connections, and a Serve that begins later.
func TestClose(t *testing.T) {
	s := &Server{}
	to := startServer(t, s)
	conn := connect(t, to)
	conn.Write(frame("x"))
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
