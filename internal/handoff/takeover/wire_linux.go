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

// wire is one end of a connection. One goroutine may receive and another one
// send.
type wire struct {
	conn      *net.UnixConn
	version   string // ours
	limits    limits
	cred      unix.Ucred // the other's
	statedPID int        // the pid that it gave itself; 0: not yet
	buffer    []byte
	rights    []byte
}

// limits are how long steps may take.
type limits struct {
	step      time.Duration // for a message that the other has ready, or may send
	prepare   time.Duration // for a standby to answer ask: one that is not stopped takes microseconds
	commit    time.Duration // from yours to mine
	announce  time.Duration // to tell all standbys who takes over, before left, and again after it
	closing   time.Duration // from left to the end of what the other sends
	firstRead time.Duration // from left until the other reads, see Conn.Mine
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

// bound makes an operation end when ctx does, or after the limit if it is not
// 0. What it returns is to be called with the operation's error when it is
// over.
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
		set(pastDeadline) // fails where the connection is closed, which ends the operation too
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

// send sends a message, with files in their order. They stay open.
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
	for patience := w.limits.step; errors.Is(err, unix.ETOOMANYREFS) && patience > 0 && ctx.Err() == nil; patience -= retryPause {
		time.Sleep(retryPause)
		_, _, err = w.conn.WriteMsgUnix(data, rights, nil)
	}
	if err = over(err); err != nil {
		return fmt.Errorf("%s: %w", m.Kind, asEOF(err))
	}
	return nil
}

// refsPause is how long to wait where too many descriptors are on their way:
// unix(7), ETOOMANYREFS: as many as the limit on open files, over all of the
// user's sockets, unless with CAP_SYS_RESOURCE. They go as they are received.
const retryPause = 10 * time.Millisecond

// receive waits for a message: for the limit at the most, or if that is 0 for
// as long as ctx and the connection last. The files are the caller's. The
// error is io.EOF where the other end is closed.
func (w *wire) receive(ctx context.Context, limit time.Duration) (message, []*os.File, error) {
	over, err := withDeadline(ctx, w.conn.SetReadDeadline, limit)
	if err != nil {
		return message{}, nil, asEOF(err)
	}
	n, rights, flags, _, err := w.conn.ReadMsgUnix(w.buffer, w.rights)
	if errors.Is(err, unix.ECONNRESET) {
		// The other closed with messages of ours unread. What it sent before
		// is behind this error.
		n, rights, flags, _, err = w.conn.ReadMsgUnix(w.buffer, w.rights)
	}
	err = over(err)
	// An empty packet reads as the end, but descriptors can come with it.
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
		err = hinted{fmt.Errorf("%s: %d of %d descriptors came", m.Kind, len(files), m.Files),
			"the limit on open files (ulimit -n, LimitNOFILE=) leaves room for no more: raise it"}
	case len(files) != m.Files:
		err = fmt.Errorf("%s: %d descriptors were to come, and %d came", m.Kind, m.Files, len(files))
	}
	if err != nil {
		handoff.CloseFiles(files...)
		return message{}, nil, err
	}
	return m, files, nil
}

// received takes the descriptors out of control messages. It returns those
// that it found with an error too.
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

// ended makes one error of the ways in which a connection can have ended.
func asEOF(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET) || errors.Is(err, net.ErrClosed) {
		return io.EOF
	}
	return err
}
