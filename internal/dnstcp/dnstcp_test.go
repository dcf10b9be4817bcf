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
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serving answers each question with itself, in upper case; "silence" not at all.
func serving(t *testing.T, s *Server) string {
	t.Helper()
	if s.Begin == nil {
		s.Begin = func(netip.AddrPort) Conversation {
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
	conn, err := net.Dial("tcp", to)
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
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	conn, err := d.Dial("tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.Write(framed("x"))
	if text, err := receive(conn); err != nil || text != "X" {
		t.Errorf("%q, %v", text, err)
	}
}

// A message that is too short to be one ends the connection, at once.
func TestMessagesThatAreTooShort(t *testing.T) {
	conn := connect(t, serving(t, &Server{Least: 3}))
	conn.Write(framed("one", "no", "two"))
	if text, err := receive(conn); err != nil || text != "ONE" {
		t.Errorf("%q, %v", text, err)
	}
	if text, err := receive(conn); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%q, %v", text, err)
	}
}

// When there are too many, those that have been idle for longest make room,
// and those that ask go on.
func TestTooManyConnections(t *testing.T) {
	to := serving(t, &Server{})
	var conns []net.Conn
	for i := range MostConnections {
		conn := connect(t, to)
		conn.Write(framed(fmt.Sprint(i)))
		if _, err := receive(conn); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	first := conns[0]
	first.Write(framed("again")) // not idle for longest any more
	if _, err := receive(first); err != nil {
		t.Fatal(err)
	}
	more := connect(t, to)
	more.Write(framed("more"))
	if text, err := receive(more); err != nil || text != "MORE" {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := receive(conns[1]); !errors.Is(err, io.EOF) {
		t.Errorf("the one that was idle for longest: %v", err)
	}
	for _, conn := range []net.Conn{first, conns[2], conns[MostConnections-1]} {
		conn.Write(framed("still"))
		if text, err := receive(conn); err != nil || text != "STILL" {
			t.Errorf("%q, %v", text, err)
		}
	}
}

// Where answers are awaited that do not come, those that come on and on are
// sent away.
func TestAnswersThatDoNotCome(t *testing.T) {
	var asked atomic.Int32
	stuck := make(chan struct{})
	to := serving(t, &Server{Begin: func(netip.AddrPort) Conversation {
		return func(dst, question []byte) []byte {
			asked.Add(1)
			<-stuck
			return append(dst, question...)
		}
	}})
	t.Cleanup(func() { close(stuck) }) // before Close
	for i := range mostServed {
		connect(t, to).Write(framed("x"))
		for deadline := time.Now().Add(5 * time.Second); asked.Load() <= int32(i); time.Sleep(100 * time.Microsecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%d are served of %d", asked.Load(), i+1)
			}
		}
	}
	for range 10 {
		conn := connect(t, to)
		if _, err := receive(conn); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("one too many is served: %v", err)
		}
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
	if _, err := net.Dial("tcp", socket.Addr().String()); err == nil {
		t.Error("it still listens")
	}
}
