package stream

import (
	"bufio"
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/ship"
	"github.com/udpshard/udpshard/internal/ship/shiptest"
)

// A peer that answers and keeps its window closed is not dead, however long: Send waits for it.
func TestStalledPeer(t *testing.T) {
	for name, sendBuffer := range map[string]int{"awaiting": 0, "writing": 4 << 10} {
		t.Run(name, func(t *testing.T) {
			l := listen(t, smallBuffer)
			to := openTCP(t, l)
			send(t, to, shiptest.Numbered(0, 1))
			conn := to.conn.socket
			conn.patience = 100 * time.Millisecond
			if sendBuffer > 0 {
				setBuffer(t, conn, unix.SO_SNDBUF, sendBuffer)
			}
			b := shiptest.Numbered(1, 1000)
			result := begin(context.Background(), to, b)
			peer := accept(t, l)
			// The kernel doubles the pause before each window probe: 0.2, 0.4, 0.8 s.
			await(t, "three window probes", func() bool { return info(t, conn.rawConn.(*net.TCPConn)).Backoff >= 3 })
			select {
			case err := <-result:
				t.Fatalf("%v during the stall", err)
			default:
			}
			got := readLines(t, bufio.NewReader(peer), 1001)
			if err := <-result; err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got[1:], text(b.Records)) {
				t.Error("records differ")
			}
		})
	}
}

// Send returns soon after the end of its context, also in the middle of a write, and reports what
// is acknowledged.
func TestContextEnds(t *testing.T) {
	for name, sendBuffer := range map[string]int{"awaiting": 0, "writing": 4 << 10} {
		t.Run(name, func(t *testing.T) {
			l := listen(t, smallBuffer)
			to := openTCP(t, l)
			send(t, to, shiptest.Numbered(0, 1))
			if sendBuffer > 0 {
				setBuffer(t, to.conn.socket, unix.SO_SNDBUF, sendBuffer)
			}
			b := shiptest.Numbered(1, 1000)
			ctx, cancel := context.WithCancel(context.Background())
			result := begin(ctx, to, b)
			peer := accept(t, l)
			awaitFull(t, peer)
			ended := time.Now()
			cancel()
			acknowledged := partly(t, <-result, context.Canceled)
			if waited := time.Since(ended); waited > 5*time.Second {
				t.Errorf("Send returned %v after the end of the context", waited)
			}
			if acknowledged == 0 || acknowledged >= len(b.Records) {
				t.Errorf("%d of %d records acknowledged", acknowledged, len(b.Records))
			}
			got := readLines(t, bufio.NewReader(peer), 1+acknowledged)
			if !slices.Equal(got[1:], text(b.Records)[:acknowledged]) {
				t.Error("the peer does not have what was acknowledged")
			}
		})
	}
}

// A batch for a peer that is well is finished after the end of the context: no half record.
func TestGrace(t *testing.T) {
	l := listen(t, 0)
	to := openTCP(t, l)
	send(t, to, shiptest.Numbered(0, 1))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := to.Send(ctx, shiptest.Numbered(1, 10)); err != nil {
		t.Fatal(err)
	}
	readLines(t, bufio.NewReader(accept(t, l)), 11)
}

// A peer that answers nothing is given up. A filter that drops all segments at the sender's socket
// stands for a network that has lost the way to the peer.
func TestDeadPeer(t *testing.T) {
	l := listen(t, 0)
	to := openTCP(t, l)
	send(t, to, shiptest.Numbered(0, 10))
	accept(t, l)
	conn := to.conn.socket
	conn.patience = 300 * time.Millisecond
	onDescriptor(t, conn, func(fd int) error {
		dropAll := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K}
		program := unix.SockFprog{Len: 1, Filter: &dropAll}
		return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &program)
	})
	b := shiptest.Numbered(10, 10)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := to.Send(ctx, b)
	var partial *ship.Error
	if !errors.As(err, &partial) || partial.Acknowledged != 0 ||
		!strings.Contains(err.Error(), "no answer from the peer") {
		t.Fatalf("%v", err)
	}
	send(t, to, b)
	if got := readLines(t, bufio.NewReader(accept(t, l)), 10); !slices.Equal(got, text(b.Records)) {
		t.Error("records differ")
	}
}
