package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/udpshard/udpshard/internal/cli"
)

func TestJoinSharesPort(t *testing.T) {
	address := freePort(t)
	var group []*process
	for range 3 {
		group = append(group, startServe(t, nil, "--listen", address, "--join", "--shards", "1", "--protocol", "discard"))
	}
	const flows = 300
	for range flows {
		newSenders(t, address, 1).burst(0, 1)
	}
	eventually(t, "all datagrams are delivered", func() bool {
		var sum uint64
		for _, p := range group {
			sum += p.total().Delivered
		}
		return sum == flows
	})
	for i, p := range group {
		// A fair hash: 100 of 300 flows for each process, with a standard deviation of 8.
		if got := p.total().Delivered; got < 50 || got > 150 {
			t.Errorf("process %d: got %d of %d flows, want 50 to 150", i, got, flows)
		}
	}
}

func TestPortInUseNamesHolder(t *testing.T) {
	address := freePort(t)
	first := startServe(t, nil, "--listen", address)
	second := launch(t, nil, "serve", "--listen", address)
	second.wantExit(cli.ExitFailed)
	second.waitForLog("udpshard: error: ", address, fmt.Sprintf("pid %d (udpshard)", first.pid()),
		fmt.Sprintf("uid %d", os.Getuid()), "\nudpshard: hint: ", "--join")
	newSenders(t, address, 4).send(100, 0)
	first.waitForDelivered(100)
}

func TestJoinRefusesOtherUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs a second user: run as root")
	}
	const nobody = 65534
	address := freePort(t)
	startServe(t, nil, "--listen", address, "--join")
	denied := launch(t, func(cmd *exec.Cmd) {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}, "serve", "--listen", address, "--join", "--http", "")
	denied.wantExit(cli.ExitFailed)
	denied.waitForLog("uid 0", "SO_REUSEPORT", "one user")
}

func TestSpecificAddressBeatsWildcard(t *testing.T) {
	_, port, err := net.SplitHostPort(freePort(t))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "udpshard.yaml")
	text := fmt.Sprintf("listeners:\n- {name: all, address: ':%s', protocol: discard}\n- {name: one, address: '127.0.0.2:%s', protocol: discard}\n", port, port)
	writeFile(t, file, text)
	p := startServe(t, nil, "--config", file)
	for range 40 {
		newSenders(t, "127.0.0.1:"+port, 1).burst(0, 1)
		newSenders(t, "127.0.0.2:"+port, 1).burst(0, 1)
	}
	p.waitForDelivered(80)
	for _, l := range p.status().Listeners {
		var got uint64
		for _, shard := range l.Shards {
			got += shard.Delivered
		}
		if got != 40 {
			t.Errorf("listener %s: got %d datagrams, want 40", l.Name, got)
		}
	}
}
