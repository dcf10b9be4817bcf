package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// usedPorts are the ports that findPort has returned. No port is returned twice.
var usedPorts sync.Map

// findPort returns a port without UDP and TCP sockets, below the range from which the kernel takes
// ports for port 0 (ip_local_port_range, 32768 and up). So no process gets the port from the kernel
// before the program under test binds the port.
func findPort() (port int, err error) {
	const first, beyond = 10_000, 32_768
	var errs []error
	for range 100 {
		port = first + rand.IntN(beyond-first)
		if _, taken := usedPorts.LoadOrStore(port, true); taken {
			continue
		}
		if err = isFree(port); err == nil {
			return port, nil
		}
		errs = append(errs, err)
	}
	return 0, errors.Join(errs...)
}

// isFree returns an error if a socket has the port.
func isFree(port int) error {
	address := net.JoinHostPort("", strconv.Itoa(port))
	udp, err := net.ListenPacket("udp", address)
	if err != nil {
		return err
	}
	defer udp.Close()
	tcp, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	return tcp.Close()
}

// freePort returns 127.0.0.1 with a port of findPort.
func freePort(t *testing.T) string {
	t.Helper()
	port, err := findPort()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", port)
}

// scriptFreePort sets each named variable to a port of findPort.
func scriptFreePort(ts *testscript.TestScript, names []string) {
	for _, name := range names {
		port, err := findPort()
		ts.Check(err)
		ts.Setenv(name, strconv.Itoa(port))
	}
}
