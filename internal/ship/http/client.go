package http

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"time"

	"github.com/udpshard/udpshard/internal/ship"
)

const (
	// dialTimeout bounds the connection attempt with the TLS handshake: a SYN is repeated after 1, 3
	// and 7 s (tcp_syn_retries in tcp(7)).
	dialTimeout = 10 * time.Second
	// idleTimeout closes idle connections: below the 75 s of nginx (keepalive_timeout).
	idleTimeout = 60 * time.Second
	// maxIdle is the number of idle connections: requests are sent one at a time, and a target with
	// several URLs may return to a former one.
	maxIdle = 2
	// maxRedirects is the number of redirects that a request follows.
	maxRedirects = 3
)

// settingError is an error of options that was found at a connection attempt.
type settingError struct{ error }

// newClient returns the client of a target. The client resolves names and reads the files of
// certificates for each new connection, and uses HTTP/1.1: requests are sent one at a time.
//
// The client follows the redirects 307 and 308 (RFC 9110 section 15.4), which keep the method, and
// only on the same host: another host would get the header fields with secrets, and a redirect from
// https to http would send these in the clear.
func newClient(s *ship.Settings) *http.Client {
	dialer := &net.Dialer{Timeout: dialTimeout}
	dialTLS := func(ctx context.Context, network, address string) (net.Conn, error) {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		config, err := s.TLSConfig(host)
		if err != nil {
			return nil, &settingError{err}
		}
		return (&tls.Dialer{NetDialer: dialer, Config: config}).DialContext(ctx, network, address)
	}
	return &http.Client{
		Transport: &http.Transport{
			DialContext:         dialer.DialContext,
			DialTLSContext:      dialTLS,
			DisableCompression:  true,
			MaxIdleConns:        maxIdle,
			MaxIdleConnsPerHost: 1,
			IdleConnTimeout:     idleTimeout,
			WriteBufferSize:     64 << 10,
		},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			code := r.Response.StatusCode
			keepsMethod := code == http.StatusTemporaryRedirect || code == http.StatusPermanentRedirect
			from, to := via[len(via)-1].URL, r.URL
			isSafe := from.Hostname() == to.Hostname() && (from.Scheme == to.Scheme || to.Scheme == "https")
			if !keepsMethod || !isSafe || len(via) > maxRedirects {
				return http.ErrUseLastResponse
			}
			return nil
		},
	}
}
