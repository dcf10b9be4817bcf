// Package dnstcp carries DNS messages over TCP, each behind its length in two
// bytes (RFC 1035 4.2.2, RFC 7766). It knows nothing of what they say.
//
// Everything about a connection is bounded: how many there are, how long one
// may be idle or take for a message, and how many questions wait: one, for the
// next is read when the answer to the one before is written (a client that
// sends more finds that TCP makes it wait). When there are too many
// connections, the one that has been idle for longest makes room.
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
	// mostServed is how many are served, with those that had to make room while
	// their answer was awaited: what gives it may wait for others.
	mostServed = 2 * MostConnections
	// IdleTimeout is how long a connection may wait for a question, to be
	// read whole. RFC 7766 6.2.3 leaves it to the server, "of the order of a
	// few seconds".
	IdleTimeout = 10 * time.Second
	// writeTimeout is how long an answer may take to be taken.
	writeTimeout = 5 * time.Second
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

	mu     sync.Mutex
	closed bool
	socket net.Listener
	conns  map[net.Conn]time.Time // since when each is idle; zero: it is not
	served int                    // of them, and of those that made room and have not ended
	all    sync.WaitGroup
}

// Serve accepts and serves until Close, and returns nil then. It owns the
// socket, and may be called once.
func (s *Server) Serve(socket net.Listener) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return socket.Close()
	}
	s.socket, s.conns = socket, make(map[net.Conn]time.Time)
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

// take serves a connection, if its client is let in.
func (s *Server) take(conn net.Conn) {
	client, ok := addrOf(conn)
	if !ok || s.Admit != nil && !s.Admit(client.Addr()) {
		conn.Close()
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.served == mostServed {
		conn.Close()
		return
	}
	if len(s.conns) >= MostConnections {
		s.makeRoom()
	}
	s.conns[conn] = time.Now()
	s.served++
	s.all.Go(func() {
		s.serve(conn, s.Begin(client))
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.conns, conn)
		s.served--
		conn.Close()
	})
}

// makeRoom closes the connection that has been idle for longest, or if none is
// idle any of them.
func (s *Server) makeRoom() {
	var oldest net.Conn
	var since time.Time
	for conn, idle := range s.conns {
		if oldest == nil || !idle.IsZero() && (since.IsZero() || idle.Before(since)) {
			oldest, since = conn, idle
		}
	}
	oldest.Close()
	delete(s.conns, oldest)
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
func (s *Server) serve(conn net.Conn, talk Conversation) {
	question, answer := make([]byte, 512), make([]byte, 0, 2048) // few are longer, and then they grow
	var length [2]byte
	for {
		s.idle(conn, time.Now())
		if conn.SetReadDeadline(time.Now().Add(IdleTimeout)) != nil {
			return
		}
		if _, err := io.ReadFull(conn, length[:]); err != nil {
			return
		}
		n := int(binary.BigEndian.Uint16(length[:]))
		if n < s.Least {
			return
		}
		question = slices.Grow(question[:0], n)[:n]
		if _, err := io.ReadFull(conn, question); err != nil {
			return
		}
		s.idle(conn, time.Time{})
		reply := talk(answer[:0], question)
		if len(reply) == 0 {
			continue
		}
		if conn.SetWriteDeadline(time.Now().Add(writeTimeout)) != nil {
			return
		}
		binary.BigEndian.PutUint16(length[:], uint16(len(reply)))
		both := net.Buffers{length[:], reply} // in one segment, where it fits (RFC 7766 8)
		if _, err := both.WriteTo(conn); err != nil {
			return
		}
		answer = reply
	}
}

func (s *Server) idle(conn net.Conn, since time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, there := s.conns[conn]; there {
		s.conns[conn] = since
	}
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
