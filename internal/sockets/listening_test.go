package sockets

import (
	"fmt"
	"net"
	"os"
	"testing"
)

// Listening finds listening TCP sockets with their process, but no connections.
func TestListening(t *testing.T) {
	for network, at := range map[string]string{"tcp4": "127.0.0.1:0", "tcp6": "[::1]:0"} {
		l, err := net.Listen(network, at)
		if err != nil {
			t.Logf("%s: %v", network, err)
			continue
		}
		defer l.Close()
		client, err := net.Dial(network, l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		server, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		all, err := Listening(uint16(l.Addr().(*net.TCPAddr).Port))
		if err != nil || len(all) != 1 {
			t.Fatalf("%s: %d sockets, %v", network, len(all), err)
		}
		s := all[0]
		own := len(s.Processes) == 1 && s.Processes[0].PID == os.Getpid()
		if s.Local.String() != l.Addr().String() || int(s.UID) != os.Geteuid() || !own {
			t.Errorf("%s: %+v, want one at %s of pid %d", network, s, l.Addr(), os.Getpid())
		}
	}
	for network, only := range map[string]bool{"tcp": false, "tcp6": true} {
		l, err := net.Listen(network, ":0")
		if err != nil || !l.Addr().(*net.TCPAddr).IP.Equal(net.IPv6unspecified) {
			t.Logf("%s: %v", network, err)
			continue
		}
		defer l.Close()
		port := uint16(l.Addr().(*net.TCPAddr).Port)
		all, err := Listening(port)
		at := fmt.Sprintf("[::]:%d", port)
		if err != nil || len(all) != 1 || all[0].V6Only != only || all[0].Local.String() != at {
			t.Errorf("%s: %+v, %v", network, all, err)
		}
	}
	if all, err := Listening(bind(t, "127.0.0.1:0").port()); err != nil || len(all) != 0 {
		t.Errorf("%+v, %v, where nobody listens", all, err)
	}
}
