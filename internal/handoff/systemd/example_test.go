package systemd_test

import (
	"context"
	"fmt"
	"net"
	"os"

	"github.com/udpshard/udpshard/internal/handoff"
	"github.com/udpshard/udpshard/internal/handoff/systemd"
)

// A service that reads a socket, and reads the same socket after a restart. Started from a
// terminal, the program works too, and nothing is stored.
func Example() {
	unit, err := systemd.Open()
	if err != nil {
		fmt.Println(err)
		return
	}
	stored := systemd.Restore(unit.Passed())
	defer stored.Close()
	for _, why := range stored.Dropped {
		fmt.Println("dropped:", why)
	}
	state := stored.State
	if stored.Generation == 0 { // the first start
		conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			fmt.Println(err)
			return
		}
		socket, err := conn.File()
		if err != nil {
			fmt.Println(err)
			return
		}
		conn.Close()
		state.Listeners = []handoff.Listener{{Name: "raw", Address: "127.0.0.1:0", Sockets: []*os.File{socket}}}
		defer state.Close()
	}
	if err := unit.StoreAndWait(context.Background(), state); err != nil {
		fmt.Println(err)
		return
	}
	if err := unit.Ready("reads 1 socket"); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("reads", len(state.Listeners[0].Sockets), "socket")
	// Output: reads 1 socket
}
