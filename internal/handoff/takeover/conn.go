package takeover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/handoff"
	"github.com/udpshard/udpshard/internal/sys"
)

// Conn is a connection of a peer to the active process. Methods are called one at a time, except
// Close, which any goroutine may call.
type Conn struct {
	*wire
	path   string
	memory handoff.Memory // sent with ready

	mu           sync.Mutex
	closed       bool
	listener     *net.UnixListener // received with grant
	file         identity
	quiescedAt   time.Time    // received with grant
	announcement Announcement // received with announce or redirect
}

// Announcement names the process that takes over, or has taken over, from the active process. The
// active process sends it.
type Announcement struct {
	PID    int            // 0: none is announced
	Memory handoff.Memory // of the new active process; may be zero
}

// Dial connects to the active process at the path. The error is ErrNotListening if no process
// listens there, and ErrNoAnswer if the active process does not accept the connection within ten
// seconds. Dial may be called during a handover: then the new active process answers.
func Dial(ctx context.Context, path string) (*Conn, error) {
	p, err := openSocketPath(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w (%w)", ErrNotListening, err)
	} else if err != nil {
		return nil, err
	}
	defer p.close()
	if err := p.checkFolder(); err != nil {
		return nil, err
	}
	_, st, err := p.stat(p.name)
	if err == nil && st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return nil, hinted{fmt.Errorf("%s is no socket", p.path), "use another path"}
	}
	conn, err := p.dial(ctx)
	for began := time.Now(); errors.Is(err, errBacklogFull); conn, err = p.dial(ctx) {
		if time.Since(began) > standardLimits.step {
			return nil, fmt.Errorf("%w: %w", ErrNoAnswer, err)
		}
		select {
		case <-time.After(backlogPause):
		case <-ctx.Done():
			return nil, err
		}
	}
	if err != nil {
		return nil, err
	}
	w, err := newWire(conn, "", standardLimits)
	if err == nil && !isTrusted(w.cred) {
		err = hinted{fmt.Errorf("%s is a socket of uid %d, and this process has uid %d", p.path, w.cred.Uid, os.Geteuid()), "run both processes as one user, or use another path"}
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return &Conn{wire: w, path: p.path}, nil
}

// backlogPause: how long Dial waits before it tries a full backlog again. connect(2) does not wait
// on a nonblocking socket.
const backlogPause = 10 * time.Millisecond

// PID returns the pid of the active process as the kernel says: of the last process that took over
// the path, or began to. The pid is 0 if the process is in a pid namespace that is invisible here.
func (c *Conn) PID() int { return int(c.cred.Pid) }

// Process describes the active process for error texts, also without a visible pid.
func (c *Conn) Process() string { return describeProcess(c.cred, c.statedPID) }

// Hello introduces this process and returns the offer, which the caller closes. Errors are a
// *RefusedError, ErrRedirected, ErrDisconnected, ErrNoAnswer, or say why the answer is invalid.
// After an error the connection is of no use.
func (c *Conn) Hello(ctx context.Context, h Hello) (Offer, error) {
	c.version = h.Version
	sent := c.sendHello(ctx, h)
	if sent != nil && !errors.Is(sent, io.EOF) {
		return Offer{}, sent
	}
	m, files, err := c.receive(ctx, c.limits.step)
	if err == nil && m.Kind != kindOffer {
		handoff.CloseFiles(files...)
		err = unexpectedAnswer(m)
	}
	if err != nil {
		return Offer{}, asDisconnected(err)
	}
	o, err := c.receiveOffer(ctx, m, files)
	return o, asDisconnected(err)
}

// unexpectedAnswer returns the error of an answer of another kind than expected.
func unexpectedAnswer(m message) error {
	switch m.Kind {
	case kindRefused:
		return &RefusedError{Version: m.Version, Reason: m.Reason, Remedy: m.Hint}
	case kindRedirect:
		return ErrRedirected
	}
	return fmt.Errorf("unexpected %q", m.Kind)
}

// SetMemory sets the memory in which this process will count. The active process sends the memory
// to its standbys: see Announcement. The caller keeps the files of m open until Close.
func (c *Conn) SetMemory(m handoff.Memory) { c.memory = m }

func (c *Conn) sendReady(ctx context.Context) error {
	err := c.send(ctx, message{Kind: kindReady, Memory: c.memory.Files() != nil}, c.memory.Files()...)
	if errors.Is(err, io.EOF) {
		return nil // the last message of the active process may be unread
	}
	return err
}

// Announcement returns the announced process, and the zero Announcement if none is announced.
// Announcement also reads messages that have arrived unread; call it after Ready or Wait has
// returned. Only the control memory of the active process says whether the announced process has
// taken over, or has died before. The caller owns the memory. If the announced process dies before
// it answers at the path, the caller has nothing else of that process; its sockets are the sockets
// of the offer, and sockets of shards that it added.
func (c *Conn) Announcement() Announcement {
	for range maxPending {
		m, files, err := c.receive(context.Background(), pendingLimit)
		if err != nil {
			break
		}
		if m.Kind == kindAnnounce || m.Kind == kindRedirect {
			c.setAnnouncement(m, files)
		} else {
			handoff.CloseFiles(files...)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.announcement
	c.announcement = Announcement{}
	return h
}

// pendingLimit: how long Announcement waits for a message that has arrived.
const pendingLimit = time.Millisecond

// maxPending: most messages that Announcement reads. A handover that fails while this process is
// stopped leaves two, and the last handover one. The bound stops an endless sender.
const maxPending = 1024

func asDisconnected(err error) error {
	if errors.Is(err, io.EOF) {
		return ErrDisconnected
	}
	return err
}

// Ready says that this process is prepared to take over, then waits like Wait. The active process
// stops reading and flushes.
func (c *Conn) Ready(ctx context.Context) error {
	if err := c.sendReady(ctx); err != nil {
		return err
	}
	return c.Wait(ctx)
}

// Wait waits for the grant: the active process has stopped reading, and Commit has to follow
// within five seconds. Errors are ErrDisconnected, ErrRedirected, a *RefusedError, and the cause
// of ctx; after the last, Wait may be called again.
func (c *Conn) Wait(ctx context.Context) error {
	for {
		m, files, err := c.receive(ctx, 0)
		switch {
		case err != nil:
			return asDisconnected(err)
		case m.Kind == kindPrepare:
			if err := c.sendReady(ctx); err != nil {
				return err
			}
		case m.Kind == kindAnnounce:
			c.setAnnouncement(m, files)
		case m.Kind == kindRedirect:
			c.setAnnouncement(m, files)
			return ErrRedirected
		case m.Kind == kindGrant:
			return c.acceptGrant(m, files)
		default:
			handoff.CloseFiles(files...)
			return unexpectedAnswer(m)
		}
	}
}

// setAnnouncement records an announcement. An earlier memory is kept if the pid is the same, and
// closed otherwise: that process has failed to take over.
func (c *Conn) setAnnouncement(m message, files []*os.File) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		handoff.CloseFiles(files...)
		return
	}
	if m.Memory || m.PID != c.announcement.PID {
		c.announcement.Memory.Close()
	}
	if c.announcement.PID = m.PID; m.Memory {
		c.announcement.Memory = handoff.MemoryOf(files)
	}
}

// acceptGrant makes a listener of the socket in grant.
func (c *Conn) acceptGrant(m message, files []*os.File) error {
	defer handoff.CloseFiles(files...)
	if len(files) != 1 {
		return fmt.Errorf("%q with %d descriptors", m.Kind, len(files))
	}
	l, err := net.FileListener(files[0])
	if err != nil {
		return fmt.Errorf("the listening socket of %s: %w", c.path, err)
	}
	at, ok := l.(*net.UnixListener)
	if !ok {
		l.Close()
		return fmt.Errorf("the listening socket of %s has no path", c.path)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.listener != nil {
		l.Close()
		return fmt.Errorf("unexpected %q", m.Kind)
	}
	c.listener, c.file, c.quiescedAt = at, identity{m.Device, m.Inode}, timeOfClock(m.QuiescedAt)
	return nil
}

// Commit takes over, and returns the Server of the path. Call Serve soon: peers may wait. Call
// Close as soon as this process reads: the old process leaves the CPUs to this process until then,
// for up to a second. After an error the connection is closed, and this process is not active.
// With ErrDisconnected the old process has died or reads again, and the lease tells the
// difference. With any other error the old process reads again.
func (c *Conn) Commit(ctx context.Context) (*Server, error) {
	c.mu.Lock()
	l := c.listener
	c.listener = nil
	c.mu.Unlock()
	if l == nil {
		return nil, errors.New("no grant received")
	}
	if err := c.commit(ctx, l); err != nil {
		c.Close()
		l.Close()
		return nil, err
	}
	return newServer(c.path, c.version, l, c.file), nil
}

func (c *Conn) commit(ctx context.Context, l *net.UnixListener) error {
	if err := relisten(l); err != nil {
		return err
	}
	if err := c.send(ctx, message{Kind: kindCommit}); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	m, files, err := c.receive(ctx, c.limits.step)
	if err != nil && !errors.Is(err, io.EOF) {
		// From here on the active process can no longer send committed. If committed has already
		// arrived, the takeover counts.
		c.conn.CloseRead()
		if last, _, later := c.receive(context.Background(), c.limits.step); later == nil && last.Kind == kindCommitted {
			m, err = last, nil
		}
	}
	handoff.CloseFiles(files...)
	if err == nil && m.Kind != kindCommitted {
		err = unexpectedAnswer(m)
	}
	if err != nil {
		return asDisconnected(err)
	}
	// The end of the connection says that the lease is released. Without the end the active
	// process hangs, and only the lease tells; no process reads meanwhile.
	_, files, _ = c.receive(context.Background(), c.limits.closing)
	handoff.CloseFiles(files...)
	return nil
}

// QuiescedAt returns when the active process began to stop reading, after Ready or Wait has
// returned nil. Older versions do not send the time; then it is the zero time.
func (c *Conn) QuiescedAt() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.quiescedAt
}

// Close ends the connection. Unless Commit has succeeded, the active process reads on.
func (c *Conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.announcement.Memory.Close()
	if c.listener != nil {
		c.listener.Close()
		c.listener = nil
	}
	return c.conn.Close()
}

// relisten sets the credentials that peers see at their end of a connection to those of this
// process: listen(2) sets them (unix_listen, net/unix/af_unix.c).
func relisten(l *net.UnixListener) error {
	return sys.Control(l, func(fd int) error { return os.NewSyscallError("listen", unix.Listen(fd, unix.SOMAXCONN)) })
}
