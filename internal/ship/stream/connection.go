package stream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"time"

	"github.com/udpshard/udpshard/internal/ship"
)

// connection is a connection to a collector. One goroutine calls the methods.
type connection struct {
	socket *socket
	stream io.ReadWriter // socket, or TLS above it
	timer  *time.Timer   // of await
	frames bool          // of dnstap: see openFrames

	incoming []byte // of checkPeer
	foreign  string // protocol of another kind that the peer speaks, without TLS
	broken   bool   // a write has failed: the stream ends in a part of a frame

	start int    // bytes that the socket had written at begin
	marks []mark // with TLS: the writes since begin
}

// mark says that the first plain bytes since begin are in the first wire bytes of the socket.
type mark struct{ plain, wire int }

// connectTimeout: for the name, TCP and TLS together. A host that is away answers nothing.
const connectTimeout = 10 * time.Second

// keepAlive finds a peer that died while no records came, within a minute.
var keepAlive = net.KeepAliveConfig{
	Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3}

// connect connects to the target, whose name is resolved anew.
func connect(ctx context.Context, s *ship.Settings) (*connection, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	dialer := net.Dialer{KeepAliveConfig: keepAlive}
	network, address := "tcp", s.URL.Host
	if s.URL.Scheme == schemeUnix {
		network, address = "unix", s.URL.Path
	}
	dialed, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	socket, err := newSocket(dialed.(rawConn))
	if err != nil {
		_ = dialed.Close()
		return nil, err
	}
	c := &connection{socket: socket, stream: socket, timer: time.NewTimer(0)}
	if isDnstap(s) {
		if err := c.openFrames(ctx); err != nil {
			_ = dialed.Close()
			return nil, fmt.Errorf("handshake of dnstap with %s: %w", address, withoutAddresses(err))
		}
	}
	if s.URL.Scheme == "tls" {
		if err := c.handshake(ctx, s); err != nil {
			_ = dialed.Close()
			return nil, fmt.Errorf("TLS handshake with %s: %w", s.URL.Host, withoutAddresses(err))
		}
	}
	socket.polling = true
	return c, nil
}

// maxReads bounds what one checkPeer reads: collectors of syslog send nothing but what TLS needs.
const (
	maxReads = 64
	readSize = 16 << 10 // a record of TLS
)

var errClosed = errors.New("closed by the peer")

// checkPeer throws away what the peer has sent. It returns errClosed if the peer has closed the
// connection for writing, and the error if the connection has failed.
func (c *connection) checkPeer() error {
	if c.incoming == nil {
		c.incoming = make([]byte, readSize)
	}
	for range maxReads {
		n, err := c.stream.Read(c.incoming)
		if n > 0 && c.foreign == "" && c.stream == c.socket {
			c.foreign = foreignProtocol(c.incoming[:n])
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return errClosed
		case err != nil:
			return err
		}
	}
	return nil
}

// begin begins a batch: acknowledged will count the bytes that are written from now on. Writes end
// early when the context ends.
func (c *connection) begin(ctx context.Context) {
	c.socket.ctx = ctx
	c.start = c.socket.written
	c.marks = c.marks[:0]
}

// tlsRecord is the most plain bytes in a record of TLS (RFC 8446 section 5.1).
const tlsRecord = 16 << 10

// write writes frames. After an error nothing more can be written.
func (c *connection) write(p []byte) error {
	if c.stream == c.socket {
		_, err := c.socket.Write(p)
		c.broken = err != nil
		return err
	}
	plain := 0
	if len(c.marks) > 0 {
		plain = c.marks[len(c.marks)-1].plain
	}
	for len(p) > 0 {
		n := min(len(p), tlsRecord)
		if _, err := c.stream.Write(p[:n]); err != nil {
			c.broken = true
			return err
		}
		plain += n
		c.marks = append(c.marks, mark{plain, c.socket.written - c.start})
		p = p[n:]
	}
	return nil
}

// The pauses between questions for the send queue. The runtime makes the first ones about 1 ms when
// the process is idle otherwise. A peer that reads nothing for long is asked less often.
const (
	firstPause = 100 * time.Microsecond
	maxPause   = 5 * time.Millisecond
	longPause  = 100 * time.Millisecond
)

// await waits until the peer's TCP has acknowledged all that was written.
func (c *connection) await(ctx context.Context) error {
	began := time.Now()
	for pause := firstPause; ; pause *= 2 {
		acknowledged, err := c.socket.acknowledged()
		switch {
		case err != nil:
			return err
		case acknowledged == c.socket.written && c.socket.isUnix:
			return c.checkPeer() // a peer that has closed may have read nothing
		case acknowledged == c.socket.written:
			return nil
		}
		// A peer that has closed its side may still read.
		if err := c.checkPeer(); err != nil && !errors.Is(err, errClosed) {
			return err
		}
		if err := c.socket.checkAlive(began); err != nil {
			return err
		}
		pause = min(pause, max(maxPause, min(longPause, time.Since(began)/16)))
		if err := c.pause(ctx, pause); err != nil {
			return err
		}
	}
}

func (c *connection) pause(ctx context.Context, d time.Duration) error {
	c.timer.Reset(d)
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-c.timer.C:
		return nil
	}
}

// acknowledged returns how many of the first bytes since begin the peer's TCP had acknowledged when
// the connection failed. After an alert of TLS that number is 0, as the peer may have refused
// everything since begin, and at a unix socket it is 0, as nothing is known.
func (c *connection) acknowledged(failure error) int {
	wire, err := c.socket.acknowledged()
	wire -= c.start
	switch {
	case err != nil, wire < 0, isAlert(failure), c.socket.isUnix:
		return 0
	case c.stream == c.socket:
		return wire
	}
	byWire := func(m mark, wire int) int { return m.wire - wire }
	n, _ := slices.BinarySearchFunc(c.marks, wire+1, byWire)
	if n == 0 {
		return 0
	}
	return c.marks[n-1].plain
}

// withoutAddresses returns the error in a net.OpError of a connection: the message names the target
// already.
func withoutAddresses(err error) error {
	var opErr *net.OpError
	if errors.As(err, &opErr) && !isAlert(err) {
		return opErr.Err
	}
	return err
}

// close closes the connection. What has arrived is read first: Linux would reset the connection
// instead (tcp_close, net/ipv4/tcp.c), and a reset makes the peer lose what its program has not
// read.
func (c *connection) close() error {
	c.timer.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	c.socket.ctx = ctx
	_ = c.checkPeer() // the connection ends in any case
	if c.frames && !c.broken {
		c.closeFrames()
	}
	if stream, ok := c.stream.(*tls.Conn); ok && !c.broken {
		return stream.Close()
	}
	return c.socket.Close()
}
