package relp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/udpshard/udpshard/internal/ship"
)

// offers are the data of the command open. librelp and its users have version 0.
const offers = "relp_version=0\nrelp_software=udpshard\ncommands=syslog"

// readSize is the size of the buffers for responses, in bytes: 600 or more responses. The reader's
// buffer grows for a larger response.
const readSize = 16 << 10

// connect begins a session. Host names are resolved anew, and the files of TLS read anew.
func (t *target) connect(parent context.Context) (*session, error) {
	ctx, cancel := context.WithTimeout(parent, t.timeout)
	defer cancel()
	u := t.settings.URL
	var dialer net.Dialer
	dialed, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), u.Port()))
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	socket := newPacedConn(dialed)
	stop := context.AfterFunc(ctx, func() { socket.Close() })
	defer stop()
	s, err := t.open(ctx, socket)
	if err == nil {
		return s, nil
	}
	socket.Close()
	switch {
	case parent.Err() != nil:
		return nil, parent.Err()
	case ctx.Err() != nil:
		return nil, fmt.Errorf("no answer from %s for %s, as from a server without RELP",
			socket.RemoteAddr(), t.timeout)
	}
	return nil, err
}

// open does the handshake of TLS and the command open.
func (t *target) open(ctx context.Context, socket *pacedConn) (*session, error) {
	var conn net.Conn = socket
	if t.hasTLS() {
		config, err := t.settings.TLSConfig(t.settings.URL.Hostname())
		if err != nil {
			return nil, err
		}
		client := tls.Client(socket, config)
		if err := client.HandshakeContext(ctx); err != nil {
			return nil, fmt.Errorf("TLS handshake with %s: %w", socket.RemoteAddr(), err)
		}
		conn = client
	}
	if _, err := conn.Write(appendFrame(nil, 1, "open", []byte(offers))); err != nil {
		return nil, fmt.Errorf("command open: %w", err)
	}
	buffer, filled := make([]byte, readSize), 0
	for {
		f, size, err := parseFrame(buffer[:filled])
		switch {
		case err != nil:
			return nil, ship.Permanent(fmt.Errorf("%s speaks no RELP: %w", socket.RemoteAddr(), err))
		case size == 0 && filled == len(buffer):
			return nil, ship.Permanent(fmt.Errorf("response to the command open has more than %d bytes", filled))
		case size == 0:
			n, err := conn.Read(buffer[filled:])
			if filled += n; n == 0 && err != nil {
				return nil, t.closedAtOpen(err)
			}
			continue
		}
		if err := checkOpen(f); err != nil {
			return nil, err
		}
		filled = copy(buffer, buffer[size:filled])
		s := &session{
			socket: socket, conn: conn, timeout: t.timeout, next: 2, timer: time.NewTimer(t.timeout),
			changed: make(chan struct{}, 1), ended: make(chan struct{}),
		}
		go s.read(buffer, filled)
		return s, nil
	}
}

// closedAtOpen returns the error of a server that closes the connection in place of a response.
func (t *target) closedAtOpen(err error) error {
	err = fmt.Errorf("no response to the command open: %w", endedBecause(err))
	if !t.hasTLS() {
		err = fmt.Errorf("%w (a server with TLS needs relp+tls://)", err)
	}
	return err
}

// checkOpen checks the response to the command open.
func checkOpen(f frame) error {
	if f.transaction == 0 && string(f.command) == "serverclose" {
		return fmt.Errorf("%w: serverclose", errEnded)
	}
	if string(f.command) != "rsp" || f.transaction != 1 {
		return ship.Permanent(fmt.Errorf("command %s with transaction %d from the server, in place of "+
			"a response to open", f.command, f.transaction))
	}
	code, text, rest, err := parseResponse(f.data)
	switch {
	case err != nil:
		return ship.Permanent(err)
	case code != 200:
		return ship.Permanent(fmt.Errorf("session refused by the server: %s", reason(code, text)))
	}
	var version, syslog bool
	for offer := range strings.Lines(string(rest)) {
		name, values, _ := strings.Cut(strings.TrimRight(offer, "\r\n"), "=")
		version = version || name == "relp_version"
		syslog = syslog || name == "commands" && slices.Contains(strings.Split(values, ","), "syslog")
	}
	switch {
	case !version:
		return ship.Permanent(errors.New("session refused by the server: no relp_version in the offers"))
	case !syslog:
		return ship.Permanent(errors.New("server takes no syslog records: no syslog in the offers"))
	}
	return nil
}

// asError returns an error as the type of results.
func asError(err error) *ship.Error {
	var e *ship.Error
	if errors.As(err, &e) {
		return e
	}
	return &ship.Error{Err: err}
}
