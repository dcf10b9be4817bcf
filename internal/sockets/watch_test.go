package sockets

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestUnread(t *testing.T) {
	const full = 8 << 10
	for _, c := range []struct {
		name    string
		queue   []uint32
		drops   []uint32
		elapsed time.Duration
		unread  bool
		dropped uint32
	}{
		{name: "idle", queue: []uint32{0, 0, 0}},
		{name: "what came waits", queue: []uint32{768, 768, 768}, unread: true},
		{name: "it grows", queue: []uint32{768, 768, 4096}, unread: true},
		{name: "full, and drops", queue: []uint32{full, full, full}, drops: []uint32{7, 8, 90}, unread: true, dropped: 83},
		{name: "full, drops, and is read", queue: []uint32{full, full - 768, full}, drops: []uint32{7, 8, 9}, dropped: 2},
		{name: "read now and then", queue: []uint32{768, 1536, 768}},
		{name: "read in whole", queue: []uint32{768, 0, 768}},
		{name: "empty at first", queue: []uint32{0, 768, 1536}},
		{name: "empty at last", queue: []uint32{768, 768, 0}},
		{name: "too short a time", queue: []uint32{768, 768, 768}, elapsed: LeastInterval - 1},
		{name: "one look", queue: []uint32{768}},
		{name: "too few looks", queue: []uint32{768, 768}},
		{name: "the counter wraps", queue: []uint32{0, 0, 0}, drops: []uint32{1<<32 - 2, 1<<32 - 1, 3}, dropped: 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := Watch{Elapsed: LeastInterval}
			if c.elapsed > 0 {
				w.Elapsed = c.elapsed
			}
			for i, queued := range c.queue {
				s := Socket{Cookie: 1, QueueBytes: queued}
				if c.drops != nil {
					s.Drops = c.drops[i]
				}
				w.add([]Socket{{Cookie: 2}, s})
			}
			for range leastLooks - 3 {
				last := []Socket{w.Sockets[0].Socket, w.Sockets[1].Socket}
				w.add(last)
			}
			w.findUnread()
			if s := w.Sockets[1]; s.Unread != c.unread || s.Dropped != c.dropped || w.Sockets[0].Unread {
				t.Errorf("unread %v, dropped %d, want %v and %d", s.Unread, s.Dropped, c.unread, c.dropped)
			}
		})
	}
}

// A slow reader's queue grows from look to look.
func TestAQueueThatRunsAwayFromItsReader(t *testing.T) {
	for _, at := range []string{"127.0.0.1:0", "[::1]:0"} {
		for _, read := range []bool{true, false} {
			t.Run(fmt.Sprint(at, read), func(t *testing.T) {
				began := time.Now()
				s, sender := bind(t, at, buffer(100_000)), bind(t, at)
				d, err := open()
				if err != nil {
					t.Fatal(err)
				}
				defer d.Close()
				// On a busy CPU datagrams are delivered some time after they are sent.
				arrived := func(bytes uint32) []Socket {
					for {
						found, err := d.dump(udp, s.port())
						if err != nil {
							t.Fatal(err)
						}
						if found[0].QueueBytes >= bytes {
							return found
						}
						if time.Since(began) > 10*time.Second {
							t.Fatalf("%d bytes in the queue, want %d", found[0].QueueBytes, bytes)
						}
					}
				}
				sender.send(t, s.at, 100)
				one := arrived(1)[0].QueueBytes
				w := Watch{Elapsed: LeastInterval}
				waiting := uint32(1)
				for range leastLooks {
					for range 3 {
						sender.send(t, s.at, 100)
					}
					waiting += 3
					arrived(waiting * one)
					if read {
						receiveOne(s.fd)
						waiting--
					}
					w.add(arrived(waiting * one))
				}
				w.findUnread()
				if got := w.Sockets[0]; got.Unread == read || !got.grew || got.Drops > 0 {
					t.Errorf("unread %v, grew %v, %d drops, unreleased %d", got.Unread, got.grew, got.Drops, got.unreleased)
				}
			})
		}
	}
}

// Arrivals between the kernel's two numbers do not look like reads.
func TestReleases(t *testing.T) {
	for _, c := range []struct {
		unreleased []int64
		want       bool
	}{
		{[]int64{0, 0, 0, 0}, false},
		{[]int64{-768, 0, -1536, 0}, false},
		{[]int64{4096, 4096, 3328, 4096}, false}, // read once, long ago
		{[]int64{0, 768, 768, 1536}, true},
		{[]int64{4096, 4864, 0, 768}, true},
		{[]int64{0, 0, 0, 768}, true},
	} {
		if got := (&Watched{unreleased: c.unreleased}).releases(); got != c.want {
			t.Errorf("%d: %v, want %v", c.unreleased, got, c.want)
		}
	}
}

func TestSocketsThatComeAndGo(t *testing.T) {
	w := Watch{Elapsed: LeastInterval}
	w.add([]Socket{{Cookie: 1, QueueBytes: 1}, {Cookie: 2, QueueBytes: 1}})
	w.add([]Socket{{Cookie: 2, QueueBytes: 1}, {Cookie: 3, QueueBytes: 1, Drops: 9}})
	w.add([]Socket{{Cookie: 3, QueueBytes: 1, Drops: 9}, {Cookie: 1, QueueBytes: 1}})
	w.Looks = leastLooks
	w.findUnread()
	if len(w.Sockets) != 2 || w.Sockets[0].Cookie != 3 || w.Sockets[0].Unread || w.Sockets[0].Dropped != 0 || w.Sockets[1].Unread {
		t.Errorf("%+v, want the last look's two, neither of which was there all the time", w.Sockets)
	}
}

// busy runs f again and again in a goroutine until the test ends.
func busy(t *testing.T, f func()) {
	done := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				f()
			}
		}
	})
	t.Cleanup(func() { close(done); running.Wait() })
}

// watchTwo watches a group of two sockets, of which the second is read, until the watch shows the
// wanted result: the CPUs may be busy for a while.
func watchTwo(t *testing.T, receiveBuffer int, read func(fd int), wanted func(readers Watched) bool) (nobodys, readers Watched) {
	t.Helper()
	first := bind(t, "127.0.0.1:0", reuseport, buffer(receiveBuffer))
	second := bind(t, first.at.String(), reuseport, buffer(receiveBuffer))
	// Each gets datagrams of some sender.
	senders := senderOf(t, first, second)
	var reads atomic.Int64
	busy(t, func() { read(second.fd); reads.Add(1) })
	for _, s := range senders {
		busy(t, func() { unix.Sendto(s.fd, make([]byte, 100), 0, sockaddr(first.at)) })
	}
	var w Watch
	for ends := time.Now().Add(20 * time.Second); ; {
		before := reads.Load()
		var err error
		if w, err = WatchFor(t.Context(), first.port(), LeastInterval); err != nil {
			t.Fatal(err)
		}
		if read := reads.Load() - before; read >= leastLooks && wanted(w.Sockets[len(w.Sockets)-1]) || time.Now().After(ends) {
			break
		}
	}
	if len(w.Sockets) != 2 || w.Sockets[0].Cookie != first.cookie(t) || w.Sockets[1].Cookie != second.cookie(t) {
		t.Fatalf("%+v, want the two in order", w.Sockets)
	}
	if w.Elapsed < LeastInterval || w.Looks < leastLooks {
		t.Errorf("%d looks in %s", w.Looks, w.Elapsed)
	}
	return w.Sockets[0], w.Sockets[1]
}

// senderOf returns a sender for each of two members, whose first datagram has arrived; the second
// member's is read.
func senderOf(t *testing.T, first, second socket) []socket {
	t.Helper()
	var toFirst, toSecond socket
	for toFirst.fd == 0 || toSecond.fd == 0 {
		s := bind(t, "127.0.0.1:0")
		s.send(t, first.at, 100)
		await(t, second, first)
		if second.receive(t) > 0 {
			toSecond = s
		} else {
			toFirst = s
		}
	}
	return []socket{toFirst, toSecond}
}

func receiveOne(fd int) {
	var b [1]byte
	unix.Recvfrom(fd, b[:], 0)
}

func TestAMemberThatNobodyReads(t *testing.T) {
	nobodys, readers := watchTwo(t, 1<<20, func(fd int) { receiveOne(fd); runtime.Gosched() }, func(Watched) bool { return true })
	if !nobodys.Unread || readers.Unread {
		t.Errorf("the first is unread: %v, want true; the second: %v, want false", nobodys.Unread, readers.Unread)
	}
	if len(nobodys.Processes) != 1 {
		t.Errorf("processes %v, want this one", nobodys.Processes)
	}
}

// A slow reader loses most datagrams, but reads: also with a buffer for only a few datagrams.
func TestAReaderThatFallsBehindIsNotMarked(t *testing.T) {
	for _, receiveBuffer := range []int{4 << 10, 208 << 10} {
		_, readers := watchTwo(t, receiveBuffer, func(fd int) {
			for range 100 { // far slower than the sender
				unix.Getsockname(fd)
			}
			receiveOne(fd)
		}, func(readers Watched) bool { return readers.Dropped > 0 })
		if readers.Unread {
			t.Errorf("buffer %d: the one that is read is marked: %+v", receiveBuffer, readers)
		}
		if readers.Dropped == 0 {
			t.Errorf("buffer %d: the reader kept up", receiveBuffer)
		}
	}
}

func TestWatchForEndsWithItsContext(t *testing.T) {
	s := bind(t, "127.0.0.1:0")
	bind(t, "127.0.0.1:0").send(t, s.at, 100)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w, err := WatchFor(ctx, s.port(), time.Hour)
	if err != nil || len(w.Sockets) != 1 || w.Looks != 1 || w.Sockets[0].Unread {
		t.Errorf("%+v, %v, want one look", w, err)
	}
}

func TestASingleLook(t *testing.T) {
	s := bind(t, "127.0.0.1:0")
	w, err := WatchFor(t.Context(), s.port(), 0)
	if err != nil || len(w.Sockets) != 1 || w.Looks != 1 {
		t.Errorf("%+v, %v", w, err)
	}
}

func TestAPortThatNobodyHas(t *testing.T) {
	var s socket
	t.Run("for a while", func(t *testing.T) { s = bind(t, "127.0.0.1:0") })
	if found := list(t, s.port()); len(found) != 0 {
		t.Errorf("%+v", found)
	}
}

func BenchmarkLook(b *testing.B) {
	d, err := open()
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	for b.Loop() {
		if _, err := d.dump(udp, 9); err != nil {
			b.Fatal(err)
		}
	}
}
