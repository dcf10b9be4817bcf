// Package dnstcp carries DNS messages over TCP, each behind its length in two
// bytes (RFC 1035 4.2.2, RFC 7766). It knows nothing of what they say.
//
// Everything about a connection is bounded: how many there are, of all clients
// and of one, how long one may be idle or take for a message, and how many
// questions wait: one, for the next is read when the answer to the one before is
// written (a client that sends more finds that TCP makes it wait). Who has most
// connections is the first to make room for others (room.go).
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

	mu      sync.Mutex
	closed  bool
	socket  net.Listener
	conns   map[*connection]struct{}
	clients map[netip.Addr]int // how many of conns each has; see clientOf
	served  int                // of conns, and of those that made room and have not ended
	all     sync.WaitGroup
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
	return len(s.conns)
}

// Serve accepts and serves until Close, and returns nil then. It owns the
// socket, and may be called once.
func (s *Server) Serve(socket net.Listener) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return socket.Close()
	}
	s.socket, s.conns, s.clients = socket, make(map[*connection]struct{}), make(map[netip.Addr]int)
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
	c := &connection{Conn: socket, client: clientOf(client.Addr()), since: time.Now()}
	if s.closed || s.served == mostServed || !s.makeRoom(c) {
		s.count(Refused)
		socket.Close()
		return
	}
	s.count(Accepted)
	s.conns[c] = struct{}{}
	s.clients[c.client]++
	s.served++
	s.all.Go(func() {
		s.serve(c, s.Begin(client))
		s.mu.Lock()
		defer s.mu.Unlock()
		s.remove(c)
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
func (s *Server) serve(conn *connection, talk Conversation) {
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
		s.note(conn, busy, time.Now())
		reply := talk(answer[:0], question)
		said := time.Now()
		if len(reply) == 0 {
			s.note(conn, idle, said)
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
		s.note(conn, idle, said)
		answer = reply
	}
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
	for conn := range s.conns {
		conn.Close()
	}
	s.mu.Unlock()
	s.all.Wait()
}
