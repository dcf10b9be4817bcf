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
	// maxConnections is what a listener has room for at once: many more than
	// clients that were told to come by TCP at a time, and a fraction of the
	// descriptors that a process usually may have.
	maxConnections = 256
	// maxPerClient is how many of them one client has at the most. RFC 7766 6.2.2 has
	// it use one, or a few, and a server's limit be much looser.
	maxPerClient = maxConnections / 8
	// maxServed is how many are served, with those that had to make room while
	// their answer was awaited: what gives it may wait for others.
	maxServed = 2 * maxConnections
	// freshPeriod is for how long one that has not asked yet makes no room for those of
	// clients who have no fewer: its question follows a round trip later at the
	// latest, unless it is lost and sent again (after 1 s, RFC 6298 2.1).
	freshPeriod = 1500 * time.Millisecond
	// idleTimeout is how long a connection may wait for a question, to be
	// read whole. RFC 7766 6.2.3 leaves it to the server, "of the order of a
	// few seconds".
	idleTimeout = 10 * time.Second
	// writeTimeout is how long an answer may take to be taken.
	writeTimeout = 5 * time.Second
	// What a client goes on sending to a connection that ends is read for this
	// long, up to so many bytes: a socket that is closed with bytes unread resets
	// the connection, and its client may lose answers (RFC 9293 3.6.1).
	discardTimeout = time.Second
	maxDiscarded   = 1 << 20
)

// Handler answers the questions of one connection, one after the other,
// on the connection's own goroutine. It appends the answer, of up to 65535
// bytes, to dst and returns it, or nil to say nothing.
type Handler func(dst, question []byte) []byte

// Server serves connections. Its methods may be called by any goroutine.
type Server struct {
	// Admit says who is served; nil is everybody.
	Admit func(client netip.Addr) bool
	// Least is how long a message is at the least. A shorter one is none: what
	// follows it is not to be made sense of, and the connection ends.
	MinMessage int
	// Begin begins the conversation with a client.
	NewHandler func(client netip.AddrPort) Handler
	// Count is told what becomes of each connection; nil is nobody. It must not
	// call the server.
	CountOutcome func(Outcome)

	mu         sync.Mutex
	closed     bool
	socket     net.Listener
	table      *connlimit.Table
	served     int // of conns, and of those that made room and have not ended
	goroutines sync.WaitGroup
}

// Outcome is what becomes of a connection.
type Outcome int

const (
	Accepted    Outcome = iota // it is served
	NotAdmitted                // Admit does not want it
	Refused                    // there was no room for it
	Evicted                    // it was served, and made room for another one
)

func (s *Server) countOutcome(o Outcome) {
	if s.CountOutcome != nil {
		s.CountOutcome(o)
	}
}

// Open returns how many connections there are.
func (s *Server) OpenConnections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.table == nil {
		return 0
	}
	all, _ := s.table.Len(connlimit.Idle)
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
	s.table = connlimit.NewTable(connlimit.Policy{Max: maxConnections, MaxPerClient: maxPerClient, FreshPeriod: freshPeriod})
	s.mu.Unlock()
	for {
		conn, err := socket.Accept()
		switch {
		case err == nil:
			s.acceptConnection(conn)
		case errors.Is(err, net.ErrClosed):
			return nil
		default: // descriptors or memory are short: it passes
			time.Sleep(acceptPause)
		}
	}
}

const acceptPause = 50 * time.Millisecond

// take serves a connection, if its client is let in and there is room.
func (s *Server) acceptConnection(socket net.Conn) {
	client, ok := clientOf(socket)
	if !ok || s.Admit != nil && !s.Admit(client.Addr()) {
		s.countOutcome(NotAdmitted)
		socket.Close()
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.served == maxServed {
		s.countOutcome(Refused)
		socket.Close()
		return
	}
	c, evicted, ok := s.table.Add(socket, client.Addr(), time.Now())
	if !ok {
		s.countOutcome(Refused)
		socket.Close()
		return
	}
	if evicted != nil {
		s.countOutcome(Evicted)
		evicted.Close()
	}
	s.countOutcome(Accepted)
	s.served++
	s.goroutines.Go(func() {
		s.serveConnection(c, s.NewHandler(client))
		s.mu.Lock()
		defer s.mu.Unlock()
		s.table.Remove(c)
		s.served--
		c.Close()
	})
}

func clientOf(conn net.Conn) (netip.AddrPort, bool) {
	tcp, ok := conn.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}, false
	}
	at := tcp.AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port()), true
}

// serve answers until the client leaves, is silent for too long, or breaks the
// form.
func (s *Server) serveConnection(conn *connlimit.Conn, handle Handler) {
	question, answer := make([]byte, 512), make([]byte, 0, 2048) // few are longer, and then they grow
	var length [2]byte
	for {
		if conn.SetReadDeadline(time.Now().Add(idleTimeout)) != nil {
			return
		}
		if _, err := io.ReadFull(conn, length[:]); err != nil {
			return
		}
		n := int(binary.BigEndian.Uint16(length[:]))
		if n < s.MinMessage {
			closeGracefully(conn.Conn)
			return
		}
		question = slices.Grow(question[:0], n)[:n]
		if _, err := io.ReadFull(conn, question); err != nil {
			return
		}
		s.setState(conn, connlimit.Busy, time.Now())
		reply := handle(answer[:0], question)
		answeredAt := time.Now()
		if len(reply) == 0 {
			s.setState(conn, connlimit.Idle, answeredAt)
			continue
		}
		if conn.SetWriteDeadline(answeredAt.Add(writeTimeout)) != nil {
			return
		}
		binary.BigEndian.PutUint16(length[:], uint16(len(reply)))
		buffers := net.Buffers{length[:], reply} // in one segment, where it fits (RFC 7766 8)
		if _, err := buffers.WriteTo(conn.Conn); err != nil {
			return
		}
		s.setState(conn, connlimit.Idle, answeredAt)
		answer = reply
	}
}

// note notes a connection's state, and since when it is so.
func (s *Server) setState(c *connlimit.Conn, state connlimit.State, since time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.table.SetState(c, state, since)
}

// finish ends a connection whose answers are written, so that they arrive.
func closeGracefully(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); !ok || tcp.CloseWrite() != nil || conn.SetReadDeadline(time.Now().Add(discardTimeout)) != nil {
		return
	}
	io.CopyN(io.Discard, conn, maxDiscarded) // whatever comes: it is the end
}

// Close ends Serve and all connections, and waits for them.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	if s.socket != nil {
		s.socket.Close()
	}
	if s.table != nil {
		s.table.CloseAll()
	}
	s.mu.Unlock()
	s.goroutines.Wait()
}
