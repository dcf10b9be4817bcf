package main

import (
	"path/filepath"
	"syscall"
	"testing"

	"github.com/udpshard/udpshard/internal/cli"
)

// What systemctl stop and docker stop of a paused container do: the process that was replaced
// while it was stopped gets SIGTERM, and wakes up. The new one reads on, and nobody's filter is
// on its sockets.
func TestReplacedProcessGetsSIGTERM(t *testing.T) {
	for range 5 {
		dir, address := publicDir(t), freePort(t)
		args := []string{"--listen", address, "--shards", "2", "--protocol", "discard", "--takeover", filepath.Join(dir, "takeover.sock"), "--standby-after", "100ms"}
		p := serving(t, ordinary, args...)
		next := p.startStandby(args...)
		p.halt()
		s := newSenders(t, address, 8)
		s.send(80, 10_000)
		eventually(t, "the standby takes over", func() bool { return next.says(`"message":"takeover finished`) })
		for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGCONT} {
			if err := p.cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
		}
		if code := p.wait(); code != cli.ExitReplaced {
			t.Errorf("exit code %d, want %d", code, cli.ExitReplaced)
		}
		s.send(800, 10_000)
		eventually(t, "the new one reads on", func() bool {
			now := next.total()
			return now.Received+now.Dropped.Kernel >= uint64(s.sent)
		})
		if now := next.total(); now.Dropped.Kernel != 0 || next.says("detached") {
			t.Errorf("%d were dropped by the kernel", now.Dropped.Kernel)
		}
		if code := next.terminate(); code != 0 {
			t.Errorf("exit code %d", code)
		}
	}
}
