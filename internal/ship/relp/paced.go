package relp

import (
	"bufio"
	"net"
	"sync/atomic"
	"time"
)

// readPause: how long a paced connection waits for more bytes before it reads. rsyslog sends each
// response in a segment of its own, and each would wake the reader.
const readPause = time.Millisecond

// pacedConn is a TCP connection that reads many responses at a time. TLS is on top of a pacedConn:
// a Read of TLS returns one response, if the server sends each in a record of its own.
type pacedConn struct {
	net.Conn
	in *bufio.Reader
	// pausing: wait before each read of the socket. Set while many responses are due.
	pausing atomic.Bool
}

func newPacedConn(socket net.Conn) *pacedConn {
	c := &pacedConn{Conn: socket}
	c.in = bufio.NewReaderSize(socketReader{c}, readSize)
	return c
}

// Read reads from the buffer, which is filled from the socket.
func (c *pacedConn) Read(p []byte) (int, error) { return c.in.Read(p) }

type socketReader struct{ c *pacedConn }

func (r socketReader) Read(p []byte) (int, error) {
	if r.c.pausing.Load() {
		time.Sleep(readPause)
	}
	return r.c.Conn.Read(p)
}
