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

// Conn is a connection to the active process. Its methods are called one at a
// time, but Close by any goroutine.
type Conn struct {
	*wire
	path   string
	memory handoff.Memory // that goes with ready

	mu           sync.Mutex
	closed       bool
	listener     *net.UnixListener // from yours on
	file         identity
	quiescedAt   time.Time    // that came with yours
	announcement Announcement // that came with heir or moved
}

// Heir is the process that takes over or has taken over, as its predecessor has announced it.
type Announcement struct {
	PID    int            // 0: not announced
	Memory handoff.Memory // may be zero
}

// Dial connects to the active process at the path. The error is ErrNobody
// where there is none. If the active process does not accept the connection, Dial waits for up
// to ten seconds, and then the error is ErrSilent. Dial may be called while the path is handed
// over: the next active process answers then.
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
		return nil, hinted{fmt.Errorf("%s is no socket", p.path), "take another path"}
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
		err = hinted{fmt.Errorf("%s is a socket of uid %d, and this is uid %d", p.path, w.cred.Uid, os.Geteuid()), "run both as one user, or take another path"}
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return &Conn{wire: w, path: p.path}, nil
}

// fullPause is how long to wait for a place in the backlog: connect(2) does
// not, where the socket does not block.
const backlogPause = 10 * time.Millisecond

// PID returns the process at the other end, as the kernel says: the last that
// took the path over, or began to. It is 0 where it can't be seen from here.
func (c *Conn) PID() int { return int(c.cred.Pid) }

// Process names that process in words, also where its PID can't be seen.
func (c *Conn) Process() string { return describeProcess(c.cred, c.statedPID) }

// Hello introduces this process, and returns what there is to take over: the
// caller closes it. Errors are a *Refused, ErrMoved, ErrGone, ErrSilent, or
// what is wrong with what the other says. The connection is of no use after one.
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

// answered returns what an answer means that is not the hoped for.
func unexpectedAnswer(m message) error {
	switch m.Kind {
	case kindRefused:
		return &RefusedError{Version: m.Version, Reason: m.Reason, Remedy: m.Hint}
	case kindRedirect:
		return ErrRedirected
	}
	return fmt.Errorf("%q came out of turn", m.Kind)
}

// SetMemory sets the memory in which this process will count. The active process passes it on to
// its standbys: see Heir. The caller keeps the files of m open until Close.
func (c *Conn) SetMemory(m handoff.Memory) { c.memory = m }

func (c *Conn) sendReady(ctx context.Context) error {
	err := c.send(ctx, message{Kind: kindReady, Memory: c.memory.Files() != nil}, c.memory.Files()...)
	if errors.Is(err, io.EOF) {
		return nil // the last message of the peer may still be unread
	}
	return err
}

// Heir returns the process that takes over or has taken over from the active process, if the
// active process has announced it. Heir also reads messages that have arrived and are unread; call
// it after Ready or Wait has returned. The control memory of the active process says whether the
// heir has taken over, or has died before: messages do not. The caller owns the heir's memory.
// If the heir dies before it answers at the path, its memory is all that the caller has of it: the
// heir's sockets are those of the offer, and shards that the heir has added.
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

// pendingLimit is how long Heir waits for a message that has already arrived.
const pendingLimit = time.Millisecond

// mostPending is how many messages Heir reads: two for each handover that failed while this
// process was stopped, and one for the last. A peer that sends without an end holds nobody up.
const maxPending = 1024

func asDisconnected(err error) error {
	if errors.Is(err, io.EOF) {
		return ErrDisconnected
	}
	return err
}

// Ready says that this process could take over now, and waits like Wait: the
// active process stops reading, and flushes.
func (c *Conn) Ready(ctx context.Context) error {
	if err := c.sendReady(ctx); err != nil {
		return err
	}
	return c.Wait(ctx)
}

// Wait waits until the active process has stopped reading in favour of this
// one: Mine is to follow within five seconds. Other ends are ErrGone, ErrMoved,
// a *Refused; or the cause of ctx, after which it may be called again.
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

// setHeir keeps who takes over. A memory that came before is that of the same process, or of
// one that has failed to.
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

// inherit makes a listener of the socket that came with yours.
func (c *Conn) acceptGrant(m message, files []*os.File) error {
	defer handoff.CloseFiles(files...)
	if len(files) != 1 {
		return fmt.Errorf("%q came with %d descriptors", m.Kind, len(files))
	}
	l, err := net.FileListener(files[0])
	if err != nil {
		return fmt.Errorf("the socket that listens at %s: %w", c.path, err)
	}
	at, ok := l.(*net.UnixListener)
	if !ok {
		l.Close()
		return fmt.Errorf("the socket that listens at %s is none of a path", c.path)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.listener != nil {
		l.Close()
		return fmt.Errorf("%q came out of turn", m.Kind)
	}
	c.listener, c.file, c.quiescedAt = at, identity{m.Device, m.Inode}, timeOfClock(m.QuiescedAt)
	return nil
}

// Mine takes over, and returns what serves the path from now on; Serve is to
// be called soon, for peers may wait already. Close is to be called when this process reads:
// for up to a second the other one leaves the CPUs to it until then. An error closes the
// connection, and this process is not active: with ErrGone the other one has died or has
// read on, and the claim tells which; with any other it reads on.
func (c *Conn) Commit(ctx context.Context) (*Server, error) {
	c.mu.Lock()
	l := c.listener
	c.listener = nil
	c.mu.Unlock()
	if l == nil {
		return nil, errors.New("nobody has handed over")
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
		// From here on the other can't say left any more. If it has said so
		// by now, it counts: it has left.
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
	// Its end says that it has given up its claim. If that does not come it
	// hangs there, and the claim tells; nobody reads meanwhile.
	_, files, _ = c.receive(context.Background(), c.limits.closing)
	handoff.CloseFiles(files...)
	return nil
}

// Stopped returns when the active process began to stop reading, once Ready or Wait has
// returned nil; the zero time where it has not said so, as older versions do not.
func (c *Conn) QuiescedAt() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.quiescedAt
}

// Close ends the connection. If this process has not taken over, the active
// one reads on.
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

// relisten makes this process the one that peers see at the other end:
// listen(2) sets it anew (net/unix/af_unix.c, unix_listen).
func relisten(l *net.UnixListener) error {
	return sys.Control(l, func(fd int) error { return os.NewSyscallError("listen", unix.Listen(fd, unix.SOMAXCONN)) })
}
