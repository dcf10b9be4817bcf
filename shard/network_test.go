package shard

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/sys"
	"github.com/udpshard/udpshard/packet"
)

// inNetworkNamespace runs f on a thread in a new network namespace, in which all addresses of a
// prefix are local. Sockets that f opens on its goroutine are in that namespace.
func inNetworkNamespace(t *testing.T, prefix string, f func()) {
	t.Helper()
	ip, err := exec.LookPath("ip")
	if err != nil {
		t.Skip("needs ip: install iproute2")
	}
	skipped := ""
	done := make(chan struct{})
	go func() { // locked for good: the thread ends with the goroutine
		defer close(done)
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			skipped = fmt.Sprintf("needs a network namespace of its own, run as root: unshare: %v", err)
			return
		}
		for _, args := range [][]string{{"link", "set", "lo", "up"}, {"-6", "route", "add", "local", prefix, "dev", "lo"}} {
			if out, err := exec.Command(ip, args...).CombinedOutput(); err != nil {
				skipped = fmt.Sprintf("needs IPv6: ip %q: %v: %s", args, err, out)
				return
			}
		}
		f()
	}()
	<-done
	if skipped != "" {
		t.Skip(skipped)
	}
}

// dialFrom returns a socket with a source address that no interface has.
func dialFrom(from, to string) (net.Conn, error) {
	dialer := net.Dialer{
		LocalAddr: &net.UDPAddr{IP: net.ParseIP(from)},
		Control: func(_, _ string, c syscall.RawConn) error {
			var set error
			err := c.Control(func(fd uintptr) { set = unix.SetsockoptInt(int(fd), unix.SOL_IPV6, unix.IPV6_FREEBIND, 1) })
			return errors.Join(err, set)
		},
	}
	return dialer.DialContext(context.Background(), "udp", to)
}

// The source of a link-local sender has the interface as its zone.
func TestLinkLocalSendersHaveAZone(t *testing.T) {
	sources := make(chan netip.AddrPort, 1)
	var g *Group
	var from string
	inNetworkNamespace(t, "2001:db8::/32", func() {
		if out, err := exec.Command("ip", "addr", "add", "fe80::1/64", "dev", "lo", "nodad").CombinedOutput(); err != nil {
			t.Errorf("ip addr add: %v: %s", err, out)
			return
		}
		var err error
		if g, err = Listen(Config{Address: "[::]:0", Shards: 1, Handler: func(int) packet.Handler {
			return packet.HandlerFunc(func(b *packet.Batch) {
				select {
				case sources <- b.Datagrams[0].Source:
				default:
				}
			})
		}}); err != nil {
			t.Error(err)
			return
		}
		queued := false
		for deadline := time.Now().Add(20 * time.Second); !queued && time.Now().Before(deadline); {
			// The route of a new address comes a moment later: a socket that is connected before takes
			// another route.
			conn, err := net.Dial("udp", fmt.Sprintf("[fe80::1%%lo]:%d", g.Addr().Port()))
			if err != nil {
				continue
			}
			from = conn.LocalAddr().String()
			conn.Write([]byte("x"))
			conn.Close()
			m, err := sys.SocketMemory(g.shards[0].fd)
			if queued = m.Queued > 0; err != nil {
				t.Error(err)
			}
		}
		if !queued {
			t.Error("no datagram comes to the address")
		}
	})
	if g == nil {
		return
	}
	r := run(t, handle{g})
	defer func() {
		r.Drain()
		if err := r.wait(t); err != nil {
			t.Error(err)
		}
	}()
	if t.Failed() {
		return
	}
	select {
	case source := <-sources:
		if source.String() != from || source.Addr().Zone() != "lo" {
			t.Errorf("the source is %s, want %s", source, from)
		}
	case <-time.After(20 * time.Second):
		t.Error("no datagram came")
	}
}

// The addresses of a /64 share one rate limit over all shards.
func TestOneNetworkHasOneRate(t *testing.T) {
	const addresses = 200
	var g *Group
	inNetworkNamespace(t, "2001:db8::/32", func() {
		var err error
		if g, err = Listen(Config{Address: "[::1]:0", Shards: 2, Policy: Policy{RateLimit: 1}}); err != nil {
			t.Error(err)
			return
		}
		for i := range addresses {
			for _, network := range []string{"2001:db8:0:1::", "2001:db8:0:2::"} {
				conn, err := dialFrom(fmt.Sprintf("%s%x", network, 1+i), g.Addr().String())
				if err == nil {
					_, err = conn.Write([]byte("x"))
					conn.Close()
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		}
	})
	if g == nil {
		return
	}
	began := time.Now()
	r := run(t, handle{g})
	defer func() {
		r.Drain()
		if err := r.wait(t); err != nil {
			t.Error(err)
		}
	}()
	eventually(t, "all have come", func() bool { return total(handle{g}).Received == 2*addresses })
	// All datagrams were queued before Run, and the policy checks them within far less than a second.
	// On a busy host each further second admits one more datagram of each network.
	sum, most := total(handle{g}), 2*(1+uint64(time.Since(began).Seconds()))
	if sum.Delivered < 2 || sum.Delivered > most || sum.Delivered+sum.Dropped.RateLimited != 2*addresses {
		t.Errorf("%d of %d datagrams of two networks were delivered, %d were limited", sum.Delivered, 2*addresses, sum.Dropped.RateLimited)
	}
	eventually(t, "both networks are in the list of refused senders", func() bool {
		list := g.Listener().RefusedSenders()
		return len(list) == 2 && list[0].RateLimited+list[1].RateLimited == sum.Dropped.RateLimited &&
			min(list[0].Source, list[1].Source) == "2001:db8:0:1::/64" && max(list[0].Source, list[1].Source) == "2001:db8:0:2::/64"
	})
}
