package connlimit

import (
	"net/netip"
	"testing"
	"time"
)

// A client is an IPv4 address, or a /64 of IPv6 addresses.
func TestClients(t *testing.T) {
	for _, test := range []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"2001:db8::1", "2001:db8::ffff:0:0:1", true},
		{"2001:db8::1", "2001:db8:0:1::1", false},
		{"fe80::1%lo", "fe80::2", true},
	} {
		if same := clientOf(netip.MustParseAddr(test.a)) == clientOf(netip.MustParseAddr(test.b)); same != test.same {
			t.Errorf("%s and %s: one client is %t", test.a, test.b, same)
		}
	}
}

// existing is a connection that is in the Table before the new connection.
type existing struct {
	client string
	is     State
	age    time.Duration // of the state
}

// TestEviction checks which connection makes room, by policy.
func TestEviction(t *testing.T) {
	const a, b, c = "192.0.2.1", "192.0.2.2", "192.0.2.3"
	web := Policy{Max: 3, EvictBusy: true}
	dns := Policy{Max: 3, MaxPerClient: 2, FreshPeriod: time.Second}
	for name, test := range map[string]struct {
		policy Policy
		held   []existing
		client string
		victim int // index of the connection; -1: room without eviction, -2: no room
	}{
		"there is room":                            {web, []existing{{a, Idle, 9}}, a, -1},
		"the longest idle":                         {web, []existing{{a, Idle, 8}, {a, Idle, 9}, {a, Idle, 7}}, a, 1},
		"one whose header is still awaited":        {web, []existing{{a, Busy, 9}, {a, Fresh, 8}, {a, Idle, 7}}, a, 1},
		"a busy one is spared":                     {web, []existing{{a, Busy, 9}, {a, Busy, 8}, {a, Idle, 7}}, a, 2},
		"all are busy":                             {web, []existing{{a, Busy, 8}, {a, Busy, 9}, {a, Busy, 7}}, a, 1},
		"the client that has most":                 {web, []existing{{b, Idle, 9}, {a, Busy, 2}, {a, Busy, 1}}, c, 1},
		"also for a client that comes first":       {web, []existing{{a, Fresh, 0}, {a, Fresh, 1}, {a, Fresh, 2}}, b, 2},
		"a client's own, at its bound":             {dns, []existing{{a, Idle, 1}, {a, Idle, 2}}, a, 1},
		"none at its bound, where it is fresh":     {dns, []existing{{a, Fresh, 1}, {a, Fresh, 1}}, a, -2},
		"a busy one, for a client that has fewer":  {dns, []existing{{a, Busy, 9}, {a, Busy, 8}, {b, Idle, 9}}, c, 0},
		"a fresh one sooner than a busy one":       {dns, []existing{{a, Busy, 9}, {a, Fresh, 1}, {b, Idle, 9}}, c, 1},
		"none, where nobody has more and is fresh": {dns, []existing{{a, Fresh, 1}, {b, Fresh, 1}, {c, Fresh, 1}}, "192.0.2.4", -2},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Now()
			table := NewTable(test.policy)
			var conns []*Conn
			for _, h := range test.held {
				conn, evicted, ok := table.Add(nil, netip.MustParseAddr(h.client), now)
				if !ok || evicted != nil {
					t.Fatalf("%+v: %v, %t", h, evicted, ok)
				}
				table.SetState(conn, h.is, now.Add(-h.age*time.Millisecond))
				conns = append(conns, conn)
			}
			_, evicted, ok := table.Add(nil, netip.MustParseAddr(test.client), now)
			victim := -1
			if !ok {
				victim = -2
			}
			for i, conn := range conns {
				if conn == evicted {
					victim = i
				}
			}
			if victim != test.victim {
				t.Errorf("the victim is %d, want %d", victim, test.victim)
			}
			want := len(test.held)
			if test.victim == -1 {
				want++
			}
			if all, _ := table.Len(Idle); all != want {
				t.Errorf("%d connections, want %d", all, want)
			}
		})
	}
}
