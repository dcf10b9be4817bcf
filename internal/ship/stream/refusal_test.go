package stream

import (
	"bufio"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/udpshard/udpshard/internal/ship"
	"github.com/udpshard/udpshard/internal/ship/shiptest"
)

// A server of another protocol gets no record acknowledged, whatever its TCP has acknowledged.
func TestOtherProtocol(t *testing.T) {
	for _, tt := range []struct {
		answer, want string
		permanent    bool
	}{
		{"\x15\x03\x01\x00\x02\x02\x46", "the peer speaks TLS: use tls://", true},
		{"HTTP/1.1 400 Bad Request\r\n\r\n", "the peer speaks HTTP", true},
		{"RST", "refused the first batch", false}, // a proxy without a server behind it
		{"FIN", "refused the first batch", false}, // a server with TLS without an alert
	} {
		l := listen(t, 0)
		serve(t, l, func(peer *net.TCPConn) {
			bufio.NewReader(peer).ReadString('\n')
			switch tt.answer {
			case "FIN": // at the end
			case "RST":
				reset(t, peer)
			default:
				peer.Write([]byte(tt.answer))
			}
		})
		to := open(t, shiptest.Settings(t, "tcp://"+l.Addr().String()))
		for range 3 {
			err := to.Send(t.Context(), shiptest.Numbered(0, 3))
			var e *ship.Error
			if !errors.As(err, &e) || e.Acknowledged != 0 || e.Permanent != tt.permanent || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%q: %+v", tt.answer, err)
			}
		}
	}
}

// A batch after a reset waits for a refusal again: a proxy may have lost its server.
func TestRefusalAfterReset(t *testing.T) {
	l := listen(t, 0)
	to := open(t, shiptest.Settings(t, "tcp://"+l.Addr().String()))
	sent := make(chan error)
	send := func() { sent <- to.Send(t.Context(), shiptest.Numbered(0, 3)) }
	go send()
	first := accept(t, l)
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	reset(t, first)
	go send()
	second := accept(t, l)
	bufio.NewReader(second).ReadString('\n')
	reset(t, second)
	if err := <-sent; err == nil || !strings.Contains(err.Error(), "refused the first batch") {
		t.Error(err)
	}
}
