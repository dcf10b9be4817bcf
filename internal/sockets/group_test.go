package sockets

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
)

// Groups predict which socket the kernel gives a datagram to.
func TestTheKernelPrefersAsGroupsSay(t *testing.T) {
	type opened struct {
		at      string // without the port
		options []option
	}
	const lo = "lo"
	everywhere := opened{"0.0.0.0", nil}
	both := opened{"::", []option{dual}}
	only6 := opened{"::", []option{v6only}}
	local4, local6 := opened{"127.0.0.1", nil}, opened{"::1", nil}
	mapped := opened{"::ffff:127.0.0.1", []option{dual}}
	for i, open := range [][]opened{
		{everywhere},
		{both},
		{only6},
		{everywhere, both},
		{both, everywhere},
		{everywhere, only6},
		{everywhere, local4},
		{local4, everywhere, both},
		{both, local6, local4},
		{only6, local6, everywhere},
		{both, mapped},
		{everywhere, mapped, local6},
		{mapped, local4},
		{local4, mapped},
		{{"0.0.0.0", []option{onInterface(lo)}}, everywhere, both},
		{{"::", []option{dual, onInterface(lo)}}, everywhere, both},
		{local4, {"0.0.0.0", []option{onInterface(lo)}}},
		{{"127.0.0.1", []option{onInterface(lo)}}, local4},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			var all []socket
			port := "0"
			for _, o := range open {
				s := bind(t, net.JoinHostPort(o.at, port), append(o.options, reuseport)...)
				port = fmt.Sprint(s.port())
				all = append(all, s)
			}
			groups, _ := Groups(watched(list(t, all[0].port())))
			if len(groups) != len(open) {
				t.Fatalf("%d groups, want %d", len(groups), len(open))
			}
			for _, to := range []string{"127.0.0.1", "127.0.0.2", "::1"} {
				addr := netip.MustParseAddr(to)
				sender := bind(t, netip.AddrPortFrom(addr, 0).String())
				sender.send(t, netip.AddrPortFrom(addr, all[0].port()), 1)
				if slices.ContainsFunc(groups, func(g *Group) bool { return g.Takes(addr) }) {
					await(t, all...)
				}
				got := make(map[*Group]int)
				for _, s := range all {
					for _, g := range groups {
						if g.Members[0].Cookie == s.cookie(t) {
							got[g] = s.receive(t)
						}
					}
				}
				for _, g := range groups {
					shared := got[g] // all comes in on the loopback interface here
					want := 0
					if g.Takes(addr) {
						want = 1
					}
					for _, other := range groups {
						if g.Rivals(other, addr) {
							shared += got[other]
						} else if other.rank(addr) > g.rank(addr) {
							want = 0
						}
					}
					if shared != want {
						t.Errorf("%v, to %s: the one at %s and its rivals got %d datagrams, want %d", open, to, g.Local, shared, want)
					}
				}
			}
		})
	}
}

func TestAnInterfaceLeavesTheRest(t *testing.T) {
	to := netip.MustParseAddr("192.0.2.1")
	all := &Group{Local: netip.MustParseAddrPort("0.0.0.0:5514")}
	eth0 := &Group{Local: netip.MustParseAddrPort("192.0.2.1:5514"), Interface: "eth0"}
	wild := &Group{Local: netip.MustParseAddrPort("0.0.0.0:5514"), Interface: "eth0"}
	if eth0.Outranks(all, to) || !eth0.Outranks(wild, to) || all.Outranks(eth0, to) || wild.Outranks(all, to) {
		t.Error("one on eth0 gets no more than what comes in there")
	}
	if !wild.Rivals(all, to) || !all.Rivals(wild, to) || all.Rivals(eth0, to) || all.Rivals(all, to) {
		t.Error("wildcards on an interface and not are rivals")
	}
	exact := &Group{Local: netip.MustParseAddrPort("192.0.2.1:5514")}
	if !exact.Outranks(all, to) || !exact.Outranks(wild, to) || exact.Outranks(eth0, to) || !exact.Rivals(eth0, to) {
		t.Error("the very address comes before wildcards")
	}
	local := &Group{Local: netip.MustParseAddrPort("[fe80::1%eth0]:5514"), Interface: "eth0"}
	for zone, want := range map[string]bool{"fe80::1%eth0": true, "fe80::1": true, "fe80::1%eth1": false, "fe80::2%eth0": false} {
		if got := local.Takes(netip.MustParseAddr(zone)); got != want {
			t.Errorf("%s takes what is sent to %s: %v, want %v", local.Local, zone, got, want)
		}
	}
}

// Of sockets that share an address by SO_REUSEADDR, the socket bound last receives unicasts, as
// documented for Group.
func TestSharingByReuseaddr(t *testing.T) {
	for _, at := range []string{"127.0.0.1:0", "0.0.0.0:0", "[::1]:0"} {
		t.Run(at, func(t *testing.T) {
			first := bind(t, at, reuseaddr)
			last := bind(t, first.at.String(), reuseaddr)
			to := first.at
			if to.Addr().IsUnspecified() {
				to = netip.MustParseAddrPort(first.beside("127.0.0.1"))
			}
			bind(t, at).send(t, to, 1)
			await(t, first, last)
			if a, b := first.receive(t), last.receive(t); a != 0 || b != 1 {
				t.Errorf("the first got %d, the last %d", a, b)
			}
		})
	}
}

func TestConnectedSocketsAreNoMembers(t *testing.T) {
	of := Watched{Socket: Socket{Local: netip.MustParseAddrPort("127.0.0.1:5514")}}
	withPeer := of
	withPeer.Peer = netip.MustParseAddrPort("127.0.0.1:9")
	groups, connected := Groups([]Watched{of, withPeer, of})
	if len(groups) != 1 || len(groups[0].Members) != 2 || len(connected) != 1 {
		t.Errorf("%d groups, %d connected sockets", len(groups), len(connected))
	}
	if !groups[0].OneUser() {
		t.Error("they are one user's")
	}
	groups[0].Members[1].UID = 7
	if groups[0].OneUser() {
		t.Error("they are two users'")
	}
}
