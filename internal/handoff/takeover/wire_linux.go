package takeover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/handoff"
	"github.com/udpshard/udpshard/internal/sys"
)

// wire is one end of a connection. One goroutine may receive while another goroutine sends.
type wire struct {
	conn      *net.UnixConn
	version   string // of this process
	limits    limits
	cred      unix.Ucred // of the process at the other end
	statedPID int        // from hello or offer; 0: not yet received
	buffer    []byte
	rights    []byte
}

// limits are the longest durations of steps.
type limits struct {
	step      time.Duration // to receive a message that is ready or due, or to send a message
	prepare   time.Duration // from prepare to ready: a running standby takes microseconds
	commit    time.Duration // from grant to commit
	announce  time.Duration // to send announce to all standbys before committed, and redirect after
	closing   time.Duration // from committed to the end of the connection
	firstRead time.Duration // from committed until the new process reads, see Conn.Commit
}

var standardLimits = limits{
	step:      10 * time.Second,
	prepare:   2 * time.Second,
	commit:    5 * time.Second,
	announce:  100 * time.Millisecond,
	closing:   100 * time.Millisecond,
	firstRead: time.Second,
}

func newWire(conn *net.UnixConn, version string, l limits) (*wire, error) {
	cred, err := credentials(conn)
	return &wire{conn: conn, version: version, limits: l, cred: cred, buffer: make([]byte, maxMessage), rights: make([]byte, unix.CmsgSpace(4*maxFiles))}, err
}

var pastDeadline = time.Unix(1, 0)

// withDeadline ends an operation with ctx, or after the limit; limit 0 is none. The caller passes
// the error of the operation to the returned function.
func withDeadline(ctx context.Context, set func(time.Time) error, limit time.Duration) (func(error) error, error) {
	var deadline time.Time
	if limit > 0 {
		deadline = time.Now().Add(limit)
	}
	if err := set(deadline); err != nil {
		return nil, err
	}
	poisoned := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		set(pastDeadline) // fails on a closed connection, and then the operation ends too
		close(poisoned)
	})
	return func(err error) error {
		if !stop() {
			<-poisoned
		}
		switch {
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
		return ErrNoAnswer
	}, nil
}

// send sends a message with files in their order. The files stay open.
func (w *wire) send(ctx context.Context, m message, files ...*os.File) error {
	m.Protocol, m.Version, m.Files = protocol, w.version, len(files)
	data, err := m.encode()
	if err != nil {
		return err
	}
	var rights []byte
	if len(files) > 0 {
		fds, err := sys.Descriptors(files...)
		if err != nil {
			return fmt.Errorf("%s: %w", m.Kind, err)
		}
		rights = unix.UnixRights(fds...)
		defer runtime.KeepAlive(files)
	}
	over, err := withDeadline(ctx, w.conn.SetWriteDeadline, w.limits.step)
	if err != nil {
		return asEOF(err)
	}
	_, _, err = w.conn.WriteMsgUnix(data, rights, nil)
	for left := w.limits.step; errors.Is(err, unix.ETOOMANYREFS) && left > 0 && ctx.Err() == nil; left -= retryPause {
		time.Sleep(retryPause)
		_, _, err = w.conn.WriteMsgUnix(data, rights, nil)
	}
	if err = over(err); err != nil {
		return fmt.Errorf("%s: %w", m.Kind, asEOF(err))
	}
	return nil
}

// retryPause: how long to wait while too many descriptors are in flight (ETOOMANYREFS, unix(7)).
// The kernel allows as many as the limit on open files, over all sockets of the user, except with
// CAP_SYS_RESOURCE. Their number falls as peers receive.
const retryPause = 10 * time.Millisecond

// receive waits for a message: until the limit; with limit 0, until ctx or the connection ends.
// The caller owns the files. The error is io.EOF if the other end is closed.
func (w *wire) receive(ctx context.Context, limit time.Duration) (message, []*os.File, error) {
	over, err := withDeadline(ctx, w.conn.SetReadDeadline, limit)
	if err != nil {
		return message{}, nil, asEOF(err)
	}
	n, rights, flags, _, err := w.conn.ReadMsgUnix(w.buffer, w.rights)
	if errors.Is(err, unix.ECONNRESET) {
		// The other end was closed with unread messages. Messages that were sent before the close
		// are readable after the error.
		n, rights, flags, _, err = w.conn.ReadMsgUnix(w.buffer, w.rights)
	}
	err = over(err)
	// An empty packet reads as the end, but may carry descriptors.
	files, broken := parseRights(w.rights[:rights])
	var m message
	switch {
	case err != nil:
		err = asEOF(err)
	case flags&unix.MSG_TRUNC != 0:
		err = errTooLarge
	default:
		m, err = decode(w.buffer[:n], w.version)
	}
	switch {
	case err != nil:
	case broken != nil:
		err = broken
	case flags&unix.MSG_CTRUNC != 0:
		err = hinted{fmt.Errorf("%s: %d of %d descriptors received", m.Kind, len(files), m.Files),
			"the limit on open files (ulimit -n, LimitNOFILE=) leaves no room: raise the limit"}
	case len(files) != m.Files:
		err = fmt.Errorf("%s: %d descriptors announced, %d received", m.Kind, m.Files, len(files))
	}
	if err != nil {
		handoff.CloseFiles(files...)
		return message{}, nil, err
	}
	return m, files, nil
}

// parseRights returns the descriptors in control messages, with an error too.
func parseRights(rights []byte) (files []*os.File, err error) {
	parts, err := unix.ParseSocketControlMessage(rights)
	for _, part := range parts {
		if part.Header.Level != unix.SOL_SOCKET || part.Header.Type != unix.SCM_RIGHTS {
			continue
		}
		fds, bad := unix.ParseUnixRights(&part)
		if bad != nil {
			err = bad
		}
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "takeover"))
		}
	}
	return files, err
}

// asEOF maps the errors of an ended connection to io.EOF.
func asEOF(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET) || errors.Is(err, net.ErrClosed) {
		return io.EOF
	}
	return err
}
