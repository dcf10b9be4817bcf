package stream

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/udpshard/udpshard/internal/leak"
	"github.com/udpshard/udpshard/internal/ship"
	"github.com/udpshard/udpshard/internal/ship/shiptest"
	"golang.org/x/sys/unix"
)

func TestSend(t *testing.T) {
	l := listen(t, 0)
	to := openTCP(t, l)
	first, second := shiptest.Numbered(0, 5000), shiptest.Numbered(5000, 3)
	result := begin(context.Background(), to, first)
	lines := bufio.NewReader(accept(t, l))
	got := readLines(t, lines, 5000)
	if err := <-result; err != nil {
		t.Fatal(err)
	}
	send(t, to, second)
	got = append(got, readLines(t, lines, 3)...)
	if want := append(text(first.Records), text(second.Records)...); !slices.Equal(got, want) {
		t.Error("records differ")
	}
	if first.Resent != 0 || second.Resent != 0 {
		t.Error("records count as sent again")
	}
}

// readCounted reads frames with octet counting.
func readCounted(t *testing.T, r *bufio.Reader, n int) (records []string) {
	t.Helper()
	for range n {
		var length int
		if _, err := fmt.Fscanf(r, "%d ", &length); err != nil {
			t.Fatal(err)
		}
		record := make([]byte, length)
		if _, err := io.ReadFull(r, record); err != nil {
			t.Fatal(err)
		}
		records = append(records, string(record))
	}
	return records
}

// Octet counting keeps each byte; an empty record has no frame.
func TestOctetCounting(t *testing.T) {
	l := listen(t, 0)
	s := shiptest.Settings(t, "tcp://"+l.Addr().String(), "framing", "octet-counting")
	s.Format = ship.Original
	to := open(t, s)
	b := shiptest.Batch(0, "", "a\nb\x00\xff#\x7f", strings.Repeat("x", 8<<10), "", "12 3")
	var partial *ship.Error
	err := to.Send(context.Background(), b)
	if !errors.As(err, &partial) || partial.Err != nil || len(partial.Rejected) != 2 ||
		partial.Rejected[0].Index != 0 || partial.Rejected[1].Index != 3 {
		t.Errorf("%v: %+v", err, partial)
	}
	got := readCounted(t, bufio.NewReader(accept(t, l)), 3)
	if want := []string{string(b.Records[1]), string(b.Records[2]), "12 3"}; !slices.Equal(got, want) {
		t.Errorf("%.60q, want %.60q", got, want)
	}
}

// Records of the format original are one line each.
func TestNewlineEscapes(t *testing.T) {
	l := listen(t, 0)
	s := shiptest.Settings(t, "tcp://"+l.Addr().String())
	s.Format = ship.Original
	to := open(t, s)
	send(t, to, shiptest.Batch(0, "a\nb\x00\xff#\x7f", "", "c\td"))
	got := readLines(t, bufio.NewReader(accept(t, l)), 3)
	if want := []string{"a#012b#000\xff##177", "", "c#011d"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestOptions(t *testing.T) {
	for _, c := range []struct {
		url     string
		options []string
		want    string
	}{
		{"tcp://h:1", []string{"framing", "lines"}, "not one of newline, octet-counting"},
		{"tcp://h:1", []string{"resend", "many"}, "resend"},
		{"tcp://h:1", []string{"resend", "4194304GiB"}, "option resend: at most 1GiB"},
		{"tcp://h:1", []string{"ca", "/x"}, "unknown option ca"},
		{"tls://h:1", []string{"cert", "/x"}, "needs both"},
		{"udp://h:1", []string{"resend", "1KiB"}, "unknown option resend"},
		{"tcp://h", nil, "needs a host and a port"},
		{"tcp://a:1,b:1", nil, "needs one host and one port"},
		{"udp://a:1,b:1", nil, "needs one host and one port"},
		{"tls://h:1/path", nil, "has no path"},
	} {
		s := shiptest.Settings(t, "tcp://h:1", c.options...)
		scheme, rest, _ := strings.Cut(c.url, "://")
		s.URL.Scheme = scheme
		s.URL.Host, s.URL.Path, _ = strings.Cut(rest, "/")
		if _, err := New(s); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %v: %v, want %s", c.url, c.options, err, c.want)
		}
	}
	if _, err := New(shiptest.Settings(t, "tcp://h:1", "resend", "0")); err != nil {
		t.Errorf("resend=0, the default: %v", err)
	}
}

func TestNoCollector(t *testing.T) {
	to := open(t, shiptest.Settings(t, "tcp://"+shiptest.FreeTCP(t)))
	err := to.Send(context.Background(), shiptest.Numbered(0, 3))
	if !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("%v, want connection refused", err)
	}
	var permanent *ship.Error
	if errors.As(err, &permanent) && permanent.Permanent {
		t.Error("the error is permanent")
	}
}

// A batch is acknowledged when the TCP of the peer has all of it, not when the kernel of the sender
// has: the first Send ends with a reset by a peer that had read nothing, and reports less than the
// whole batch. What was reported is not sent again, and the rest is.
func TestResetInBatch(t *testing.T) {
	l := listen(t, smallBuffer)
	to := openTCP(t, l)
	b := shiptest.Numbered(0, 1500)
	result := begin(context.Background(), to, b)
	peer := accept(t, l)
	awaitFull(t, peer)
	reset(t, peer)
	acknowledged := partly(t, <-result, unix.ECONNRESET)
	if acknowledged == 0 || acknowledged >= len(b.Records) {
		t.Fatalf("%d of %d records acknowledged", acknowledged, len(b.Records))
	}
	result = begin(context.Background(), to, rest(b, acknowledged))
	got := readLines(t, bufio.NewReader(accept(t, l)), len(b.Records)-acknowledged)
	if err := <-result; err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, text(b.Records)[acknowledged:]) {
		t.Error("the rest of the batch differs")
	}
}

// awaitFull waits until bytes of the sender have filled the receive buffer.
func awaitFull(t *testing.T, peer *net.TCPConn) {
	t.Helper()
	last, since := 0, time.Now()
	await(t, "a full receive buffer", func() bool {
		if n := waiting(t, peer); n != last {
			last, since = n, time.Now()
		}
		return last > 0 && time.Since(since) > 50*time.Millisecond
	})
}

// waiting returns how many bytes have arrived and are not read.
func waiting(t *testing.T, conn *net.TCPConn) (n int) {
	t.Helper()
	onDescriptor(t, conn, func(fd int) (err error) {
		n, err = unix.IoctlGetInt(fd, unix.SIOCINQ)
		return err
	})
	return n
}

// reset closes a connection with a reset.
func reset(t *testing.T, peer *net.TCPConn) {
	t.Helper()
	if err := errors.Join(peer.SetLinger(0), peer.Close()); err != nil {
		t.Fatal(err)
	}
}

// partly returns how many records a failed Send reports as acknowledged. The error must be as
// wanted.
func partly(t *testing.T, err, want error) int {
	t.Helper()
	var partial *ship.Error
	if !errors.As(err, &partial) || !errors.Is(err, want) || partial.Permanent {
		t.Fatalf("%v, want %v", err, want)
	}
	return partial.Acknowledged
}

// With resend, what the peer's TCP had acknowledged and the program had not read is sent again,
// before anything else: nothing is lost.
func TestResend(t *testing.T) {
	l := listen(t, smallBuffer)
	to := openTCP(t, l, "resend", "16KiB")
	first := shiptest.Numbered(0, 100)
	send1 := begin(context.Background(), to, first)
	peer := accept(t, l)
	lines := bufio.NewReader(peer)
	got := readLines(t, lines, 100)
	if err := <-send1; err != nil {
		t.Fatal(err)
	}
	second := shiptest.Numbered(100, 1500)
	result := begin(context.Background(), to, second)
	awaitFull(t, peer)
	reset(t, peer)
	acknowledged := partly(t, <-result, unix.ECONNRESET)

	remainder := rest(second, acknowledged)
	result = begin(context.Background(), to, remainder)
	again := bufio.NewReader(accept(t, l))
	overlapping := readLines(t, again, 1)
	var number int
	fmt.Sscanf(overlapping[0][strings.Index(overlapping[0], "record ")+7:], "%d", &number)
	all := append(text(first.Records), text(second.Records)...)
	if number >= len(got) {
		t.Fatalf("records %d to %d are lost", len(got), number-1)
	}
	size := len(strings.Join(all[number:100+acknowledged], "\n")) + 1
	if size > 16<<10 || size < 15<<10 {
		t.Errorf("%d bytes sent again", size)
	}
	overlapping = append(overlapping, readLines(t, again, len(all)-number-1)...)
	if !slices.Equal(overlapping, all[number:]) {
		t.Error("the records on the second connection differ")
	}
	if err := <-result; err != nil {
		t.Fatal(err)
	}
	if want := 100 + acknowledged - number; remainder.Resent != want {
		t.Errorf("%d records count as sent again, want %d", remainder.Resent, want)
	}
}

// A connection that the peer has closed gets no batch more: the next batch arrives as a whole on
// the next connection, without an error.
func TestClosedByPeer(t *testing.T) {
	for name, end := range map[string]func(*testing.T, *net.TCPConn){
		"FIN":        func(t *testing.T, peer *net.TCPConn) { peer.Close() },
		"half close": func(t *testing.T, peer *net.TCPConn) { peer.CloseWrite() },
		"RST":        reset,
		"bytes before FIN": func(t *testing.T, peer *net.TCPConn) {
			peer.Write(make([]byte, 100<<10))
			peer.CloseWrite()
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := listen(t, 0)
			to := openTCP(t, l)
			send(t, to, shiptest.Numbered(0, 10))
			peer := accept(t, l)
			lines := bufio.NewReader(peer)
			readLines(t, lines, 10)
			end(t, peer)
			await(t, "the end of the connection", func() bool { return ended(t, to.conn.socket.rawConn.(*net.TCPConn)) })
			second := shiptest.Numbered(10, 10)
			send(t, to, second)
			got := readLines(t, bufio.NewReader(accept(t, l)), 10)
			if !slices.Equal(got, text(second.Records)) {
				t.Error("records differ")
			}
			if name != "half close" && name != "bytes before FIN" {
				return
			}
			if more := readLines(t, lines, -1); len(more) > 0 {
				t.Errorf("%d records on the first connection", len(more))
			}
		})
	}
}

// ended reports whether a FIN or a RST has arrived.
func ended(t *testing.T, conn *net.TCPConn) bool {
	t.Helper()
	return info(t, conn).State != unix.BPF_TCP_ESTABLISHED
}

func info(t *testing.T, conn *net.TCPConn) (i *unix.TCPInfo) {
	t.Helper()
	onDescriptor(t, conn, func(fd int) (err error) {
		i, err = unix.GetsockoptTCPInfo(fd, unix.SOL_TCP, unix.TCP_INFO)
		return err
	})
	return i
}

// What a peer sends is thrown away, during a batch too.
func TestPeerSends(t *testing.T) {
	l := listen(t, 0)
	serve(t, l, func(peer *net.TCPConn) {
		io.Copy(struct{ io.Writer }{peer}, peer) // without splice(2), whose pipes stay open
	})
	to := openTCP(t, l)
	for i := range 20 {
		send(t, to, shiptest.Numbered(i*3000, 3000))
	}
}

// A reconnect leaves nothing behind.
func TestReconnects(t *testing.T) {
	leak.Descriptors(t)
	l := listen(t, 0)
	to := openTCP(t, l, "resend", "100")
	for i := range 300 {
		b := shiptest.Batch(i, fmt.Sprint("record ", i))
		send(t, to, b)
		if i > 0 && b.Resent == 0 {
			t.Fatal("nothing sent again after a reconnect")
		}
		peer := accept(t, l)
		readLines(t, bufio.NewReader(peer), 1+b.Resent)
		peer.Close()
		await(t, "the end of the connection", func() bool { return ended(t, to.conn.socket.rawConn.(*net.TCPConn)) })
	}
	to.disconnect()
	l.Close()
}

// Send allocates nothing for a record.
func TestAllocations(t *testing.T) {
	l := listen(t, 0)
	serve(t, l, func(peer *net.TCPConn) { io.Copy(io.Discard, peer) })
	to := openTCP(t, l, "resend", "64KiB")
	b := shiptest.Numbered(0, 2000)
	send(t, to, b)
	const most = 100 // for the context, deadlines, and questions for the send queue
	if n := testing.AllocsPerRun(20, func() { send(t, to, b) }); n > most {
		t.Errorf("%.0f allocations for a batch of %d records", n, len(b.Records))
	}
}
