package relp

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/udpshard/udpshard/internal/ship"
	"github.com/udpshard/udpshard/internal/ship/shiptest"
)

// command is a frame that a peer of a test has received.
type command struct {
	transaction int
	name        string
	data        string
}

// peer is the server's side of a connection.
type peer struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

// fake is a server whose test says what it answers.
type fake struct {
	t *testing.T
	l net.Listener
}

func newFake(t *testing.T) *fake {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return &fake{t, l}
}

func (f *fake) url() string { return "relp://" + f.l.Addr().String() }

// accept returns the next connection. Each read and write of the test has an end.
func (f *fake) accept() *peer {
	f.t.Helper()
	if l, ok := f.l.(*net.TCPListener); ok {
		l.SetDeadline(time.Now().Add(20 * time.Second))
	}
	conn, err := f.l.Accept()
	if err != nil {
		f.t.Error(err)
		conn, _ = net.Pipe()
		conn.Close()
	}
	return newPeer(f.t, conn)
}

func newPeer(t *testing.T, conn net.Conn) *peer {
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	t.Cleanup(func() { conn.Close() })
	return &peer{t, conn, bufio.NewReader(conn)}
}

// acceptOpen returns the next connection after its command open.
func (f *fake) acceptOpen() *peer {
	f.t.Helper()
	p := f.accept()
	c, err := p.receive()
	want := command{1, "open", "relp_version=0\nrelp_software=udpshard\ncommands=syslog"}
	if err != nil || c != want {
		f.t.Errorf("%v, %v, want open", c, err)
	}
	p.respond(1, "200 OK\nrelp_version=0\nrelp_software=librelp,1.11.0\ncommands=syslog")
	return p
}

// receive returns the next command. Its reading of frames is independent of the client's.
func (p *peer) receive() (command, error) {
	var c command
	number, err := p.in.ReadString(' ')
	if err != nil {
		return c, err
	}
	if c.transaction, err = strconv.Atoi(strings.TrimSuffix(number, " ")); err != nil {
		return c, err
	}
	if c.name, err = p.in.ReadString(' '); err != nil {
		return c, err
	}
	c.name = strings.TrimSuffix(c.name, " ")
	size := 0
	if _, err = fmt.Fscanf(p.in, "%d", &size); err != nil {
		return c, err
	}
	if size > 0 {
		data := make([]byte, 1+size)
		if _, err = io.ReadFull(p.in, data); err != nil || data[0] != ' ' {
			return c, fmt.Errorf("data %q: %v", data, err)
		}
		c.data = string(data[1:])
	}
	if end, err := p.in.ReadByte(); err != nil || end != '\n' {
		return c, fmt.Errorf("%q in place of LF: %v", end, err)
	}
	return c, nil
}

// syslog returns the next command, which must be a record with a transaction number.
func (p *peer) syslog(transaction int) string {
	p.t.Helper()
	c, err := p.receive()
	if err != nil || c.name != "syslog" || c.transaction != transaction {
		p.t.Errorf("%.100v, %v, want syslog with transaction %d", c, err, transaction)
	}
	return c.data
}

func (p *peer) send(text string) {
	if _, err := io.WriteString(p.conn, text); err != nil {
		p.t.Error(err)
	}
}

func (p *peer) respond(transaction int, data string) {
	p.send(response(transaction, data))
}

func response(transaction int, data string) string {
	return fmt.Sprintf("%d rsp %d %s\n", transaction, len(data), data)
}

// serve acknowledges all records until the client ends the session, and returns the records.
func (p *peer) serve() (records []string) {
	for {
		c, err := p.receive()
		switch {
		case err != nil:
			return records
		case c.name == "close":
			p.respond(c.transaction, "200 OK")
			p.conn.Close()
			return records
		}
		records = append(records, c.data)
		p.respond(c.transaction, "200 OK")
	}
}

// open returns a target, which is closed at the end of the test.
func open(t *testing.T, url string, options ...string) *target {
	t.Helper()
	opened, err := New(shiptest.Settings(t, url, options...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { opened.Close() })
	return opened.(*target)
}

// send calls Send, and returns the channel of the result.
func send(t *testing.T, target *target, records ...string) <-chan error {
	result := make(chan error, 1)
	go func() { result <- target.Send(t.Context(), shiptest.Batch(0, records...)) }()
	return result
}

// await returns the result of Send.
func await(t *testing.T, result <-chan error) error {
	t.Helper()
	select {
	case err := <-result:
		return err
	case <-time.After(20 * time.Second):
		t.Fatal("Send does not return")
		return nil
	}
}

// awaitEnd waits until the end of the session is noticed.
func awaitEnd(t *testing.T, target *target) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !target.session.hasEnded(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the end of the session is not noticed")
		}
	}
}

// check compares a result with the expected one, whose error text is a part of the text.
func check(t *testing.T, err error, text string, acknowledged int, rejected ...ship.Rejection) {
	t.Helper()
	e, ok := err.(*ship.Error)
	if !ok {
		t.Fatalf("%v, want an error %q with %d acknowledged", err, text, acknowledged)
	}
	if (e.Err == nil) != (text == "") || e.Err != nil && !strings.Contains(e.Err.Error(), text) {
		t.Errorf("%v, want %q", e.Err, text)
	}
	if e.Acknowledged != acknowledged || fmt.Sprint(e.Rejected) != fmt.Sprint(rejected) {
		t.Errorf("%d acknowledged, %v rejected, want %d and %v", e.Acknowledged, e.Rejected, acknowledged, rejected)
	}
}
