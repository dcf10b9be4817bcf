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
	"github.com/udpshard/udpshard/internal/preflight"
	"github.com/udpshard/udpshard/internal/sys"
	"github.com/udpshard/udpshard/metrics"
	"github.com/udpshard/udpshard/packet/dns"
)

// openStreams opens the output of what comes over TCP, whose records are not
// the ledger's, which counts datagrams. It comes when the shards have opened
// theirs: who opens a file is in whose book its writes are noted.
func (s *server) openStreams(opened *listener) (err error) {
	l, d := opened.settings, opened.dns
	d.group = opened.group
	if l.Output == "discard" {
		return nil
	}
	d.page = metrics.NewShard(0, 0)
	d.sink, err = openSink(l, s.outputs, 0, d.page)
	return err
}

// listenStreams opens the TCP sides, or goes on with those of the process before:
// clients wait in the queue of one socket for whoever serves. It comes when this
// process is active.
func (s *server) listenStreams() error {
	var errs []error
	for _, opened := range s.listeners {
		d := opened.dns
		if d == nil {
			continue
		}
		if d.socket = s.streamListener(opened.continues); d.socket == nil {
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

// stream returns a duplicate of the listening TCP socket; nil without one, and for another
// protocol.
func (d *dnsService) stream() (*os.File, error) {
	if d == nil || d.socket == nil {
		return nil, nil
	}
	return sys.DuplicateFile(d.socket, "")
}

// listenTCP listens at the address of a group. Where the process before has not
// handed its socket over, this one's is beside it.
func listenTCP(address string) (*net.TCPListener, error) {
	network := "tcp"
	if at, err := netip.ParseAddrPort(address); err == nil && at.Addr().Is4() {
		network = "tcp4"
	} else if err == nil {
		network = "tcp6"
	}
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return sys.ControlRaw(c, func(fd int) error {
			return os.NewSyscallError("setsockopt SO_REUSEPORT", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1))
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
	file, err := sys.DuplicateFile(d.socket, "") // the socket stays, whoever stops accepting
	if err != nil {
		return err
	}
	defer file.Close()
	socket, err := net.FileListener(file)
	if err != nil {
		return fmt.Errorf("listener %s: %w", d.listener.Name, err)
	}
	streams := &dnstcp.Server{Admit: d.group.Accepts, NewHandler: d.streamHandler, MinMessage: dns.HeaderSize, CountOutcome: d.countStream}
	d.streams.Store(streams)
	go streams.Serve(socket)
	return nil
}

// pause ends the conversations, and accepts no more: clients wait in the socket's
// queue for whoever serves next.
func (d *dnsService) pause() {
	if streams := d.streams.Swap(nil); streams != nil {
		streams.Close()
	}
	d.flushRecords()
}

// resume ends a pause, if there is one.
func (d *dnsService) resume() error {
	if d.socket == nil || d.streams.Load() != nil {
		return nil
	}
	return d.serve()
}

// open returns how many connections there are.
func (d *dnsService) open() int {
	if streams := d.streams.Load(); streams != nil {
		return streams.OpenConnections()
	}
	return 0
}

// inFlight returns how many records of what came over TCP are on their way.
func (d *dnsService) inFlight() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.sink == nil {
		return 0
	}
	return d.records - d.page.Delivered.Load() - d.page.OutputLost.Load()
}

// flushRecords hands the records that wait on to the output.
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

// flushEvery is when records of what came over TCP are written, as those of
// shards are.
const flushEvery = 50 * time.Millisecond

func (d *dnsService) flushLoop() {
	tick := time.NewTicker(flushEvery)
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

// close ends what is served over TCP, and hands the last records on.
func (d *dnsService) close() {
	close(d.stop)
	d.pause()
	if d.socket != nil {
		d.socket.Close()
	}
}

// closeDNS ends what is served over TCP. When late is done, records that are not
// written are given up.
func (s *server) closeDNS(late context.Context) {
	defer context.AfterFunc(late, s.outputs.Abort)()
	for _, d := range s.dnsServices() {
		d.ended.Do(d.close)
	}
}
