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

// given are the ports that were returned: no other test gets one.
var usedPorts sync.Map

// findPort returns a port that nobody has, neither for UDP nor for TCP. It looks
// below those that the kernel gives to whoever asks for any (ip_local_port_range,
// 32768 and up): between its look and the program's start nobody else gets one
// from there.
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

// freePort returns an address on loopback with such a port.
func freePort(t *testing.T) string {
	t.Helper()
	port, err := findPort()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", port)
}

// scriptFreePort puts such ports into variables of these names.
func scriptFreePort(ts *testscript.TestScript, names []string) {
	for _, name := range names {
		port, err := findPort()
		ts.Check(err)
		ts.Setenv(name, strconv.Itoa(port))
	}
}
