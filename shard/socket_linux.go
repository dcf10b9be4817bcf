package shard

import (
	"errors"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/sys"
	"github.com/udpshard/udpshard/metrics"
)

// descriptor is a socket as the ledger asks it.
type descriptor int

func (d descriptor) Memory() (queued, buffer, dropped uint32, err error) {
	m, err := sys.SocketMemory(int(d))
	return m.Queued, m.Buffer, m.Dropped, err
}

func (d descriptor) Cookie() uint64 {
	cookie, _ := sys.SocketCookie(int(d)) // 0 before Linux 4.12, which has no SO_MEMINFO either
	return cookie
}

// CPUTime has nobody's to tell.
func (d descriptor) CPUTime() (time.Duration, error) { return 0, errNotStarted }

// socket is a shard's own socket as its page of the ledger asks it. It never changes: whatever
// else the shard reads meanwhile, the page's counts are of this descriptor.
type socket struct {
	descriptor
	page *metrics.Shard
}

func (s socket) CPUTime() (time.Duration, error) {
	thread := s.page.Thread()
	if thread == 0 { // would mean the calling one
		return 0, errNotStarted
	}
	return sys.ThreadCPU(thread)
}

var errNotStarted = errors.New("the shard has no thread yet")

// setSocket gives the shard its socket, before any thread reads and before the group is handed
// to other goroutines.
func (s *shard) setSocket(fd int) {
	s.fd = fd
	s.page.Attach(socket{descriptor(fd), s.page})
}

// seal keeps further datagrams out of the socket's queue, so that what waits
// there can be read to its end, however fast senders go on. The ledger has what is
// turned away among the socket's drops.
func (s *shard) seal() error { return sys.RejectNew(s.fd) }

// interrupt ends the wait of the shard's thread, so that it looks whether it
// should stop. The runtime takes the signal for a preemption that is over. If
// it comes just before the wait, the wait's own end comes soon enough.
func (s *shard) interrupt() {
	if thread := int(s.tid.Load()); thread != 0 {
		_ = unix.Tgkill(os.Getpid(), thread, unix.SIGURG) // ESRCH: it has left
	}
}

// zoned adds the zone of a link-local sender. Its name is looked up once.
func (s *shard) zoned(source netip.AddrPort, index uint32) netip.AddrPort {
	name, known := s.zones[index]
	if !known {
		name = sys.ZoneName(index)
		s.zones[index] = name
	}
	return netip.AddrPortFrom(source.Addr().WithZone(name), source.Port())
}

// add spares the locked instruction where there is nothing to add.
func add(counter *atomic.Uint64, n uint64) {
	if n > 0 {
		counter.Add(n)
	}
}
