package stream

import (
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

// listenUDP returns a socket at an address.
func listenUDP(t *testing.T, address string) *net.UDPConn {
	t.Helper()
	at, err := net.ResolveUDPAddr("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.ListenUDP("udp", at)
	if err != nil {
		t.Skipf("needs the address %s: %v", address, err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	return conn
}

func readDatagrams(t *testing.T, conn *net.UDPConn, n int) (all []string) {
	t.Helper()
	datagram := make([]byte, 1<<16)
	for range n {
		k, err := conn.Read(datagram)
		if err != nil {
			t.Fatalf("after %d datagrams: %v", len(all), err)
		}
		all = append(all, string(datagram[:k]))
	}
	return all
}

func TestDatagrams(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		conn := listenUDP(t, address)
		to := open(t, shiptest.Settings(t, "udp://"+conn.LocalAddr().String()))
		b := shiptest.Batch(0, "a\nb\x00\xff", "", strings.Repeat("x", 8<<10))
		send(t, to, b)
		if got := readDatagrams(t, conn, 3); !slices.Equal(got, text(b.Records)) {
			t.Errorf("%.60q", got)
		}
		for _, m := range to.(*datagrams).messages {
			if m.Buffers[0] != nil {
				t.Error("the target keeps a record")
			}
		}
	}
}

// A record that does not fit is rejected alone.
func TestLongDatagram(t *testing.T) {
	conn := listenUDP(t, "127.0.0.1:0")
	to := open(t, shiptest.Settings(t, "udp://"+conn.LocalAddr().String()))
	b := shiptest.Batch(0, "a", strings.Repeat("x", 66_000), "b", strings.Repeat("y", 65_508))
	err := to.Send(context.Background(), b)
	var partial *ship.Error
	want := []ship.Rejection{
		{Index: 1, Reason: "a record of 66000 bytes does not fit into a datagram"},
		{Index: 3, Reason: "a record of 65508 bytes does not fit into a datagram"},
	}
	if !errors.As(err, &partial) || partial.Err != nil || !slices.Equal(partial.Rejected, want) {
		t.Errorf("%v: %+v", err, partial)
	}
	if got := readDatagrams(t, conn, 2); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("%q", got)
	}
}

// While nobody listens, nothing counts as sent; the batch arrives when somebody does.
func TestRefusedDatagrams(t *testing.T) {
	conn := listenUDP(t, "127.0.0.1:0")
	address := conn.LocalAddr().String()
	conn.Close()
	to := open(t, shiptest.Settings(t, "udp://"+address))
	b := shiptest.Numbered(0, 100)
	for range 3 {
		err := to.Send(context.Background(), b)
		var partial *ship.Error
		if !errors.Is(err, unix.ECONNREFUSED) || errors.As(err, &partial) {
			t.Fatalf("%v, want connection refused", err)
		}
	}
	conn = listenUDP(t, address)
	send(t, to, b)
	if got := readDatagrams(t, conn, 100); !slices.Equal(got, text(b.Records)) {
		t.Error("records differ")
	}
}

func TestDatagramAllocations(t *testing.T) {
	conn := listenUDP(t, "127.0.0.1:0") // drops what does not fit
	to := open(t, shiptest.Settings(t, "udp://"+conn.LocalAddr().String()))
	b := shiptest.Numbered(0, 3000)
	send(t, to, b)
	const most = 100
	if n := testing.AllocsPerRun(20, func() { send(t, to, b) }); n > most {
		t.Errorf("%.0f allocations for a batch of %d records", n, len(b.Records))
	}
}
