package shard

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/sys"
	"github.com/udpshard/udpshard/packet"
)

// sendSegments sends payload as a GRO batch of datagrams of size bytes.
func sendSegments(t *testing.T, g handle, payload string, size int) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptInt(fd, unix.SOL_UDP, unix.UDP_SEGMENT, size); err != nil {
		t.Skipf("needs UDP_SEGMENT (Linux 4.18): %v", err)
	}
	at := g.Addr()
	if err := unix.Sendto(fd, []byte(payload), 0, &unix.SockaddrInet4{Port: int(at.Port()), Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
}

// collector collects the text of datagrams.
type collector struct {
	mu  sync.Mutex
	got []string
}

func (c *collector) Handle(b *packet.Batch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range b.Datagrams {
		text := string(d.Payload)
		if d.Truncated {
			text += "…"
		}
		if d.Destination.IsValid() {
			text += "@" + d.Destination.String()
		}
		c.got = append(c.got, text)
	}
}

func TestGROBatchesAreSplit(t *testing.T) {
	for _, gro := range []bool{true, false} {
		for _, batch := range []int{1, 4, 64} {
			for _, listen := range []string{"127.0.0.1:0", "0.0.0.0:0", ":0"} {
				t.Run(fmt.Sprintf("gro=%v,batch=%d,%s", gro, batch, listen), func(t *testing.T) {
					c := new(collector)
					g, _ := start(t, Config{Address: listen, Shards: 1, Batch: batch, MaxDatagram: 90, GRO: gro,
						Handler: func(int) packet.Handler {
							return packet.HandlerFunc(func(b *packet.Batch) {
								if len(b.Datagrams) > batch {
									t.Errorf("%d datagrams in a batch of %d", len(b.Datagrams), batch)
								}
								c.Handle(b)
							})
						}})
					var want []string
					for _, sent := range []struct{ segments, size, last int }{
						{10, 50, 50}, // all of one size
						{10, 50, 7},  // a shorter last datagram
						{1, 50, 50},
						{2, 90, 1},
						{3, 100, 95}, // all longer than MaxDatagram
						{3, 100, 90}, // the last datagram has MaxDatagram bytes
						{60, 20, 19}, // more than a batch
					} {
						var payload strings.Builder
						for i := range sent.segments {
							size := sent.size
							if i == sent.segments-1 {
								size = sent.last
							}
							segment := strings.Repeat(string(rune('a'+i%26)), size)
							payload.WriteString(segment)
							if size > 90 {
								segment = segment[:90] + "…"
							}
							want = append(want, segment+"@127.0.0.1")
						}
						sendSegments(t, g, payload.String(), sent.size)
					}
					// Each GRO batch has its own source port. The only shard has all datagrams in order.
					eventually(t, "all are handled", func() bool { return total(g).Delivered == uint64(len(want)) })
					c.mu.Lock()
					defer c.mu.Unlock()
					if !slices.Equal(c.got, want) {
						t.Errorf("got  %q\nwant %q", c.got, want)
					}
					if r := total(g); r.Truncated != 5 || r.Received != uint64(len(want)) || r.InFlight != 0 {
						t.Errorf("%+v", r)
					}
				})
			}
		}
	}
}

func TestSegmentsAreAnsweredOneByOne(t *testing.T) {
	g, _ := start(t, Config{Address: "127.0.0.1:0", Shards: 1, Batch: 2, GRO: true, Handler: func(int) packet.Handler { return packet.Echo{} }})
	conn := dial(t, g.Addr().String())
	err := sys.Control(conn, func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_UDP, unix.UDP_SEGMENT, 2) })
	if err != nil {
		t.Skipf("needs UDP_SEGMENT (Linux 4.18): %v", err)
	}
	if got := ask(t, conn, "aabbccddeef"); got != "aa" {
		t.Errorf("first answer %q", got)
	}
	answer := make([]byte, 10)
	for _, want := range []string{"bb", "cc", "dd", "ee", "f"} {
		n, err := conn.Read(answer)
		if err != nil || string(answer[:n]) != want {
			t.Errorf("%q, %v, want %q", answer[:n], err, want)
		}
	}
}

func TestPolicyCountsEachSegment(t *testing.T) {
	g, _ := start(t, Config{Address: "127.0.0.1:0", Shards: 1, GRO: true, Policy: Policy{RateLimit: 3}})
	sendSegments(t, g, strings.Repeat("x", 100), 10)
	eventually(t, "all are judged", func() bool { return total(g).Received == 10 })
	if r := total(g); r.Delivered != 3 || r.Dropped.RateLimited != 7 {
		t.Errorf("delivered %d, limited %d", r.Delivered, r.Dropped.RateLimited)
	}
}
