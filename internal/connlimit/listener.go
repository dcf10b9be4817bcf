package connlimit

import (
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// Listener accepts connections for an http.Server, whose ConnState must be the Listener's. Evicted
// connections and connections without room are closed. Any goroutine may call the methods.
type Listener struct {
	net.Listener
	mu    sync.Mutex
	table *Table
}

// NewListener returns a Listener that owns socket.
func NewListener(socket net.Listener, p Policy) *Listener {
	return &Listener{Listener: socket, table: NewTable(p)}
}

// trackedConn is a Conn whose Close removes the Conn from the Table.
type trackedConn struct {
	*Conn
	listener *Listener
}

func (c trackedConn) Close() error {
	c.listener.mu.Lock()
	c.listener.table.Remove(c.Conn)
	c.listener.mu.Unlock()
	return c.Conn.Close()
}

// Accept implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		socket, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		var client netip.Addr
		if at, ok := socket.RemoteAddr().(*net.TCPAddr); ok {
			client = at.AddrPort().Addr()
		}
		l.mu.Lock()
		c, evicted, ok := l.table.Add(socket, client, time.Now())
		l.mu.Unlock()
		if evicted != nil {
			evicted.Conn.Close()
		}
		if ok {
			return trackedConn{c, l}, nil
		}
		socket.Close()
	}
}

// ConnState is for http.Server.ConnState. A connection with an incomplete header is not busy:
// net/http calls a connection active after the whole header (conn.serve, Go 1.25).
func (l *Listener) ConnState(conn net.Conn, state http.ConnState) {
	c, ok := conn.(trackedConn)
	if !ok {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch state {
	case http.StateActive:
		l.table.SetState(c.Conn, Busy, time.Now())
	case http.StateIdle:
		l.table.SetState(c.Conn, Idle, time.Now())
	}
}
