package relp

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/udpshard/udpshard/internal/ship"
)

func TestResponsesOutOfOrder(t *testing.T) {
	f := newFake(t)
	result := send(t, open(t, f.url()), "a", "b", "c", "d")
	p := f.acceptOpen()
	for i := range 4 {
		p.syslog(2 + i)
	}
	for _, transaction := range []int{5, 3, 2} {
		p.respond(transaction, "200 OK")
	}
	select {
	case err := <-result:
		t.Fatalf("%v before the last response", err)
	default:
	}
	p.respond(4, "200")
	if err := await(t, result); err != nil {
		t.Error(err)
	}
}

// The records from the first gap on are sent again, in a new session.
func TestPrefixIsAcknowledged(t *testing.T) {
	f := newFake(t)
	target := open(t, f.url())
	result := send(t, target, "a", "b", "c", "d")
	p := f.acceptOpen()
	for i := range 4 {
		p.syslog(2 + i)
	}
	p.send(response(2, "200 OK") + response(3, "500 bad b") + response(5, "200 OK"))
	p.conn.Close()
	check(t, await(t, result), "session ended by the server: connection closed", 2, ship.Rejection{Index: 1, Reason: "500 bad b"})

	result = send(t, target, "c", "d")
	p = f.acceptOpen()
	if c, d := p.syslog(2), p.syslog(3); c != "c" || d != "d" {
		t.Errorf("%q %q", c, d)
	}
	p.send(response(2, "200 OK") + response(3, "200 OK"))
	if err := await(t, result); err != nil {
		t.Error(err)
	}
}

// A record is rejected only if the session goes on after the response.
func TestRejected(t *testing.T) {
	f := newFake(t)
	target := open(t, f.url(), "max_size", "3")
	result := send(t, target, "large", "b", "", "d")
	p := f.acceptOpen()
	if b, empty, d := p.syslog(2), p.syslog(3), p.syslog(4); b != "b" || empty != "" || d != "d" {
		t.Errorf("%q %q %q", b, empty, d)
	}
	p.send(response(4, "500 text\x07 of \xff server\nmore") + response(2, "501") + response(3, "200 OK"))
	check(t, await(t, result), "", 0, ship.Rejection{Index: 0, Reason: "record of 5 bytes: max_size is 3 bytes"},
		ship.Rejection{Index: 1, Reason: "501"}, ship.Rejection{Index: 3, Reason: "500 text  of ? server"})

	result = send(t, target, "a", "b", "c")
	p.syslog(5)
	p.syslog(6)
	p.send(response(5, "200 OK") + response(6, "500 disk full"))
	p.conn.Close()
	check(t, await(t, result), `after the response "500 disk full": session ended`, 1)

	check(t, target.Send(t.Context(), batchOf("large", "1234")), "", 0,
		ship.Rejection{Index: 0, Reason: "record of 5 bytes: max_size is 3 bytes"},
		ship.Rejection{Index: 1, Reason: "record of 4 bytes: max_size is 3 bytes"})
}

// Responses that arrive in pieces, and with pieces of the next one, are put together.
func TestResponsesInPieces(t *testing.T) {
	f := newFake(t)
	result := send(t, open(t, f.url()), "a", "b", "c")
	p := f.accept()
	p.receive()
	second := response(2, "200 OK")
	begin := response(1, "200 OK\nrelp_version=1\ncommands=eventlog,syslog\n") + "0 hint 3 x\ny\n" + second[:4]
	for i := range len(begin) {
		p.send(begin[i : i+1])
	}
	for transaction := 2; transaction <= 4; transaction++ { // no record is answered before it is sent
		p.syslog(transaction)
	}
	rest := second[4:] + response(3, "200 "+string(make([]byte, 20<<10))) + response(4, "200 OK")
	const piece = 20 << 10 // from within one response to within the next
	p.send(rest[:2])
	p.send(rest[2:piece])
	for i := piece; i < len(rest); i++ {
		p.send(rest[i : i+1])
	}
	if err := await(t, result); err != nil {
		t.Error(err)
	}
}

// A session with a response that cannot be is over.
func TestWrongResponses(t *testing.T) {
	for text, want := range map[string]string{
		"HTTP/1.1 200 OK\r\n":                 "no frame of RELP",
		"2 rsp 6 200 OKx\n":                   "no frame of RELP",
		"3 rsp 0\n":                           "response without a code",
		"3 rsp 4 2000\n":                      "response without a code",
		"4 rsp 6 200 OK\n":                    "response to transaction 4, which is not open",
		"1 rsp 6 200 OK\n":                    "response to transaction 1, which is not open",
		"2 rsp 6 200 OK\n2 rsp 6 200 OK\n":    "response to transaction 2, which is not open",
		"3 syslog 1 x\n":                      "command syslog from the server",
		"3 rsp 999999999 200 OK\n":            "frame of 999999999 bytes",
		"3 serverclose 0\n":                   "command serverclose from the server",
		"0 serverclose 0\n3 rsp 6 200 OK\n":   "session ended by the server: serverclose",
		"0 serverclose 1 x\n3 rsp 6 200 OK\n": "session ended by the server: serverclose",
	} {
		f := newFake(t)
		target := open(t, f.url())
		result := send(t, target, "a", "b")
		p := f.acceptOpen()
		p.syslog(2)
		p.syslog(3)
		p.send("2 rsp 6 200 OK\n" + text)
		check(t, await(t, result), want, 1)
		if c, err := p.receive(); err == nil {
			t.Errorf("%q: %v in the session after the error", text, c)
		}
	}
}

// A server that sends serverclose, FIN or RST gets no record more: the next batch is in a session of
// its own.
func TestIdleSessionEnds(t *testing.T) {
	for name, end := range map[string]func(*peer){
		"serverclose": func(p *peer) { p.send("0 serverclose 0\n") },
		"FIN":         func(p *peer) { p.conn.(*net.TCPConn).CloseWrite() },
		"RST":         func(p *peer) { p.conn.(*net.TCPConn).SetLinger(0); p.conn.Close() },
		"response":    func(p *peer) { p.respond(2, "200 OK") },
	} {
		f := newFake(t)
		target := open(t, f.url())
		result := send(t, target, "a")
		p := f.acceptOpen()
		p.syslog(2)
		p.respond(2, "200 OK")
		if err := await(t, result); err != nil {
			t.Fatal(err)
		}
		end(p)
		awaitEnd(t, target)
		result = send(t, target, "b")
		next := f.acceptOpen()
		next.syslog(2)
		next.respond(2, "200 OK")
		if err := await(t, result); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if c, err := p.receive(); err == nil {
			t.Errorf("%s: %v in the session that has ended", name, c)
		}
	}
}

// A session that ends as the batch is written, before any response, is replaced at once. A new
// session that ends so is an error.
func TestStaleSession(t *testing.T) {
	f := newFake(t)
	target := open(t, f.url())
	result := send(t, target, "a")
	p := f.acceptOpen()
	p.syslog(2)
	p.respond(2, "200 OK")
	if err := await(t, result); err != nil {
		t.Fatal(err)
	}
	result = send(t, target, "b")
	p.syslog(3)
	p.conn.Close()
	p = f.acceptOpen()
	if b := p.syslog(2); b != "b" {
		t.Errorf("%q", b)
	}
	p.conn.Close()
	check(t, await(t, result), "connection closed", 0)
}

// The client never has more open records than the window permits, and goes on as responses arrive.
func TestWindow(t *testing.T) {
	for _, window := range []int{1, 2, 3, 7} {
		f := newFake(t)
		records := make([]string, 50)
		for i := range records {
			records[i] = strconv.Itoa(i)
		}
		result := send(t, open(t, f.url(), "window", strconv.Itoa(window)), records...)
		p := f.acceptOpen()
		var open []int
		for i, record := range records {
			if got := p.syslog(2 + i); got != record {
				t.Fatalf("%q, want %q", got, record)
			}
			open = append(open, 2+i)
			if i+1 < window || i+1 > window && len(open) <= window/2 && i+1 < len(records) {
				continue
			}
			if i+1 == window { // a client that disregards the window has written more by now
				p.conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
				if _, err := p.in.ReadByte(); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Fatalf("window %d: %v after %d records without response", window, err, len(open))
				}
				p.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
			}
			for _, transaction := range slices.Backward(open) {
				p.respond(transaction, "200 OK")
			}
			open = nil
		}
		if err := await(t, result); err != nil {
			t.Error(err)
		}
	}
}

// A batch that would pass the last transaction number is in a new session, and the old one ends with
// close.
func TestLastTransactionNumber(t *testing.T) {
	f := newFake(t)
	target := open(t, f.url())
	result := send(t, target, "a")
	p := f.acceptOpen()
	p.syslog(2)
	p.respond(2, "200 OK")
	if err := await(t, result); err != nil {
		t.Fatal(err)
	}
	target.session.next = maxTransaction - 2
	result = send(t, target, "b", "c")
	for i := range 2 {
		p.syslog(maxTransaction - 2 + i)
		p.respond(maxTransaction-2+i, "200 OK")
	}
	if err := await(t, result); err != nil {
		t.Fatal(err)
	}
	result = send(t, target, "d")
	if c, err := p.receive(); err != nil || c.name != "close" || c.transaction != maxTransaction {
		t.Errorf("%v, %v, want close", c, err)
	}
	p.respond(maxTransaction, "200 OK")
	p = f.acceptOpen()
	if d := p.syslog(2); d != "d" {
		t.Errorf("%q", d)
	}
	p.respond(2, "200 OK")
	if err := await(t, result); err != nil {
		t.Error(err)
	}
}

// A thousand sessions leave no goroutine (TestMain) and no descriptor.
func TestSessionsLeaveNothing(t *testing.T) {
	descriptors(t)
	f := newFake(t)
	target := open(t, f.url())
	for i := range 1000 {
		result := send(t, target, "a")
		p := f.acceptOpen()
		p.syslog(2)
		if i%3 == 0 {
			p.respond(2, "200 OK")
		}
		p.conn.Close()
		if err := await(t, result); (err == nil) != (i%3 == 0) {
			t.Fatal(fmt.Sprint(i), err)
		}
	}
}
