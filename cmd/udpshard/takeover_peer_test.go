package main

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/handoff/takeover"
)

// connectPeer connects to a takeover path as a process of the same user, and returns the offer.
func connectPeer(t *testing.T, path string, role takeover.Role) (*takeover.Conn, takeover.Offer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := takeover.Dial(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	offer, err := conn.Hello(ctx, takeover.Hello{Version: "test", Role: role})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(offer.Close)
	return conn, offer
}

// stoppedForSuccessor starts an active process, its standby, and a handover to a successor: the
// active process has stopped reading, and waits for the successor.
func stoppedForSuccessor(t *testing.T, address, standbyAfter string) (p, standby *process, successor *takeover.Conn) {
	t.Helper()
	dir, path := privateFolder(t)
	args := takeoverArgs(dir, address, "--protocol", "discard", "--shards", "2", "--standby-after", standbyAfter)
	p = startServe(t, nil, args...)
	standby = p.launchBeside(nil, append(args, "--standby")...)
	standby.waitForLog("standby started")
	successor, _ = connectPeer(t, path, takeover.Successor)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := successor.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	return p, standby, successor
}

// The active process has stopped reading for a successor. Then the active process is stopped by
// SIGSTOP, and the successor leaves without a takeover: the standby takes over, although no shard
// of the stopped process was reading.
func TestProcessStoppedDuringHandover(t *testing.T) {
	address := freePort(t)
	p, standby, successor := stoppedForSuccessor(t, address, "250ms")
	p.sigstop()
	successor.Close()
	newSenders(t, address, 16).send(100, 0)
	standby.waitForTakeover()
	standby.waitForReceived(100)
	p.signal(syscall.SIGCONT)
	p.wantExit(cli.ExitReplaced)
}

// The active process waits for a slow successor, longer than --standby-after: the standby does not
// take over, and the active process reads on when the handover fails.
func TestSlowSuccessorIsNoStall(t *testing.T) {
	address := freePort(t)
	p, standby, _ := stoppedForSuccessor(t, address, "300ms")
	newSenders(t, address, 16).send(100, 0)
	p.waitForLog("handover failed", `"reading_on":true`) // after 5 s
	p.waitForReceived(100)
	if standby.hasTakenOver() {
		t.Error("the standby has taken over")
	}
}

// A hostile process of the same user gets the offer of a standby, and writes random values to all
// writable memory: the active process reads on, or exits as replaced. The active process never uses
// a value of this memory as a pointer or a length.
func TestHostilePeer(t *testing.T) {
	_, path := privateFolder(t)
	address := freePort(t)
	args := []string{"--listen", address, "--protocol", "syslog", "--shards", "2", "--takeover", path, "--output", "discard"}
	p := startServe(t, nil, args...)
	_, offer := connectPeer(t, path, takeover.Standby)
	s := newSenders(t, address, 16)
	s.send(1000, 0)
	p.waitForReceived(1000)

	for name, file := range map[string]*os.File{"counters": offer.Memory.Counters, "control memory": offer.Memory.Control} {
		size, err := file.Stat()
		if err != nil {
			t.Fatal(err)
		}
		memory, err := unix.Mmap(int(file.Fd()), 0, int(size.Size()), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		if name == "counters" {
			if !errors.Is(err, unix.EPERM) {
				t.Fatalf("got %v, want EPERM: the peer must not map the counters for writing", err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Munmap(memory)
		random := rand.NewChaCha8([32]byte{})
		writeRandom := func(from int) {
			for at := from; at+8 <= len(memory); at += 8 {
				binary.NativeEndian.PutUint64(memory[at:], random.Uint64())
			}
		}
		const epochAt = 16 // behind the magic and the version, which the active process has read at its start
		copy(memory, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"[:epochAt])
		writeRandom(epochAt + 8)
		s.send(2000, 0)
		p.waitForReceived(2000)
		writeRandom(epochAt)
		s.send(2100, 0)
		p.wantExit(cli.ExitReplaced)
		p.waitForLog("another process has taken over")
	}
}
