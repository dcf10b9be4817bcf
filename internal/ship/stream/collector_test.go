package stream

import (
	"bufio"
	"context"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/ship"
	"github.com/udpshard/udpshard/internal/ship/shiptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience: how long tests wait for a condition.
const patience = 30 * time.Second

// smallBuffer is a receive buffer that closes the window of a peer after a few KiB.
const smallBuffer = 4 << 10

// listen returns a listener on loopback; its connections have receive buffers of some bytes, 0: of
// the usual size.
func listen(t *testing.T, receiveBuffer int) *net.TCPListener {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	l.SetDeadline(time.Now().Add(patience))
	if receiveBuffer > 0 {
		setBuffer(t, l, unix.SO_RCVBUF, receiveBuffer)
	}
	return l
}

func setBuffer(t *testing.T, socket syscall.Conn, option, size int) {
	t.Helper()
	onDescriptor(t, socket, func(fd int) error {
		return unix.SetsockoptInt(fd, unix.SOL_SOCKET, option, size)
	})
}

// onDescriptor calls f with the descriptor of a listener or a connection.
func onDescriptor(t *testing.T, socket syscall.Conn, f func(fd int) error) {
	t.Helper()
	raw, err := socket.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var fErr error
	if err := raw.Control(func(fd uintptr) { fErr = f(int(fd)) }); err != nil || fErr != nil {
		t.Fatal(err, fErr)
	}
}

// accept returns the next connection, which is closed at the end of the test.
func accept(t *testing.T, l *net.TCPListener) *net.TCPConn {
	t.Helper()
	conn, err := l.AcceptTCP()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	return conn
}

// serve calls f with each connection, in a goroutine. The test ends when all calls have returned.
func serve(t *testing.T, l *net.TCPListener, f func(peer *net.TCPConn)) {
	t.Helper()
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			peer, err := l.AcceptTCP()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer peer.Close()
				f(peer)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		serving.Wait()
	})
}

// readLines returns n lines without newlines, or all lines up to the end for n < 0.
func readLines(t *testing.T, r *bufio.Reader, n int) (lines []string) {
	t.Helper()
	for ; n != 0; n-- {
		line, err := r.ReadString('\n')
		if err != nil {
			if n < 0 {
				return lines
			}
			t.Fatalf("after %d lines: %v", len(lines), err)
		}
		lines = append(lines, strings.TrimSuffix(line, "\n"))
	}
	return lines
}

// open returns a target, which is closed at the end of the test.
func open(t *testing.T, s *ship.Settings) ship.Target {
	t.Helper()
	opened, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := opened.Close(); err != nil {
			t.Error(err)
		}
	})
	return opened
}

// openTCP returns a target for a listener. options are keys and values in turn.
func openTCP(t *testing.T, l net.Listener, options ...string) *target {
	t.Helper()
	return open(t, shiptest.Settings(t, "tcp://"+l.Addr().String(), options...)).(*target)
}

// send sends a batch, which must be acknowledged.
func send(t *testing.T, to ship.Target, b *ship.Batch) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := to.Send(ctx, b); err != nil {
		t.Fatal(err)
	}
}

// begin sends a batch in a goroutine, and returns where the result comes.
func begin(ctx context.Context, to ship.Target, b *ship.Batch) <-chan error {
	result := make(chan error, 1)
	go func() { result <- to.Send(ctx, b) }()
	return result
}

// await waits for a condition.
func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// rest is the part of a batch that is not acknowledged.
func rest(b *ship.Batch, acknowledged int) *ship.Batch {
	r := *b
	r.First += uint64(acknowledged)
	r.Records = r.Records[acknowledged:]
	return &r
}

// text returns the records.
func text(records [][]byte) (all []string) {
	for _, r := range records {
		all = append(all, string(r))
	}
	return all
}
