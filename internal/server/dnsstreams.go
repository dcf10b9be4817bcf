package server

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/dnstcp"
	"github.com/udpshard/udpshard/internal/handoff"
	"github.com/udpshard/udpshard/internal/preflight"
	"github.com/udpshard/udpshard/internal/sys"
	"github.com/udpshard/udpshard/metrics"
	"github.com/udpshard/udpshard/packet/dns"
)

// openStreams opens the output for queries over TCP. The records are not in the ledger, which
// counts datagrams. openStreams comes after the outputs of the shards, because the first shard that
// opens a file has the write log of the file in its counters.
func (s *server) openStreams(opened *listener) (err error) {
	l, d := opened.settings, opened.dns
	d.group = opened.group
	if l.Output == "discard" {
		return nil
	}
	d.counters = metrics.NewShard(0, 0)
	d.sink, err = openSink(l, s.outputs, 0, d.counters)
	return err
}

// listenStreams opens the TCP sockets of the DNS listeners, or continues with the sockets of the
// predecessor, in whose queue clients wait. listenStreams comes when this process is active.
func (s *server) listenStreams() error {
	var errs []error
	for _, opened := range s.listeners {
		d := opened.dns
		if d == nil {
			continue
		}
		if d.socket = s.inheritedStream(opened.continues); d.socket == nil {
			var err error
			if d.socket, err = listenTCP(opened.Listener().Address); err != nil {
				errs = append(errs, preflight.TCPError(opened.settings, err))
				continue
			}
		}
		if err := d.serve(); err != nil {
			errs = append(errs, err)
		} else if d.sink != nil {
			go d.flushLoop()
		}
	}
	return cli.Join(errs...)
}

// stream returns a duplicate of the listening TCP socket; nil without a TCP socket.
func (d *dnsService) stream() (*os.File, error) {
	if d == nil || d.socket == nil {
		return nil, nil
	}
	return sys.DuplicateFile(d.socket, "")
}

// inheritedStream returns the listening TCP socket of a predecessor's listener, if usable.
func (s *server) inheritedStream(from *handoff.Listener) *net.TCPListener {
	if from == nil || from.Stream == nil {
		return nil
	}
	socket, err := net.FileListener(from.Stream)
	if tcp, ok := socket.(*net.TCPListener); ok {
		return tcp
	} else if socket != nil {
		socket.Close()
	}
	s.log.Warn().Err(err).Str("listener", from.Name).Str("effect", "a new socket is opened").
		Msg("inherited TCP socket unusable")
	return nil
}

// listenTCP listens at the address of a group. With SO_REUSEPORT the socket of a predecessor, which
// may not be handed over, does not keep this process from listening.
func listenTCP(address string) (*net.TCPListener, error) {
	network := "tcp"
	if at, err := netip.ParseAddrPort(address); err == nil && at.Addr().Is4() {
		network = "tcp4"
	} else if err == nil {
		network = "tcp6"
	}
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return sys.ControlRaw(c, func(fd int) error {
			err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
			return os.NewSyscallError("setsockopt SO_REUSEPORT", err)
		})
	}}
	l, err := config.Listen(context.Background(), network, address)
	if err != nil {
		return nil, err
	}
	return l.(*net.TCPListener), nil
}

// serve answers over TCP until pause or close.
func (d *dnsService) serve() error {
	file, err := sys.DuplicateFile(d.socket, "") // pause closes the duplicate, and d.socket stays open
	if err != nil {
		return err
	}
	defer file.Close()
	socket, err := net.FileListener(file)
	if err != nil {
		return fmt.Errorf("listener %s: %w", d.listener.Name, err)
	}
	streams := &dnstcp.Server{Admit: d.group.Accepts, NewHandler: d.streamHandler,
		MinMessage: dns.HeaderSize, CountOutcome: d.countStream}
	d.streams.Store(streams)
	go streams.Serve(socket)
	return nil
}

// pause closes the connections, and accepts no more: clients wait in the queue of the socket.
func (d *dnsService) pause() {
	if streams := d.streams.Swap(nil); streams != nil {
		streams.Close()
	}
	d.flushRecords()
}

// resume ends a pause.
func (d *dnsService) resume() error {
	if d.socket == nil || d.streams.Load() != nil {
		return nil
	}
	return d.serve()
}

// open returns the number of connections.
func (d *dnsService) open() int {
	if streams := d.streams.Load(); streams != nil {
		return streams.OpenConnections()
	}
	return 0
}

// inFlight returns the number of records in flight, of queries over TCP.
func (d *dnsService) inFlight() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.sink == nil {
		return 0
	}
	return d.records - d.counters.Delivered.Load() - d.counters.OutputLost.Load()
}

// flushRecords passes committed records to the output.
func (d *dnsService) flushRecords() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.sink != nil {
		d.sink.Flush()
	}
}

func (d *dnsService) streamHandler(client netip.AddrPort) dnstcp.Handler {
	stream := d.Stream()
	return func(dst, question []byte) []byte {
		reply := stream.Answer(dst, question, client)
		if reply != nil && d.sink != nil {
			d.mu.Lock()
			d.sink.Commit(stream.Record(d.sink.Buffer()))
			d.records++
			d.mu.Unlock()
		}
		return reply
	}
}

// flushInterval is the time between two flushes of records of queries over TCP, as in a shard.
const flushInterval = 50 * time.Millisecond

func (d *dnsService) flushLoop() {
	tick := time.NewTicker(flushInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			d.flushRecords()
		case <-d.stop:
			return
		}
	}
}

// close ends serving over TCP, and flushes the records. It is called once.
func (d *dnsService) close() {
	close(d.stop)
	d.pause()
	if d.socket != nil {
		d.socket.Close()
	}
}

// closeDNS ends serving over TCP. At the end of late, unwritten records are lost.
func (s *server) closeDNS(late context.Context) {
	defer context.AfterFunc(late, s.outputs.Abort)()
	for _, d := range s.dnsServices() {
		d.close()
	}
}
