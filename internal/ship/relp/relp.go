// Package relp sends records to a server of RELP, the Reliable Event Logging Protocol: rsyslog
// with imrelp, or another server of librelp. The source is the protocol's specification
// (https://www.rsyslog.com/doc/relp.html).
//
// A session is one connection. Each record is a command with a transaction number, and the server
// acknowledges each command by its number. Up to a window of commands are open at a time. A
// goroutine for each session reads the responses. Records that are open when a session ends are
// sent again in the next session.
package relp

import (
	"context"
	"errors"
	"time"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/ship"
)

// The defaults of options.
const (
	defaultWindow  = 8192             // records: the largest batch
	defaultTimeout = 60 * time.Second // as the inactivity timeout of many servers
	defaultMaxSize = 128 << 10        // bytes: the limit of the specification, section RELP FRAME
)

// target is a server of RELP.
type target struct {
	settings *ship.Settings
	window   int           // open records, at most
	timeout  time.Duration // without progress
	maxSize  int           // bytes of a record

	session *session // nil: none
	stuck   stuck
	batch   transactions
	frames  []byte // to be written
}

// New returns the target of relp://HOST:PORT or relp+tls://HOST:PORT. The options are window
// (records without acknowledgement, at most), timeout (of a connect, and of a server that sends no
// response), max_size (larger records are rejected), and those of TLS.
func New(s *ship.Settings) (ship.Target, error) {
	t := &target{settings: s}
	known := []string{"window", "timeout", "max_size"}
	var tlsErr, windowErr, timeoutErr, sizeErr error
	if t.hasTLS() {
		known = append(known, ship.TLSOptions...)
		tlsErr = s.CheckTLS()
	}
	t.window, windowErr = s.Count("window", defaultWindow, maxTransaction)
	t.timeout, timeoutErr = s.Duration("timeout", defaultTimeout)
	t.maxSize, sizeErr = s.Size("max_size", defaultMaxSize, maxDataSize)
	if timeoutErr == nil && t.timeout <= 0 {
		timeoutErr = errors.New("option timeout: must be more than 0s")
	}
	err := cli.Join(s.CheckHost(), s.CheckOptions(known...), tlsErr, windowErr, timeoutErr, sizeErr)
	if err != nil {
		return nil, err
	}
	return t, nil
}

func (t *target) hasTLS() bool { return t.settings.URL.Scheme == "relp+tls" }

// Send sends the batch, and waits for all responses. A record with an error as response is
// rejected, if the session goes on.
func (t *target) Send(ctx context.Context, b *ship.Batch) error {
	t.batch.reset(b.Records, t.maxSize)
	if len(t.batch.order) == 0 {
		return t.batch.result(nil)
	}
	if s := t.session; s != nil && (s.hasEnded() || s.next+len(b.Records) > maxTransaction) {
		t.endSession()
	}
	reused := t.session != nil
	err := t.sendOnce(ctx, b)
	if reused && errors.Is(err, errEnded) && t.batch.answered() == 0 {
		// The server had closed the idle session, and the FIN or RST arrived during the write.
		t.batch.reset(b.Records, t.maxSize)
		err = t.sendOnce(ctx, b)
	}
	return t.batch.result(t.stuck.explain(b, &t.batch, err))
}

// sendOnce sends the batch in one session: the present one, or a new one. After an error there is
// no session.
func (t *target) sendOnce(ctx context.Context, b *ship.Batch) error {
	if t.session == nil {
		s, err := t.connect(ctx)
		if err != nil {
			return err
		}
		t.session = s
	}
	s := t.session
	stop := context.AfterFunc(ctx, s.abort)
	defer stop()
	t.batch.first = s.next
	s.begin(&t.batch)
	err := t.transmit(ctx, b.Records)
	if err == nil {
		s.begin(nil)
		return nil
	}
	t.session = nil
	s.finish()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// transmit writes the frames of the batch as the window permits, and waits for the responses.
func (t *target) transmit(ctx context.Context, records [][]byte) error {
	s, order := t.session, t.batch.order
	for unsent := order; len(unsent) > 0; {
		// At least half a window is written at a time, for large writes.
		least := min(len(unsent), (t.window+1)/2)
		room, err := s.awaitRoom(ctx, t.window, least)
		if err != nil {
			return err
		}
		t.frames = t.frames[:0]
		n := 0
		for ; n < min(room, len(unsent)) && len(t.frames) < writeSize; n++ {
			t.frames = appendFrame(t.frames, s.next, "syslog", records[unsent[n]])
			s.next++
		}
		unsent = unsent[n:]
		if err := s.write(t.frames, n); err != nil {
			return err
		}
	}
	_, err := s.awaitRoom(ctx, t.window, t.window)
	return err
}

// writeSize is how many bytes a write has, at least, if the window permits: four records of TLS.
const writeSize = 64 << 10

// endSession ends the session with the command close, if the server still takes part.
func (t *target) endSession() {
	t.session.close()
	t.session = nil
}

// Close ends the session.
func (t *target) Close() error {
	if t.session != nil {
		t.endSession()
	}
	return nil
}
