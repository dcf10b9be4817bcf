// Package dnstcp carries DNS messages over TCP, each behind its length in two
// bytes (RFC 1035 4.2.2, RFC 7766). It knows nothing of what they say.
//
// Everything about a connection is bounded: how many there are, of all clients
// and of one, how long one may be idle or take for a message, and how many
// questions wait: one, for the next is read when the answer to the one before is
// written (a client that sends more finds that TCP makes it wait). Who has most
// connections is the first to make room for others (package connlimit).
package dnstcp

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/udpshard/udpshard/internal/connlimit"
)

const (
	// MostConnections is what a listener has room for at once: many more than
	// clients that were told to come by TCP at a time, and a fraction of the
	// descriptors that a process usually may have.
	MostConnections = 256
	// MostOfOne is how many of them one client has at the most. RFC 7766 6.2.2 has
	// it use one, or a few, and a server's limit be much looser.
	MostOfOne = MostConnections / 8
	// mostServed is how many are served, with those that had to make room while
	// their answer was awaited: what gives it may wait for others.
	mostServed = 2 * MostConnections
	// freshFor is for how long one that has not asked yet makes no room for those of
	// clients who have no fewer: its question follows a round trip later at the
	// latest, unless it is lost and sent again (after 1 s, RFC 6298 2.1).
	freshFor = 1500 * time.Millisecond
	// IdleTimeout is how long a connection may wait for a question, to be
	// read whole. RFC 7766 6.2.3 leaves it to the server, "of the order of a
	// few seconds".
	IdleTimeout = 10 * time.Second
	// writeTimeout is how long an answer may take to be taken.
	writeTimeout = 5 * time.Second
	// What a client goes on sending to a connection that ends is read for this
	// long, up to so many bytes: a socket that is closed with bytes unread resets
	// the connection, and its client may lose answers (RFC 9293 3.6.1).
	discardTimeout = time.Second
	mostDiscarded  = 1 << 20
)

// Conversation answers the questions of one connection, one after the other,
// on the connection's own goroutine. It appends the answer, of up to 65535
// bytes, to dst and returns it, or nil to say nothing.
type Conversation func(dst, question []byte) []byte

// Server serves connections. Its methods may be called by any goroutine.
type Server struct {
	// Admit says who is served; nil is everybody.
	Admit func(client netip.Addr) bool
	// Least is how long a message is at the least. A shorter one is none: what
	// follows it is not to be made sense of, and the connection ends.
	Least int
	// Begin begins the conversation with a client.
	Begin func(client netip.AddrPort) Conversation
	// Count is told what becomes of each connection; nil is nobody. It must not
	// call the server.
	Count func(Outcome)

	mu     sync.Mutex
	closed bool
	socket net.Listener
	conns  *connlimit.Table
	served int // of conns, and of those that made room and have not ended
	all    sync.WaitGroup
}

// Outcome is what becomes of a connection.
type Outcome int

const (
	Accepted    Outcome = iota // it is served
	NotAdmitted                // Admit does not want it
	Refused                    // there was no room for it
	Evicted                    // it was served, and made room for another one
)

func (s *Server) count(o Outcome) {
	if s.Count != nil {
		s.Count(o)
	}
}

// Open returns how many connections there are.
func (s *Server) Open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns == nil {
		return 0
	}
	all, _ := s.conns.Len(connlimit.Idle)
	return all
}

// Serve accepts and serves until Close, and returns nil then. It owns the
// socket, and may be called once.
func (s *Server) Serve(socket net.Listener) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return socket.Close()
	}
	s.socket = socket
	s.conns = connlimit.NewTable(connlimit.Policy{Most: MostConnections, MostOfOne: MostOfOne, FreshFor: freshFor})
	s.mu.Unlock()
	for {
		conn, err := socket.Accept()
		switch {
		case err == nil:
			s.take(conn)
		case errors.Is(err, net.ErrClosed):
			return nil
		default: // descriptors or memory are short: it passes
			time.Sleep(acceptPause)
		}
	}
}

const acceptPause = 50 * time.Millisecond

// take serves a connection, if its client is let in and there is room.
func (s *Server) take(socket net.Conn) {
	client, ok := addrOf(socket)
	if !ok || s.Admit != nil && !s.Admit(client.Addr()) {
		s.count(NotAdmitted)
		socket.Close()
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.served == mostServed {
		s.count(Refused)
		socket.Close()
		return
	}
	c, evicted, ok := s.conns.Add(socket, client.Addr(), time.Now())
	if !ok {
		s.count(Refused)
		socket.Close()
		return
	}
	if evicted != nil {
		s.count(Evicted)
		evicted.Close()
	}
	s.count(Accepted)
	s.served++
	s.all.Go(func() {
		s.serve(c, s.Begin(client))
		s.mu.Lock()
		defer s.mu.Unlock()
		s.conns.Remove(c)
		s.served--
		c.Close()
	})
}

func addrOf(conn net.Conn) (netip.AddrPort, bool) {
	tcp, ok := conn.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}, false
	}
	at := tcp.AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port()), true
}

// serve answers until the client leaves, is silent for too long, or breaks the
// form.
func (s *Server) serve(conn *connlimit.Conn, talk Conversation) {
	question, answer := make([]byte, 512), make([]byte, 0, 2048) // few are longer, and then they grow
	var length [2]byte
	for {
		if conn.SetReadDeadline(time.Now().Add(IdleTimeout)) != nil {
			return
		}
		if _, err := io.ReadFull(conn, length[:]); err != nil {
			return
		}
		n := int(binary.BigEndian.Uint16(length[:]))
		if n < s.Least {
			finish(conn.Conn)
			return
		}
		question = slices.Grow(question[:0], n)[:n]
		if _, err := io.ReadFull(conn, question); err != nil {
			return
		}
		s.note(conn, connlimit.Busy, time.Now())
		reply := talk(answer[:0], question)
		said := time.Now()
		if len(reply) == 0 {
			s.note(conn, connlimit.Idle, said)
			continue
		}
		if conn.SetWriteDeadline(said.Add(writeTimeout)) != nil {
			return
		}
		binary.BigEndian.PutUint16(length[:], uint16(len(reply)))
		both := net.Buffers{length[:], reply} // in one segment, where it fits (RFC 7766 8)
		if _, err := both.WriteTo(conn.Conn); err != nil {
			return
		}
		s.note(conn, connlimit.Idle, said)
		answer = reply
	}
}

// note notes a connection's state, and since when it is so.
func (s *Server) note(c *connlimit.Conn, is connlimit.State, since time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns.Note(c, is, since)
}

// finish ends a connection whose answers are written, so that they arrive.
func finish(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); !ok || tcp.CloseWrite() != nil || conn.SetReadDeadline(time.Now().Add(discardTimeout)) != nil {
		return
	}
	io.CopyN(io.Discard, conn, mostDiscarded) // whatever comes: it is the end
}

// Close ends Serve and all connections, and waits for them.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	if s.socket != nil {
		s.socket.Close()
	}
	if s.conns != nil {
		s.conns.CloseAll()
	}
	s.mu.Unlock()
	s.all.Wait()
}
