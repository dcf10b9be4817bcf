package connlimit

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const most = 8

// startServer starts an HTTP server with large answers.
func startServer(t *testing.T) (address string, l *Listener) {
	t.Helper()
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l = NewListener(socket, Policy{Max: most, EvictBusy: true})
	server := &http.Server{ConnState: l.ConnState, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/large" {
			for range 1 << 10 {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		}
		io.WriteString(w, "answer")
	})}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	t.Cleanup(func() {
		server.Close()
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return socket.Addr().String(), l
}

func connect(t *testing.T, to, send string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.WriteString(conn, send); err != nil {
		t.Fatal(err)
	}
	return conn
}

const request = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"

// readAnswer reads an answer.
func readAnswer(conn net.Conn) error {
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); err != nil || string(body) != "answer" {
		return fmt.Errorf("%q, %v", body, err)
	}
	return nil
}

// A new request is answered, regardless of how many connections are kept open, and how.
func TestANewRequestIsAnswered(t *testing.T) {
	for name, send := range map[string]string{
		"that say nothing":            "",
		"that send a header slowly":   "GET / HTTP/1.1\r\nHost: local",
		"that have been answered":     request,
		"that send a body slowly":     "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nx",
		"that don't read the answers": "GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			to, l := startServer(t)
			for range 3 * most {
				connect(t, to, send)
			}
			for range 10 {
				if err := readAnswer(connect(t, to, request)); err != nil {
					t.Error(err)
				}
			}
			l.mu.Lock()
			defer l.mu.Unlock()
			if all, _ := l.table.Len(Idle); all > most {
				t.Errorf("%d connections", all)
			}
		})
	}
}

// A request under way is finished while other connections wait for their requests.
func TestARequestUnderWayIsFinished(t *testing.T) {
	to, l := startServer(t)
	slow := connect(t, to, "GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Microsecond) {
		l.mu.Lock()
		_, busy := l.table.Len(Busy)
		l.mu.Unlock()
		if busy == 1 {
			break
		} else if time.Now().After(deadline) {
			t.Fatal("the request has not begun")
		}
	}
	for range 3 * most {
		connect(t, to, "")
	}
	if err := readAnswer(connect(t, to, request)); err != nil { // all earlier connections are accepted by now
		t.Error(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(slow), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if n, err := io.Copy(io.Discard, response.Body); err != nil || n != 64<<20+int64(len("answer")) {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// isClosed reports whether the peer has closed a connection.
func isClosed(conn net.Conn) bool {
	_, err := conn.Read(make([]byte, 1))
	return errors.Is(err, io.EOF)
}

// A connection without room is closed at once, and so is an evicted connection.
func TestConnectionsWithoutRoomAreClosed(t *testing.T) {
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := NewListener(socket, Policy{Max: 1, FreshPeriod: time.Hour})
	accepted, ended := make(chan net.Conn, 10), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- conn
		}
	}()
	defer func() {
		l.Close()
		<-ended
	}()
	next := func() net.Conn {
		t.Helper()
		select {
		case conn := <-accepted:
			return conn
		case <-time.After(20 * time.Second):
			t.Fatal("a connection has no room")
			return nil
		}
	}
	to := socket.Addr().String()
	first := connect(t, to, "")
	served := next()
	for range 3 {
		if !isClosed(connect(t, to, "")) {
			t.Error("a connection without room is open")
		}
	}
	l.ConnState(served, http.StateActive)
	if !isClosed(connect(t, to, "")) {
		t.Error("a busy one has made room")
	}
	l.ConnState(served, http.StateIdle)
	second := connect(t, to, "")
	next().Close()
	if !isClosed(first) || !isClosed(second) {
		t.Error("one that made room is open")
	}
	if all, _ := l.table.Len(Fresh); all != 0 {
		t.Errorf("%d connections are left", all)
	}
}

// A closed connection leaves the Table.
func TestClosedConnectionsLeave(t *testing.T) {
	to, l := startServer(t)
	for range 3 * most {
		conn := connect(t, to, request)
		if err := readAnswer(conn); err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
	kept := connect(t, to, "")
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Microsecond) {
		l.mu.Lock()
		all, _ := l.table.Len(Idle)
		l.mu.Unlock()
		if all == 1 {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("%d connections are in the table, want 1", all)
		}
	}
	kept.SetDeadline(time.Now().Add(20 * time.Millisecond))
	if _, err := kept.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection that is left: %v", err)
	}
}
