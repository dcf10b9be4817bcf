package shard

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// Weights of a sketch sum up to the received datagrams, though only a sample is read. Full returns
// the datagrams before the last swap.
func TestSketchesHaveEveryDatagram(t *testing.T) {
	for _, gro := range []bool{false, true} {
		t.Run(fmt.Sprintf("gro %t", gro), func(t *testing.T) {
			g := open(t, Config{Address: "127.0.0.1:0", Shards: 1, GRO: gro, Batch: 64})
			defer g.Close()
			s := g.shards[0]
			came := func(messages int) (datagrams uint64) {
				t.Helper()
				before := total(g).Received
				conn := dial(t, g.Addr().String())
				for range messages {
					if gro {
						sendSegments(t, g, strings.Repeat("x", 95), 10)
					} else {
						conn.Write([]byte("x"))
					}
				}
				if err := s.readQueue(s.fd); err != nil {
					t.Fatal(err)
				}
				return total(g).Received - before
			}
			first := came(70)
			if first < 70 {
				t.Fatalf("%d datagrams", first)
			}
			if sum := s.sketches.Filling().Total; sum != first {
				t.Errorf("the sketch has %d of %d datagrams", sum, first)
			}
			if _, ok := s.sketches.Full(); ok {
				t.Error("a sketch without a request")
			}
			s.sketches.RequestSwap()
			if _, ok := s.sketches.Full(); ok {
				t.Error("a sketch before the swap")
			}
			second := came(3)
			if read, ok := s.sketches.Full(); !ok || read.Total != first {
				t.Errorf("%+v was read, and %d came before the swap", read, first)
			}
			if _, ok := s.sketches.Full(); ok {
				t.Error("a sketch is read twice")
			}
			s.sketches.RequestSwap()
			third := came(5)
			if read, ok := s.sketches.Full(); !ok || read.Total != second {
				t.Errorf("%+v was read, and %d came between the swaps", read, second)
			}
			if sum := s.sketches.Filling().Total; sum != third {
				t.Errorf("the sketch has %d, and %d came since the swap", sum, third)
			}
		})
	}
}

// Accepts applies the policy to requests by other transports.
func TestAccepts(t *testing.T) {
	c := Config{Address: "127.0.0.1:0", Shards: 1}
	all := open(t, c)
	defer all.Close()
	c.Policy = Policy{Allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, RateLimit: 1}
	g := open(t, c)
	defer g.Close()
	const tries = 1000
	admitted := func(g handle, source string) (n int) {
		for range tries {
			if g.Accepts(netip.MustParseAddr(source)) {
				n++
			}
		}
		return n
	}
	if n := admitted(all, "192.0.2.1"); n != tries {
		t.Errorf("%d without a policy", n)
	}
	if n := admitted(g, "192.0.2.1"); n != 0 {
		t.Errorf("%d of a source that is not allowed", n)
	}
	began := time.Now()
	if n := admitted(g, "10.0.0.1"); n < 1 || n > 2+int(time.Since(began).Seconds()) {
		t.Errorf("%d in %s at a limit of 1 a second", n, time.Since(began))
	}
}
