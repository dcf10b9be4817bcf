// Command receivers counts datagrams in two usual ways of Go programs, for comparison by bench/run:
// with one goroutine and golang.org/x/net's ReadBatch, or with net.UDPConn. On SIGTERM the command
// prints its count.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// The same as for udpshard and floor.c.
const (
	batch = 64
	slot  = 8192
	queue = 32 << 20
)

type count struct {
	Received uint64 `json:"received"`
	Bytes    uint64 `json:"bytes"`
	Calls    uint64 `json:"calls"`
}

var modes = map[string]func(*net.UDPConn, *count) error{
	"readbatch": readBatch,
	"readfrom":  readFrom,
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		panic(err)
	}
}

func run(args []string) error {
	if len(args) != 2 || modes[args[0]] == nil {
		return errors.New("usage: receivers readbatch|readfrom ADDR")
	}
	address, err := netip.ParseAddrPort(args[1])
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, unix.SIGINT)
	defer stop()
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(address))
	if err != nil {
		return err
	}
	if err := enlarge(conn); err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Now()) })
	var c count
	if err := modes[args[0]](conn, &c); !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	out, err := json.Marshal(c)
	fmt.Fprintf(os.Stdout, "%s\n", out)
	return err
}

// enlarge asks for a receive buffer of the same size as udpshard and floor.c.
func enlarge(conn *net.UDPConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	forced := false
	if err := raw.Control(func(fd uintptr) {
		forced = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, queue) == nil
	}); err != nil || forced {
		return err
	}
	return conn.SetReadBuffer(queue)
}

func readBatch(conn *net.UDPConn, c *count) error {
	messages := make([]ipv4.Message, batch)
	for i := range messages {
		messages[i].Buffers = [][]byte{make([]byte, slot)}
	}
	packets := ipv4.NewPacketConn(conn)
	for {
		n, err := packets.ReadBatch(messages, 0)
		if err != nil {
			return err
		}
		c.Calls++
		c.Received += uint64(n)
		for _, m := range messages[:n] {
			c.Bytes += uint64(m.N)
		}
	}
}

func readFrom(conn *net.UDPConn, c *count) error {
	buf := make([]byte, slot)
	for {
		n, _, err := conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return err
		}
		c.Calls++
		c.Received++
		c.Bytes += uint64(n)
	}
}
