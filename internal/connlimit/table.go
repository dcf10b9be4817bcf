// Package connlimit bounds the connections of a server. A connection of the client with most
// connections makes room for a new connection, so that no client keeps other clients out.
//
// A Table is for a server that accepts connections by itself. A Listener is a net.Listener with a
// Table, for net/http.
package connlimit

import (
	"cmp"
	"net"
	"net/netip"
	"time"
)

// Policy says how many connections a server has, and which connections make room.
type Policy struct {
	// Max is the largest number of connections, at least 1.
	Max int
	// MaxPerClient is the largest number of connections of a client; 0 is no limit.
	MaxPerClient int
	// FreshPeriod is the time for which a connection without a request makes no room for clients
	// with as many connections or more.
	FreshPeriod time.Duration
	// EvictBusy makes room for every new connection: if no connection waits, the connection with
	// the oldest request is closed.
	EvictBusy bool
}

// State is the state of a connection.
type State uint8

const (
	Fresh State = iota // no request yet
	Busy               // a request is being answered
	Idle               // answered; the next request may come
)

// Conn is a connection in a Table. The server that owns the Table guards the Conn.
type Conn struct {
	net.Conn
	client netip.Addr
	state  State
	since  time.Time // start of the state
}

// Table holds the connections of a server. One goroutine at a time may call its methods.
type Table struct {
	policy  Policy
	conns   map[*Conn]struct{}
	clients map[netip.Addr]int // number of connections of each client; see clientOf
}

// NewTable returns a Table without connections.
func NewTable(p Policy) *Table {
	return &Table{policy: p, conns: make(map[*Conn]struct{}), clients: make(map[netip.Addr]int)}
}

// Add adds a connection that was just accepted from client. If the Table is full, Add removes and
// returns another connection, which the caller has to close. If no connection makes room, ok is
// false and the new connection is not in the Table.
func (t *Table) Add(conn net.Conn, client netip.Addr, now time.Time) (c, evicted *Conn, ok bool) {
	c = &Conn{Conn: conn, client: clientOf(client), since: now}
	if evicted, ok = t.chooseEvicted(c); !ok {
		return nil, nil, false
	}
	if evicted != nil {
		t.Remove(evicted)
	}
	t.conns[c] = struct{}{}
	t.clients[c.client]++
	return c, evicted, true
}

// Remove removes a connection, if the Table has the connection.
func (t *Table) Remove(c *Conn) {
	if _, there := t.conns[c]; !there {
		return
	}
	delete(t.conns, c)
	if t.clients[c.client]--; t.clients[c.client] == 0 {
		delete(t.clients, c.client)
	}
}

// SetState sets a connection's state, and the time at which the state began.
func (t *Table) SetState(c *Conn, state State, since time.Time) { c.state, c.since = state, since }

// Len returns the number of connections, and the number in a state.
func (t *Table) Len(state State) (total, inState int) {
	for c := range t.conns {
		if c.state == state {
			inState++
		}
	}
	return len(t.conns), inState
}

// CloseAll closes the connections, which stay in the Table until Remove.
func (t *Table) CloseAll() {
	for c := range t.conns {
		c.Conn.Close()
	}
}

// clientOf returns the common part of a client's addresses: the whole IPv4 address, since a TCP
// client has a true address and other addresses of the /24 belong to other clients, or the /64 of
// an IPv6 address, since every host has a /64 (RFC 8981).
func clientOf(addr netip.Addr) netip.Addr {
	addr = addr.Unmap().WithZone("")
	if addr.Is4() {
		return addr
	}
	prefix, _ := addr.Prefix(64) // no error: an IPv6 address has 64 bits
	return prefix.Addr()
}

// chooseEvicted reports whether the Table has room for a connection, and chooses the connection to
// evict from a full Table. A client at the limit per client evicts a waiting connection of its own.
// Otherwise a client with most connections makes room, with any connection if the client then has
// at least as many connections as the new client, or if the policy is EvictBusy; else with a
// waiting connection only.
func (t *Table) chooseEvicted(c *Conn) (victim *Conn, ok bool) {
	ownCount := t.clients[c.client]
	switch {
	case t.policy.MaxPerClient > 0 && ownCount >= t.policy.MaxPerClient:
		victim = t.longestWaiting(c.since, func(o *Conn) bool { return o.client == c.client && t.isWaiting(o, c.since) })
	case len(t.conns) < t.policy.Max:
		return nil, true
	default:
		largest := 0
		for _, n := range t.clients {
			largest = max(largest, n)
		}
		victim = t.longestWaiting(c.since, func(o *Conn) bool {
			return t.clients[o.client] == largest &&
				(largest > ownCount+1 || t.policy.EvictBusy || t.isWaiting(o, c.since))
		})
	}
	return victim, victim != nil
}

// longestWaiting returns the eligible connection with the oldest state: of the waiting connections,
// else of the fresh connections, else of the busy connections.
func (t *Table) longestWaiting(now time.Time, eligible func(*Conn) bool) (found *Conn) {
	rank := func(c *Conn) int {
		switch {
		case t.isWaiting(c, now):
			return 0
		case c.state == Fresh:
			return 1
		}
		return 2
	}
	for c := range t.conns {
		if eligible(c) && (found == nil || cmp.Or(rank(c)-rank(found), c.since.Compare(found.since)) < 0) {
			found = c
		}
	}
	return found
}

// isWaiting reports whether a connection makes room for a client with as many connections.
func (t *Table) isWaiting(c *Conn, now time.Time) bool {
	return c.state == Idle || c.state == Fresh && now.Sub(c.since) >= t.policy.FreshPeriod
}
