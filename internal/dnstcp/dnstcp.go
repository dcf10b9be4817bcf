// Package dnstcp carries DNS messages over TCP, each behind its length in two bytes (RFC 1035
// 4.2.2, RFC 7766). The content of messages is left to a Handler.
//
// Every resource of a connection is bounded: the number of connections, in total and per client,
// the time for which a connection may be idle or may take for a message, and the number of waiting
// questions: one, because the next question is read after the answer to the previous question is
// written (TCP slows a faster client down). The client with most connections is the first to make
// room for other clients (package connlimit).
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
	// maxConnections is the limit for a listener: many more than the clients that are told to use
	// TCP at the same time, and a fraction of the usual limit of descriptors.
	maxConnections = 256
	// maxPerClient is the limit for a client. RFC 7766 6.2.2 asks clients to use one connection or
	// a few, and servers to have a much looser limit.
	maxPerClient = maxConnections / 8
	// maxServed is the limit together with evicted connections whose handler still works on an
	// answer: handlers may block.
	maxServed = 2 * maxConnections
	// freshPeriod is the time for which a connection without a question makes no room for clients
	// with as many connections or more. The question follows at most a round trip later, unless the
	// question is lost and sent again (after 1 s, RFC 6298 2.1).
	freshPeriod = 1500 * time.Millisecond
	// idleTimeout is the time until a whole question must have been read. RFC 7766 6.2.3 leaves the
	// time to the server, "of the order of a few seconds".
	idleTimeout = 10 * time.Second
	// writeTimeout is the time for writing an answer.
	writeTimeout = 5 * time.Second
	// Limits for data that a client sends to a connection that ends. The data is read and
	// discarded: a socket that is closed with unread bytes resets the connection, and the client
	// may lose answers (RFC 9293 3.6.1).
	discardTimeout = time.Second
	maxDiscarded   = 1 << 20
)

// Handler answers the questions of one connection, one after another, on the connection's own
// goroutine. Handler appends the answer, at most 65535 bytes, to dst and returns the result, or nil
// for no answer.
type Handler func(dst, question []byte) []byte

// Server serves connections. Any goroutine may call its methods.
type Server struct {
	// Admit reports whether a client is served; nil serves every client.
	Admit func(client netip.Addr) bool
	// MinMessage is the smallest length of a message. A shorter message ends the connection, since
	// the following bytes have no known meaning.
	MinMessage int
	// NewHandler returns the Handler of a new connection from a client to an address of this host.
	NewHandler func(client, local netip.AddrPort) Handler
	// CountOutcome is called with the outcome of each connection, if not nil. CountOutcome must not
	// call the server.
	CountOutcome func(Outcome)

	mu         sync.Mutex
	closed     bool
	socket     net.Listener
	table      *connlimit.Table
	served     int // connections in table, and evicted connections that have not ended
	goroutines sync.WaitGroup
}

// Outcome is what happened to a connection.
type Outcome int

const (
	Accepted    Outcome = iota // served
	NotAdmitted                // refused by Admit
	Refused                    // no room
	Evicted                    // served, then closed to make room for a new connection
)

func (s *Server) countOutcome(o Outcome) {
	if s.CountOutcome != nil {
		s.CountOutcome(o)
	}
}

// OpenConnections returns the number of connections.
func (s *Server) OpenConnections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.table == nil {
		return 0
	}
	all, _ := s.table.Len(connlimit.Idle)
	return all
}

// Serve accepts and serves connections until Close, and then returns nil. Serve owns the socket,
// and may be called once.
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
		default: // descriptors or memory are short for a while
			time.Sleep(acceptRetryInterval)
		}
	}
}

const acceptRetryInterval = 50 * time.Millisecond

// acceptConnection serves a connection, if the client is admitted and the server has room.
func (s *Server) acceptConnection(socket net.Conn) {
	client, ok := addressOf(socket.RemoteAddr())
	local, _ := addressOf(socket.LocalAddr())
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
		s.serveConnection(c, s.NewHandler(client, local))
		s.mu.Lock()
		defer s.mu.Unlock()
		s.table.Remove(c)
		s.served--
		c.Close()
	})
}

// addressOf returns the address of an end of a TCP connection.
func addressOf(end net.Addr) (netip.AddrPort, bool) {
	tcp, ok := end.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}, false
	}
	at := tcp.AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port()), true
}

// serveConnection answers until the client leaves, is idle for too long, or sends a message that is
// too short.
func (s *Server) serveConnection(conn *connlimit.Conn, handle Handler) {
	question, answer := make([]byte, 512), make([]byte, 0, 2048) // few messages are longer; the buffers grow for them
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
		buffers := net.Buffers{length[:], reply} // in one segment if possible (RFC 7766 8)
		if _, err := buffers.WriteTo(conn.Conn); err != nil {
			return
		}
		s.setState(conn, connlimit.Idle, answeredAt)
		answer = reply
	}
}

// setState sets a connection's state, and the time at which the state began.
func (s *Server) setState(c *connlimit.Conn, state connlimit.State, since time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.table.SetState(c, state, since)
}

// closeGracefully ends a connection so that the answers that are written arrive.
func closeGracefully(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); !ok || tcp.CloseWrite() != nil || conn.SetReadDeadline(time.Now().Add(discardTimeout)) != nil {
		return
	}
	io.CopyN(io.Discard, conn, maxDiscarded) // the result does not matter: the connection ends
}

// Close ends Serve and all connections, and waits for their end.
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
