package loadgen

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/sys"
)

// batchWriter is an ipv4.PacketConn or an ipv6.PacketConn.
type batchWriter interface {
	WriteBatch(messages []ipv4.Message, flags int) (int, error)
}

// flow is a socket with a source port of its own.
type flow struct {
	number int
	next   uint64 // number of the next datagram
	conn   *net.UDPConn
	batch  batchWriter
}

// openFlow opens a socket to an address. segment is the size of UDP_SEGMENT segments, 0 for none.
func openFlow(number int, to netip.AddrPort, segment int) (_ *flow, err error) {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		return nil, fmt.Errorf("open flow %d: %w", number, err)
	}
	f := &flow{number: number, conn: conn}
	defer func() {
		if err != nil {
			conn.Close()
		}
	}()
	level, opt := unix.SOL_IP, unix.IP_RECVERR
	f.batch = ipv4.NewPacketConn(conn)
	if to.Addr().Is6() {
		level, opt = unix.SOL_IPV6, unix.IPV6_RECVERR
		f.batch = ipv6.NewPacketConn(conn)
	}
	// With IP_RECVERR, ICMP errors are queued one by one, and full device queues are reported
	// (ENOBUFS, ip(7)). Without, sendmmsg swallows the errors of all datagrams but the first
	// (__sys_sendmmsg, Linux 6.18).
	if err = f.set(level, opt, 1); err != nil {
		return nil, fmt.Errorf("setsockopt IP_RECVERR: %w", err)
	}
	if segment > 0 {
		if err = f.set(unix.SOL_UDP, unix.UDP_SEGMENT, segment); err != nil {
			return nil, &SegmentError{segment, err}
		}
	}
	return f, nil
}

// SegmentError: the kernel does not split GSO batches into segments.
type SegmentError struct {
	Size int // of a segment, in bytes
	Err  error
}

func (e *SegmentError) Error() string {
	return fmt.Sprintf("UDP_SEGMENT with segments of %d bytes: %v", e.Size, e.Err)
}
func (e *SegmentError) Unwrap() error { return e.Err }

func (f *flow) set(level, opt, value int) error {
	return sys.Control(f.conn, func(fd int) error { return unix.SetsockoptInt(fd, level, opt, value) })
}

// readICMPErrors empties the socket's queue of ICMP errors. It counts datagrams that were refused
// because no socket listens, and datagrams that did not arrive for another reason.
func (f *flow) readICMPErrors() (refused, unreachable uint64) {
	var control [512]byte
	_ = sys.Control(f.conn, func(fd int) error {
		for {
			_, n, _, _, err := unix.Recvmsg(fd, nil, control[:], unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
			if errors.Is(err, unix.EINTR) {
				continue
			}
			if err != nil {
				return err // EAGAIN: the queue is empty
			}
			switch errno, remote := extendedError(control[:n]); {
			case !remote: // of the send call, which returns the error
			case errno == unix.ECONNREFUSED:
				refused++
			default:
				unreachable++
			}
		}
	})
	return refused, unreachable
}

// extendedError reads the errno and the origin of struct sock_extended_err
// (ip(7)) in a control message.
func extendedError(control []byte) (errno unix.Errno, remote bool) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return 0, false
	}
	for _, m := range messages {
		isError := m.Header.Level == unix.SOL_IP && m.Header.Type == unix.IP_RECVERR ||
			m.Header.Level == unix.SOL_IPV6 && m.Header.Type == unix.IPV6_RECVERR
		if isError && len(m.Data) >= 5 {
			origin := m.Data[4]
			return unix.Errno(binary.NativeEndian.Uint32(m.Data)), origin == unix.SO_EE_ORIGIN_ICMP || origin == unix.SO_EE_ORIGIN_ICMP6
		}
	}
	return 0, false
}
