package stream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/ship"
)

// datagrams sends each record as a datagram. The network acknowledges nothing: Send returns nil
// when the kernel has taken all datagrams, and the host of the target has refused none so far. A
// host refuses with an ICMP message that comes some time after a datagram, from the same host at
// once.
type datagrams struct {
	settings *ship.Settings
	conn     *net.UDPConn // nil: connected by the next Send
	packets  *ipv4.PacketConn
	resolved time.Time
	messages []ipv4.Message
}

// maxMessages is the most messages of a sendmmsg(2) (UIO_MAXIOV).
const maxMessages = 1024

func newDatagrams(s *ship.Settings) (ship.Target, error) {
	if err := cli.Join(checkHost(s), s.CheckOptions()); err != nil {
		return nil, err
	}
	d := &datagrams{settings: s, messages: make([]ipv4.Message, maxMessages)}
	for i := range d.messages {
		d.messages[i].Buffers = make([][]byte, 1)
	}
	return d, nil
}

// Send implements ship.Target. After ECONNREFUSED the whole batch is sent again: which datagrams
// the host of the target has refused is not known.
func (d *datagrams) Send(ctx context.Context, b *ship.Batch) error {
	if err := d.connect(ctx); err != nil {
		return err
	}
	conn := d.conn
	if err := conn.SetWriteDeadline(time.Time{}); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetWriteDeadline(time.Unix(1, 0)) })
	defer stop()
	sent, rejected, err := d.write(b.Records)
	if err == nil {
		err = d.refusal()
	}
	if err != nil {
		_ = d.Close() // the next Send resolves the name again
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		err = fmt.Errorf("datagrams to %s: %w", d.settings.URL.Host, withoutAddresses(err))
		if errors.Is(err, unix.ECONNREFUSED) {
			return err
		}
		return &ship.Error{Err: err, Acknowledged: sent, Rejected: rejected}
	}
	if len(rejected) > 0 {
		return &ship.Error{Rejected: rejected}
	}
	return nil
}

// write sends datagrams, and returns how many of the first records are sent or rejected.
func (d *datagrams) write(records [][]byte) (sent int, rejected []ship.Rejection, err error) {
	for sent < len(records) {
		n := min(len(records)-sent, maxMessages)
		for i, record := range records[sent : sent+n] {
			d.messages[i].Buffers[0] = record
		}
		messages := d.messages[:n]
		n, err := d.packets.WriteBatch(messages, 0)
		for i := range messages { // a Target keeps no reference to the batch
			messages[i].Buffers[0] = nil
		}
		sent += max(n, 0)
		switch {
		case errors.Is(err, unix.EMSGSIZE):
			reason := fmt.Sprintf("a record of %d bytes does not fit into a datagram", len(records[sent]))
			rejected = append(rejected, ship.Rejection{Index: sent, Reason: reason})
			sent++
		case err != nil:
			return sent, rejected, err
		}
	}
	return sent, rejected, nil
}

// resolveEvery: how long a name's address is used. No error says that a collector has moved.
const resolveEvery = time.Minute

// connect makes a connected socket, if there is none yet or the name of the target may have a new
// address. If the name can't be resolved again, the present socket stays in use.
func (d *datagrams) connect(ctx context.Context) error {
	_, err := netip.ParseAddr(d.settings.URL.Hostname())
	isName := err != nil
	if d.conn != nil && (!isName || time.Since(d.resolved) < resolveEvery) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	d.resolved = time.Now()
	dialed, err := new(net.Dialer).DialContext(ctx, "udp", d.settings.URL.Host)
	if err != nil {
		if d.conn != nil {
			return nil
		}
		return err
	}
	if d.conn != nil && d.conn.RemoteAddr().String() == dialed.RemoteAddr().String() {
		return dialed.Close()
	}
	_ = d.Close()
	d.conn = dialed.(*net.UDPConn)
	d.packets = ipv4.NewPacketConn(d.conn) // WriteBatch is the same for IPv6
	return nil
}

// refusal returns the error of an ICMP message that has come for one of the datagrams (udp(7)).
func (d *datagrams) refusal() error {
	raw, err := d.conn.SyscallConn()
	if err != nil {
		return err
	}
	var pending int
	controlErr := raw.Control(func(fd uintptr) {
		pending, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
	})
	switch {
	case controlErr != nil:
		return controlErr
	case err != nil:
		return os.NewSyscallError("getsockopt SO_ERROR", err)
	case pending != 0:
		return unix.Errno(pending)
	}
	return nil
}

// Close implements ship.Target.
func (d *datagrams) Close() error {
	if d.conn == nil {
		return nil
	}
	err := d.conn.Close()
	d.conn = nil
	return err
}
