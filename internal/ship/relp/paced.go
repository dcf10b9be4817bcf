package relp

import (
	"bufio"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
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
	// raw is nil for a connection that is not TCP.
	raw syscall.RawConn
}

func newPacedConn(socket net.Conn) *pacedConn {
	c := &pacedConn{Conn: socket}
	c.in = bufio.NewReaderSize(socketReader{c}, readSize)
	if tcp, ok := socket.(syscall.Conn); ok {
		c.raw, _ = tcp.SyscallConn()
	}
	return c
}

// Read reads from the buffer, which is filled from the socket.
func (c *pacedConn) Read(p []byte) (int, error) { return c.in.Read(p) }

type socketReader struct{ c *pacedConn }

func (r socketReader) Read(p []byte) (int, error) {
	if r.c.raw != nil {
		r.c.raw.Control(acknowledgeNow)
	}
	if r.c.pausing.Load() {
		time.Sleep(readPause)
	}
	return r.c.Conn.Read(p)
}

// acknowledgeNow makes the kernel send the acknowledgement of what was received, and those of the
// next segments, at once. librelp 1.11 leaves Nagle's algorithm on: its kernel holds a second
// response back until the first is acknowledged, and Linux delays that by 40 ms (tcp(7),
// TCP_QUICKACK, which lasts for a few segments). Without the option, a window takes 40 ms or more.
func acknowledgeNow(fd uintptr) {
	unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1)
}
