package stream

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/dnstap"
	"github.com/udpshard/udpshard/internal/ship"
)

// The schemes of dnstap.
const (
	schemeTCP  = "dnstap+tcp"
	schemeUnix = "dnstap+unix"
)

func isDnstap(s *ship.Settings) bool {
	return s.URL.Scheme == schemeTCP || s.URL.Scheme == schemeUnix
}

// newDnstap returns a target whose connections are bidirectional Frame Streams: READY, ACCEPT,
// START, the frames of the records, STOP and FINISH (fstrm/control.h).
func newDnstap(s *ship.Settings) (ship.Target, error) {
	addressErr := error(nil)
	if s.URL.Scheme == schemeTCP {
		addressErr = checkHost(s)
	} else if s.URL.Host != "" || s.URL.RawQuery != "" || strings.Trim(s.URL.Path, "/") == "" {
		addressErr = fmt.Errorf("%s: needs the path of a socket: %s:///run/dnstap.sock", s.Name(), schemeUnix)
	}
	resend, resendErr := parseResend(s)
	if err := cli.Join(addressErr, s.CheckOptions("resend"), resendErr); err != nil {
		return nil, err
	}
	return &target{settings: s, frames: frames{dnstap: true}, recent: newOverlap(resend)}, nil
}

// openFrames begins the stream: the peer says in ACCEPT that it takes dnstap.
func (c *connection) openFrames(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { _ = c.socket.SetDeadline(time.Unix(1, 0)) })()
	c.socket.ctx = ctx
	if _, err := c.socket.Write(dnstap.AppendControl(nil, dnstap.Ready)); err != nil {
		return err
	}
	switch answer, err := dnstap.ReadControl(c.socket); {
	case err != nil:
		return err
	case answer != dnstap.Accept:
		return fmt.Errorf("the answer is %s, not ACCEPT", answer)
	}
	_, err := c.socket.Write(dnstap.StreamStart)
	c.frames = true
	return err
}

// closeFrames ends the stream, and waits a moment for FINISH.
func (c *connection) closeFrames() {
	if _, err := c.socket.Write(dnstap.StreamEnd); err != nil {
		return // the connection ends in any case
	}
	c.socket.polling = false
	if c.socket.SetReadDeadline(time.Now().Add(grace)) == nil {
		_, _ = dnstap.ReadControl(c.socket)
	}
}
