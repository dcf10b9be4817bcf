package takeover_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/udpshard/udpshard/internal/handoff"
	"github.com/udpshard/udpshard/internal/handoff/takeover"
)

// old is a process that reads one socket.
type old struct{ socket *net.UDPConn }

func (o old) Offer(h takeover.Hello) (takeover.Offer, error) {
	if h.Role != takeover.Successor {
		return takeover.Offer{}, fmt.Errorf("role %s: only successors are served", h.Role)
	}
	duplicate, err := o.socket.File()
	return takeover.Offer{State: handoff.State{Listeners: []handoff.Listener{{Name: "raw", Sockets: []*os.File{duplicate}}}}}, err
}

func (o old) Quiesce(context.Context) error         { fmt.Println("old: flushed"); return nil }
func (o old) Resume(reason error)                   { fmt.Println("old: reads on:", reason) }
func (o old) SuccessorFailed(takeover.Hello, error) {}
func (o old) Committing(takeover.Hello)             {}
func (o old) Committed(takeover.Hello)              { fmt.Println("old: leaves") }

func Example() {
	folder, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "takeover.sock")
	ctx := context.Background()

	// The active process.
	socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer socket.Close()
	server, err := takeover.Listen(path, "1.0")
	if err != nil {
		fmt.Println(err)
		return
	}
	ended := make(chan error)
	go func() { ended <- server.Serve(ctx, old{socket}) }()

	// The successor.
	conn, err := takeover.Dial(ctx, path)
	if err != nil {
		fmt.Println(err)
		return
	}
	offer, err := conn.Hello(ctx, takeover.Hello{Version: "1.1", Role: takeover.Successor})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer offer.Close()
	fmt.Println("new: gets", len(offer.Listeners[0].Sockets), "socket of version", offer.Version)
	if err := conn.Ready(ctx); err != nil {
		fmt.Println(err)
		return
	}
	next, err := conn.Commit(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer next.Close()
	fmt.Println("new: reads")
	conn.Close()
	fmt.Println("old: exits:", <-ended)

	// Output:
	// new: gets 1 socket of version 1.0
	// old: flushed
	// old: leaves
	// new: reads
	// old: exits: <nil>
}
