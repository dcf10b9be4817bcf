// Package stream has the targets of syslog collectors: tcp://, tls:// and udp://, and those of
// dnstap: dnstap+tcp:// and dnstap+unix://.
//
// TCP has no acknowledgement by the receiving program. A batch counts as acknowledged when the TCP
// of the peer has acknowledged all its bytes: the send queue of the socket below TLS is empty
// (SIOCOUTQ, tcp(7)). A program that ends loses what its TCP had acknowledged and the program had
// not read; the option resend sends the last of these records once more. After a broken connection
// the first records of a batch that the peer's TCP had acknowledged are not sent again.
//
// A peer that has closed the connection is noticed before a batch is written: Send reads from the
// connection first, without waiting.
//
// At a unix socket, a batch counts as acknowledged when the program of the peer has read all its
// bytes.
//
// UDP has no acknowledgement at all: see datagram.go.
package stream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/ship"
)

// target sends records over a TCP connection, with or without TLS.
type target struct {
	settings *ship.Settings
	secure   bool // TLS

	conn   *connection // nil: connected by the next Send
	frames frames      // of the batch of the present Send
	recent overlap     // frames that were acknowledged
	known  bool        // a peer has kept a batch: see awaitRefusal
}

// maxResend is the largest value of the option resend: the frames are kept in memory.
const maxResend = 1 << 30

// New returns the target of a URL with the scheme tcp, tls, udp, dnstap+tcp or dnstap+unix.
//
// The options of tcp and tls are framing, newline (default) or octet-counting (RFC 6587 section
// 3.4.1, RFC 5425 section 4.3), and resend (default 0): how many bytes of acknowledged frames are
// sent once more after a reconnect. tls has ship.TLSOptions too. The targets of dnstap have resend.
// udp has no options.
func New(s *ship.Settings) (ship.Target, error) {
	switch {
	case s.URL.Scheme == "udp":
		return newDatagrams(s)
	case isDnstap(s):
		return newDnstap(s)
	}
	t := &target{settings: s, secure: s.URL.Scheme == "tls"}
	options := []string{"framing", "resend"}
	var tlsErr error
	if t.secure {
		options = append(options, ship.TLSOptions...)
		tlsErr = s.CheckTLS()
	}
	framing, framingErr := s.Choice("framing", "newline", "octet-counting")
	resend, resendErr := parseResend(s)
	err := cli.Join(checkHost(s), s.CheckOptions(options...), framingErr, resendErr, tlsErr)
	if err != nil {
		return nil, err
	}
	t.frames.octetCounting = framing == "octet-counting"
	t.frames.escaped = s.Format == ship.Original
	t.recent = newOverlap(resend)
	return t, nil
}

func parseResend(s *ship.Settings) (int, error) {
	if s.Options["resend"] == "0" {
		return 0, nil
	}
	return s.Size("resend", 0, maxResend)
}

// checkHost returns an error if the URL has anything but one host and one port.
func checkHost(s *ship.Settings) error {
	if err := s.CheckHost(); err != nil {
		return err
	}
	if _, _, err := net.SplitHostPort(s.URL.Host); err != nil || strings.Contains(s.URL.Host, ",") {
		return fmt.Errorf("%s: needs one host and one port", s.Name())
	}
	return nil
}

// grace: how long Send finishes a batch after the end of its context, so that a process that ends
// does not leave a part of a record at a peer that works.
const grace = 100 * time.Millisecond

// Send implements ship.Target.
func (t *target) Send(ctx context.Context, b *ship.Batch) error {
	rejected := t.frames.fill(b.Records)
	if t.conn != nil {
		err := t.conn.checkPeer()
		isForeign := t.conn.foreign != ""
		if isForeign || err != nil && !errors.Is(err, errClosed) {
			t.known = false
		}
		if isForeign || err != nil {
			t.disconnect()
		}
	}
	reconnected := t.conn == nil
	if reconnected {
		conn, err := connect(ctx, t.settings)
		if err != nil {
			return err
		}
		t.conn = conn
		t.known = t.known || conn.frames // the handshake says that the peer takes dnstap
	}
	ctx, cancel := withGrace(ctx)
	defer cancel()
	err := t.send(ctx, b, reconnected)
	if err == nil && !t.known {
		if err := t.conn.awaitRefusal(ctx); err != nil {
			isForeign := t.conn.foreign != ""
			t.disconnect()
			return &ship.Error{Err: t.named(err), Permanent: isForeign}
		}
		t.known = true
	}
	if err == nil {
		t.recent.add(&t.frames, len(t.frames.ends))
		if len(rejected) > 0 {
			return &ship.Error{Rejected: rejected}
		}
		return nil
	}
	acknowledged := t.frames.within(t.conn.acknowledged(err))
	t.recent.add(&t.frames, acknowledged)
	t.disconnect()
	after := sort.Search(len(rejected), func(i int) bool { return rejected[i].Index >= acknowledged })
	return &ship.Error{Err: t.named(withoutAddresses(err)), Acknowledged: acknowledged,
		Rejected: slices.Clip(rejected[:after])}
}

// named returns an error of the connection with the address of the target.
func (t *target) named(err error) error {
	return fmt.Errorf("connection to %s: %w", cmp.Or(t.settings.URL.Host, t.settings.URL.Path), err)
}

// send writes the frames, on a new connection after the overlap, and waits for the acknowledgement.
func (t *target) send(ctx context.Context, b *ship.Batch, reconnected bool) error {
	t.conn.begin(ctx)
	stop := context.AfterFunc(ctx, t.conn.socket.interrupt)
	defer stop()
	if reconnected {
		older, newer := t.recent.parts()
		for _, part := range [][]byte{older, newer} {
			if err := t.conn.write(part); err != nil {
				return err
			}
		}
		b.Resent += t.recent.frames()
		t.conn.begin(ctx)
	}
	if err := t.conn.write(t.frames.bytes); err != nil {
		return err
	}
	return t.conn.await(ctx)
}

// disconnect closes the connection; the next Send connects again.
func (t *target) disconnect() {
	_ = t.conn.close() // nothing depends on the connection any more
	t.conn = nil
}

// Close implements ship.Target.
func (t *target) Close() error {
	if t.conn == nil {
		return nil
	}
	err := t.conn.close()
	t.conn = nil
	return err
}

// withGrace returns a context that ends some time after another context.
func withGrace(ctx context.Context) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel(ctx.Err())
		case <-longer.Done():
		}
	})
	return longer, func() {
		stop()
		cancel(nil)
	}
}
