// Package nats is the target nats://HOST:PORT,…/SUBJECT: records go to a stream of NATS JetStream.
//
// Each message carries its identity in the header Nats-Msg-Id: of a record, or, with per=batch, of
// the records whose lines are in the message. A message is acknowledged when the stream has stored
// it. Send publishes messages in order, with a bounded number in flight, and waits for the
// acknowledgements of all. After any failure the connection is closed, and the next call makes
// another.
//
// Batch.Note has the sequence number of the last acknowledged message in the stream. Stored reads
// the headers of the messages behind that number, and finds which records of a batch the stream
// has, however long ago they were sent: a resent record is stored once, also after the stream's
// window for duplicates.
package nats

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/udpshard/udpshard/internal/ship"
)

// target is a ship.Target and a ship.Asker. One goroutine calls the methods.
type target struct {
	options
	settings *ship.Settings
	conn     *connection // nil before the first call, and after a failure

	stored   storedRecords // that Send does not publish again
	messages []message     // of the present batch; the memory is used again
	lines    []byte        // of a message of several records; the memory is used again
	subjects map[string]string
}

// New returns the target of settings. New makes no connection, and reads no secret.
func New(s *ship.Settings) (ship.Target, error) {
	o, err := parseOptions(s)
	if err != nil {
		return nil, err
	}
	return &target{options: *o, settings: s, subjects: make(map[string]string)}, nil
}

// Send publishes the messages of a batch, and returns when all are acknowledged, or one has failed.
func (t *target) Send(ctx context.Context, b *ship.Batch) error {
	c, err := t.connect(ctx)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, c.abort)()
	p := &publication{connection: c, target: t, batch: b, messages: t.messages[:0],
		id: newIdentity(b), first: c.published}
	p.run(ctx)
	t.messages = p.messages
	b.Note = p.note()
	if p.err != nil {
		t.disconnect()
	} else {
		t.stored = storedRecords{}
	}
	return p.result(ctx)
}

// Close closes the connection.
func (t *target) Close() error {
	t.disconnect()
	return nil
}

// Limits in time. A server that answers later counts as away.
const (
	connectTimeout = 5 * time.Second  // for TCP, TLS and the first messages of the protocol
	requestTimeout = 5 * time.Second  // for questions about streams
	ackTimeout     = 10 * time.Second // for the next acknowledgement
	settleTimeout  = 2 * time.Second  // for the acknowledgements that are missing after a failure
)

// connect returns the connection, and makes it if there is none, or if the server has closed it.
func (t *target) connect(ctx context.Context) (*connection, error) {
	if t.conn != nil && t.conn.alive.Err() == nil {
		return t.conn, nil
	}
	t.disconnect()
	c, err := t.dial(ctx)
	if err != nil {
		return nil, failure(ctx, err)
	}
	if err := t.findStreams(ctx, c); err != nil {
		err = failure(ctx, c.explain(err))
		c.close()
		return nil, err
	}
	t.conn = c
	return c, nil
}

func (t *target) disconnect() {
	if t.conn != nil {
		t.conn.close()
		t.conn = nil
	}
}

// failure returns the error of ctx if ctx has ended, else err.
func failure(ctx context.Context, err error) error {
	if ctx.Err() == nil || errors.Is(err, ctx.Err()) {
		return err
	}
	if own := new(ship.Error); errors.As(err, &own) && own.Err != nil {
		err = own.Err
	}
	return fmt.Errorf("%w: %w", ctx.Err(), err)
}
