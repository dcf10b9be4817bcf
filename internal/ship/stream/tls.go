package stream

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"

	"github.com/udpshard/udpshard/internal/ship"
)

// handshake begins TLS. The files of the settings are read here, for each connection.
func (c *connection) handshake(ctx context.Context, s *ship.Settings) error {
	config, err := s.TLSConfig(s.URL.Hostname())
	if err != nil {
		return err
	}
	config.DynamicRecordSizingDisabled = true // batches are large
	asked := false
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		asked = true
		if len(config.Certificates) == 0 {
			return &tls.Certificate{}, nil
		}
		return &config.Certificates[0], nil
	}
	stream := tls.Client(c.socket, config)
	if err := stream.HandshakeContext(ctx); err != nil {
		return err
	}
	c.stream = stream
	c.socket.polling = true
	if asked && stream.ConnectionState().Version >= tls.VersionTLS13 {
		return c.awaitVerdict(ctx)
	}
	return nil
}

// verdictTimeout: how long a server may take to refuse a client certificate. Servers that accept
// the certificate often send a session ticket at once, which ends the wait; others send nothing.
const verdictTimeout = time.Second

// awaitVerdict returns the error of a server that refuses the client certificate. In TLS 1.3 the
// handshake of the client ends before the server has seen the certificate (RFC 8446 section 2), and
// the TCP of the server would acknowledge records that the server throws away.
func (c *connection) awaitVerdict(ctx context.Context) error {
	const pause = time.Millisecond
	before := c.socket.read
	for began := time.Now(); time.Since(began) < verdictTimeout; {
		if err := c.checkPeer(); err != nil {
			return err
		}
		if c.socket.read > before {
			return nil
		}
		if err := c.pause(ctx, pause); err != nil {
			return err
		}
	}
	return nil
}

// isAlert reports whether an error is an alert of TLS, as crypto/tls returns alerts.
func isAlert(err error) bool {
	var opErr *net.OpError
	return errors.As(err, &opErr) && (opErr.Op == "remote error" || opErr.Op == "local error")
}
