package stream

import (
	"bytes"
	"context"
	"fmt"
	"time"
)

// A server of another protocol takes a batch, and so does a proxy without a server behind it: their
// TCP acknowledges the bytes, and their program refuses them a moment later. So the first batch of a
// target counts as acknowledged when doubtTime has passed without a refusal, and so does the first
// batch after a connection that a peer has reset, or on which a peer spoke another protocol.

// doubtTime: how long the first batch waits for a refusal, which takes one round trip.
const doubtTime = 200 * time.Millisecond

// awaitRefusal returns the error of a peer that ends the connection within doubtTime, or that speaks
// another protocol.
func (c *connection) awaitRefusal(ctx context.Context) error {
	for began := time.Now(); time.Since(began) < doubtTime; {
		err := c.checkPeer()
		switch {
		case c.foreign != "":
			return fmt.Errorf("the peer speaks %s", c.foreign)
		case err != nil:
			return fmt.Errorf("refused the first batch, as a server with TLS or another protocol does: %w",
				withoutAddresses(err))
		}
		if c.pause(ctx, time.Millisecond) != nil {
			return nil // the process ends, and the peer's TCP has acknowledged the batch
		}
	}
	return nil
}

// foreignProtocol returns the protocol that the first bytes of a peer are of; "" if unknown.
func foreignProtocol(said []byte) string {
	for _, known := range []struct{ prefix, name string }{
		{"\x15\x03", "TLS: use tls://"}, // an alert (RFC 8446 section 6)
		{"HTTP/", "HTTP"},
		{"<!DOCTYPE", "HTTP"},
		{"SSH-", "SSH"},
	} {
		if bytes.HasPrefix(said, []byte(known.prefix)) {
			return known.name
		}
	}
	return ""
}
