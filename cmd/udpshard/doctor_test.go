package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/handoff/takeover"
)

// A socket filter of another process can't be detached: doctor names the instance and the shard.
func TestDoctorFindsSocketFilter(t *testing.T) {
	address, socket := freePort(t), filepath.Join(t.TempDir(), "takeover.sock")
	p := startServe(t, nil, "--listen", address, "--shards", "2", "--output", "discard",
		"--takeover", socket)
	doctor := func() (found string, code int) {
		var out safeBuffer
		d := launch(t, func(cmd *exec.Cmd) { cmd.Stdout = &out },
			"doctor", "--listen", address, "--shards", "2", "--interval", "0", "--http", p.http)
		code = d.wait()
		return out.String(), code
	}
	pid := p.pid()
	ready := fmt.Sprintf("ok    ready           pid %d says that every shard reads\n", pid)
	eventually(t, "doctor finds the instance ready without a filter", func() bool {
		found, _ := doctor()
		return strings.Contains(found, ready)
	})
	attachLockedFilter(t, socket, 1)
	p.waitForLog("socket filter not detached")
	found, code := doctor()
	for _, want := range []string{
		fmt.Sprintf("fail  ready           pid %d is not ready: "+
			"listener syslog shard 1 has a socket filter that drops datagrams\n", pid),
		fmt.Sprintf("remedy: stop pid %d and start udpshard again: ", pid),
	} {
		if code != cli.ExitFailed || !strings.Contains(found, want) {
			t.Errorf("got exit code %d, %q is missing in\n%s", code, want, found)
		}
	}
	if strings.Contains(found, "shard 0 has") {
		t.Errorf("doctor names shard 0, which has no filter:\n%s", found)
	}
}

// attachLockedFilter gets the sockets of an instance over the takeover path, and attaches a filter
// to the socket of a shard: the filter drops all datagrams, and can't be detached (SO_LOCK_FILTER,
// socket(7)).
func attachLockedFilter(t *testing.T, path string, shard int) {
	t.Helper()
	conn, err := takeover.Dial(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	hello := takeover.Hello{Version: "test", Role: takeover.Standby}
	offer, err := conn.Hello(context.Background(), hello)
	if err != nil {
		t.Fatal(err)
	}
	defer offer.Close()
	fd := int(offer.Listeners[0].Sockets[shard].Fd())
	none := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K}} // accept 0 bytes of each datagram
	program := unix.SockFprog{Len: 1, Filter: &none[0]}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &program); err != nil {
		t.Fatal(err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_LOCK_FILTER, 1); err != nil {
		t.Fatal(err)
	}
}
