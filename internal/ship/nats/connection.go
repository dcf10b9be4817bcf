package nats

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"github.com/udpshard/udpshard/internal/ship"
)

// connection is a connection to one server. The connection is made once: names are resolved, and
// secrets and certificates are read, for each connection.
type connection struct {
	nc     *nats.Conn
	js     jetstream.JetStream
	dialer *dialer
	inbox  string          // the acknowledgement of message number N comes to the subject inbox+N
	acks   chan *nats.Msg  // acknowledgements in the order of their arrival
	alive  context.Context // ends with the connection, or when the server refuses a request
	end    context.CancelCauseFunc

	streams    []string // names of the streams that take the subject
	maxMessage int      // bytes of the headers and the payload of a message
	published  uint64   // messages: the number of the next
}

// dial connects to one of the servers, in random order.
func (t *target) dial(ctx context.Context) (*connection, error) {
	c := &connection{acks: make(chan *nats.Msg, t.inFlight+1), dialer: &dialer{ctx: ctx}}
	c.alive, c.end = context.WithCancelCause(context.Background())
	config, err := t.settings.TLSConfig("") // the library sets the host
	if err != nil {
		return nil, err
	}
	user, err := userOption(t.settings)
	if err != nil {
		return nil, err
	}
	o := nats.GetDefaultOptions()
	o.Name = "udpshard"
	o.Servers = t.servers
	o.Timeout = connectTimeout
	o.TLSConfig, o.Secure = config, t.tls // a server that demands TLS gets TLS in any case
	o.CustomDialer = c.dialer
	o.SkipHostLookup = true  // the dialer resolves names
	o.AllowReconnect = false // a reconnect by the library could send old messages after new messages
	o.IgnoreDiscoveredServers = true
	o.ClosedCB = func(nc *nats.Conn) { c.end(cmp.Or(nc.LastError(), nats.ErrConnectionClosed)) }
	o.AsyncErrorCB = func(_ *nats.Conn, _ *nats.Subscription, err error) { c.end(err) }
	if err := user(&o); err != nil {
		return nil, fmt.Errorf("read the user's secret: %w", err)
	}

	stop := context.AfterFunc(ctx, c.abort)
	c.nc, err = o.Connect()
	stop()
	if err != nil {
		return nil, connectError(t.settings, c.dialer, err)
	}
	c.js, err = jetstream.New(c.nc)
	if err == nil {
		c.inbox = c.nc.NewInbox() + "."
		_, err = c.nc.ChanSubscribe(c.inbox+"*", c.acks)
	}
	if err != nil {
		c.close()
		return nil, err
	}
	c.maxMessage = int(c.nc.MaxPayload())
	return c, nil
}

// abort ends the connection: calls that read or write return. Any goroutine may call abort.
func (c *connection) abort() { c.dialer.close() }

// close ends the connection, and frees its goroutines.
func (c *connection) close() {
	c.abort() // so that the library does not wait until the last messages are written
	c.nc.Close()
}

// request returns a context for one question to the server, which ends with ctx, with the
// connection, and after requestTimeout.
func (c *connection) request(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	stop := context.AfterFunc(c.alive, cancel)
	return ctx, func() { stop(); cancel() }
}

// explain returns why the connection has ended, if it has ended, else err.
func (c *connection) explain(err error) error {
	switch cause := context.Cause(c.alive); {
	case cause == nil:
		return err
	case errors.Is(cause, nats.ErrPermissionViolation):
		return ship.Permanent(fmt.Errorf("the server refuses a request: %w", cause))
	default:
		return fmt.Errorf("the connection to %s has ended: %w", c.dialer.last, cause)
	}
}

// connectError returns a failure to connect with its reason. For refused connections the library
// says only that there is no server.
func connectError(s *ship.Settings, d *dialer, err error) error {
	if errors.Is(err, nats.ErrNoServers) && d.err != nil {
		err = d.err
	}
	var timeout net.Error
	if d.err == nil && errors.As(err, &timeout) && timeout.Timeout() {
		err = fmt.Errorf("no answer within %v, as from a server of another protocol", connectTimeout)
	}
	err = fmt.Errorf("connect to %s: %w", cmp.Or(d.last, s.URL.Host), err)
	for _, refused := range []error{nats.ErrAuthorization, nats.ErrAuthExpired, nats.ErrAuthRevoked,
		nats.ErrAccountAuthExpired, nats.ErrSecureConnWanted, nats.ErrNkeysNotSupported} {
		if errors.Is(err, refused) {
			return ship.Permanent(err)
		}
	}
	return err
}

// userOption returns the option of the library for the user of the settings. The errors have no
// part of a secret.
func userOption(s *ship.Settings) (nats.Option, error) {
	password, err := s.Value("password")
	if err != nil {
		return nil, err
	}
	token, err := s.Value("token")
	if err != nil {
		return nil, err
	}
	seed, err := s.Value("nkey")
	if err != nil {
		return nil, err
	}
	user, err := s.Value("user")
	switch credentials := s.Options["credentials"]; {
	case err != nil:
		return nil, err
	case user != "":
		return nats.UserInfo(user, password), nil
	case token != "":
		return nats.Token(token), nil
	case seed != "":
		pair, err := nkeys.FromSeed([]byte(seed))
		if err != nil {
			return nil, fmt.Errorf("option nkey: %w", err)
		}
		public, err := pair.PublicKey()
		if err != nil {
			return nil, fmt.Errorf("option nkey: %w", err)
		}
		return nats.Nkey(public, pair.Sign), nil
	case credentials != "":
		return nats.UserCredentials(credentials), nil
	}
	return func(*nats.Options) error { return nil }, nil
}

// dialer makes the TCP connections of the library, so that they end with ctx, and by close.
type dialer struct {
	ctx  context.Context
	last string // address
	err  error

	mu   sync.Mutex
	conn net.Conn
}

// Dial is for the library.
func (d *dialer) Dial(network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(d.ctx, connectTimeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last, d.err = address, err
	if err == nil {
		d.conn = conn
	}
	return conn, err
}

func (d *dialer) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.conn != nil {
		d.conn.Close()
	}
}
