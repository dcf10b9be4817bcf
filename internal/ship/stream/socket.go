package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// socket is the TCP connection below TLS, or a connection to a unix socket. It counts the bytes that
// it has written, and asks the kernel which of them the peer's TCP has acknowledged or, at a unix
// socket, whether the peer has read all of them. One goroutine calls the methods.
type socket struct {
	rawConn
	isUnix   bool
	raw      syscall.RawConn
	ctx      context.Context // of the present Send: TLS passes none to Write
	written  int             // bytes, with those of TLS
	read     int
	polling  bool          // Read returns os.ErrDeadlineExceeded instead of waiting
	patience time.Duration // deadAfter
}

// rawConn is a *net.TCPConn or a *net.UnixConn.
type rawConn interface {
	net.Conn
	syscall.Conn
}

func newSocket(conn rawConn) (*socket, error) {
	raw, err := conn.SyscallConn()
	_, isUnix := conn.(*net.UnixConn)
	return &socket{rawConn: conn, isUnix: isUnix, raw: raw, ctx: context.Background(), patience: deadAfter}, err
}

// checkEvery: how long a write waits for room in the send buffer before the next look at the
// context and at the peer.
const checkEvery = time.Second

// Write writes all bytes, however long the peer keeps its window closed. Write ends early after the
// end of the context, and when the peer is dead.
func (s *socket) Write(p []byte) (n int, err error) {
	for began := time.Now(); n < len(p); {
		next := time.Now().Add(checkEvery)
		if end, ok := s.ctx.Deadline(); ok && end.Before(next) {
			next = end
		}
		if err := s.SetWriteDeadline(next); err != nil {
			return n, err
		}
		if s.ctx.Err() != nil {
			return n, context.Cause(s.ctx)
		}
		k, err := s.rawConn.Write(p[n:])
		n += k
		s.written += k
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = s.checkAlive(began)
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// interrupt makes Write look at the context. Any goroutine may call interrupt.
func (s *socket) interrupt() { _ = s.SetWriteDeadline(time.Unix(1, 0)) }

// Read reads what has arrived. While the socket is polling, Read does not wait: the error
// os.ErrDeadlineExceeded says that nothing has arrived, and TLS goes on after that error.
func (s *socket) Read(p []byte) (n int, err error) {
	if !s.polling {
		n, err = s.rawConn.Read(p)
		s.read += n
		return n, err
	}
	readErr := s.raw.Read(func(fd uintptr) bool {
		n, err = unix.Read(int(fd), p)
		return true
	})
	switch {
	case readErr != nil:
		return 0, readErr
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return 0, os.ErrDeadlineExceeded
	case err != nil:
		return 0, os.NewSyscallError("read", err)
	case n == 0:
		return 0, io.EOF
	}
	s.read += n
	return n, nil
}

// acknowledged returns how many of the written bytes the peer's TCP has acknowledged, also after
// the end of the connection: Linux keeps the numbers until the socket is closed. At a unix socket,
// the result is less than written while the peer has not read everything, and only that: SIOCOUTQ is
// the memory of the queue (unix_outq_len, net/unix/af_unix.c). A peer that closes empties the queue.
func (s *socket) acknowledged() (int, error) {
	var queued int
	var err error
	controlErr := s.raw.Control(func(fd uintptr) {
		queued, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
	})
	if err == nil {
		err = controlErr
	}
	return s.written - queued, os.NewSyscallError("ioctl SIOCOUTQ", err)
}

// deadAfter: how long a peer leaves retransmissions or window probes without an answer before the
// connection counts as broken. Linux alone would wait for 15 to 30 minutes (tcp(7), tcp_retries2).
//
// TCP_USER_TIMEOUT is no help: since Linux 5.11 it ends a connection whose peer answers window
// probes and keeps its window closed (tcp_probe_timer, net/ipv4/tcp_timer.c). A collector that is
// stopped, or whose queue is full, does so for hours, and would lose what it has not read yet.
const deadAfter = 60 * time.Second

// fewUnanswered: the second probe without an answer is sent after the first one has waited in vain,
// while a single one may just be under way. Pauses between probes grow to 120 s (TCP_RTO_MAX).
const fewUnanswered = 2

// checkAlive returns an error if the connection has ended, or if the peer is dead. Silence before
// the present wait has begun does not count.
func (s *socket) checkAlive(began time.Time) error {
	if s.isUnix {
		return nil // reads and writes notice the end
	}
	var info *unix.TCPInfo
	var pending int
	var err error
	controlErr := s.raw.Control(func(fd uintptr) {
		info, err = unix.GetsockoptTCPInfo(int(fd), unix.SOL_TCP, unix.TCP_INFO)
		if err == nil && info.State == unix.BPF_TCP_CLOSE {
			pending, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
		}
	})
	switch {
	case controlErr != nil:
		return controlErr
	case err != nil:
		return os.NewSyscallError("getsockopt", err)
	case pending != 0:
		return unix.Errno(pending)
	case info.State == unix.BPF_TCP_CLOSE:
		return io.ErrUnexpectedEOF
	}
	silence := min(time.Since(began), time.Duration(info.Last_ack_recv)*time.Millisecond)
	if silence >= s.patience && int(info.Retransmits)+int(info.Probes) >= fewUnanswered {
		return fmt.Errorf("no answer from the peer for %v", silence.Truncate(time.Second))
	}
	return nil
}
