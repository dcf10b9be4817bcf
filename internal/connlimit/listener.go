package connlimit

import (
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// Listener accepts connections for an http.Server, whose ConnState is the Listener's. A connection
// that makes room is closed, and one for which there is no room is closed at once. Its methods may
// be called by any goroutine.
type Listener struct {
	net.Listener
	mu    sync.Mutex
	table *Table
}

// NewListener returns a Listener that owns socket.
func NewListener(socket net.Listener, p Policy) *Listener {
	return &Listener{Listener: socket, table: NewTable(p)}
}

// conn is a Conn that leaves the Table when it is closed.
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

// ConnState is for http.Server.ConnState. net/http calls a connection active once it has read the
// whole header of a request (conn.serve, Go 1.25): one that sends its header slowly waits.
func (l *Listener) ConnState(of net.Conn, is http.ConnState) {
	c, ok := of.(trackedConn)
	if !ok {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch is {
	case http.StateActive:
		l.table.SetState(c.Conn, Busy, time.Now())
	case http.StateIdle:
		l.table.SetState(c.Conn, Idle, time.Now())
	}
}
