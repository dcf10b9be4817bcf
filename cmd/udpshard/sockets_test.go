package main

import (
	"bytes"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/udpshard/udpshard/internal/cli"
)

func TestListConnectedSockets(t *testing.T) {
	peer, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	conn, err := net.Dial("udp4", peer.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	at := conn.LocalAddr().(*net.UDPAddr).AddrPort()
	var out bytes.Buffer
	if err := listSockets(&out, at, 0, false); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"connected sockets receive what their peer sends, before all groups\n", " " + at.String() + "  " + peer.LocalAddr().String() + "  "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, &out)
		}
	}
	if err := listSockets(&out, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), at.Port()), 0, false); err == nil {
		t.Error("a socket at another address is listed")
	}
}

// Without privilege, sockets of other users are listed without their processes.
func TestListSocketsOfOtherUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs a second user: run as root")
	}
	const nobody = 65534
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var out bytes.Buffer
	lister := launch(t, func(cmd *exec.Cmd) {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		cmd.Stdout = &out
	}, "sockets", conn.LocalAddr().String())
	lister.wantExit(cli.ExitDone)
	text := strings.Join(strings.Fields(out.String()), " ")
	for _, want := range []string{" 0 - - 0 0B ", "pid -: a process of another user, which uid 65534 may not see: run as root"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, &out)
		}
	}
}
