package server

import (
	"net"
	"os"
	"testing"

	"github.com/rs/zerolog"

	"github.com/udpshard/udpshard/internal/config"
	"github.com/udpshard/udpshard/internal/engine"
	"github.com/udpshard/udpshard/internal/handoff"
	"github.com/udpshard/udpshard/internal/handoff/succession"
	"github.com/udpshard/udpshard/internal/leak"
	"github.com/udpshard/udpshard/internal/sys"
)

// openSocket returns a UDP socket at a free port of 127.0.0.1.
func openSocket(t *testing.T) *os.File {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	file, err := sys.DuplicateFile(conn.(*net.UDPConn), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return file
}

// Two listeners at port 0 of one address get the stored sockets of the listener of their name, and
// no socket twice. A stored listener that no listener continues is left over.
func TestStoredSocketsAtPortZero(t *testing.T) {
	leak.Descriptors(t)
	const address = "127.0.0.1:0"
	stored := make(map[string]*os.File)
	v := &service{log: zerolog.Nop()}
	for _, name := range []string{"a", "b", "gone"} {
		stored[name] = openSocket(t)
		v.stored.Listeners = append(v.stored.Listeners,
			handoff.Listener{Name: name, Address: address, Sockets: []*os.File{stored[name]}})
	}
	c := &config.Config{Listeners: []*config.Listener{
		{Name: "b", Address: address}, {Name: "a", Address: address},
	}}
	p := succession.NewStored(v.log)
	defer p.Close()
	if err := v.assignSockets(c, p); err != nil {
		t.Fatal(err)
	}
	if len(p.Offer.Listeners) != 2 {
		t.Fatalf("got %d listeners, want 2", len(p.Offer.Listeners))
	}
	for _, l := range p.Offer.Listeners {
		if len(l.Sockets) != 1 {
			t.Fatalf("listener %s: got %d sockets, want 1", l.Name, len(l.Sockets))
		}
		got, err := engine.SocketAddress(l.Sockets[0])
		if err != nil {
			t.Fatal(err)
		}
		if want, _ := engine.SocketAddress(stored[l.Name]); got != want {
			t.Errorf("listener %s: got the socket at %s, want the socket at %s", l.Name, got, want)
		}
	}
}
