// Package connlimit bounds the connections that a server has at once, and says which connection
// makes room for a new one: one of the client that has most, so that no client keeps others out.
//
// A Table is the bookkeeping, for a server that accepts by itself. A Listener is a net.Listener
// with a Table, for net/http.
package connlimit

import (
	"net"
	"net/netip"
	"time"
)

// Policy says how many connections there may be, and which ones make room.
type Policy struct {
	// Most is how many connections there are at once, at least 1.
	Max int
	// MostOfOne is how many of them one client has; 0 is any number.
	MaxPerClient int
	// FreshFor is for how long a connection that has not asked yet makes no room for those of
	// clients that have no fewer.
	FreshPeriod time.Duration
	// EvictBusy makes room for every new connection: where no connection waits, the one whose
	// request has been under way for longest is closed.
	EvictBusy bool
}

// State is what a connection is at.
type State uint8

const (
	Fresh State = iota // it has not asked yet
	Busy               // its request is being answered
	Idle               // it has been answered, and may ask again
)

// Conn is a connection in a Table. The server that owns the Table guards it.
type Conn struct {
	net.Conn
	client netip.Addr
	state  State
	since  time.Time // when its state began
}

// Table is the connections of a server. Its methods are called by one goroutine at a time.
type Table struct {
	policy  Policy
	conns   map[*Conn]struct{}
	clients map[netip.Addr]int // how many of conns each client has; see clientOf
}

// NewTable returns a Table without connections.
func NewTable(p Policy) *Table {
	return &Table{policy: p, conns: make(map[*Conn]struct{}), clients: make(map[netip.Addr]int)}
}

// Add takes a connection in that has just been accepted from client. Where there are too many, one
// of those that are there is taken out, and returned: closing it is the caller's. ok is false where
// none makes room: the new connection is not in the Table then.
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

// Remove takes a connection out, if it is there.
func (t *Table) Remove(c *Conn) {
	if _, there := t.conns[c]; !there {
		return
	}
	delete(t.conns, c)
	if t.clients[c.client]--; t.clients[c.client] == 0 {
		delete(t.clients, c.client)
	}
}

// Note notes a connection's state, and since when it is so.
func (t *Table) SetState(c *Conn, state State, since time.Time) { c.state, c.since = state, since }

// Len returns how many connections there are, and how many of them are in a state.
func (t *Table) Len(state State) (total, inState int) {
	for c := range t.conns {
		if c.state == state {
			inState++
		}
	}
	return len(t.conns), inState
}

// CloseAll closes the connections, which stay in the Table until they are removed.
func (t *Table) CloseAll() {
	for c := range t.conns {
		c.Conn.Close()
	}
}

// clientOf returns what all addresses of a client have in common. Over TCP a
// client is where it says, so that is an IPv4 address: others of its /24 have
// nothing to do with it. Of IPv6 addresses every host has those of a /64 (RFC
// 8981).
func clientOf(addr netip.Addr) netip.Addr {
	addr = addr.Unmap().WithZone("")
	if addr.Is4() {
		return addr
	}
	prefix, _ := addr.Prefix(64) // which an IPv6 address has
	return prefix.Addr()
}

// makeRoom says whether a connection can be served, and which one makes room
// where there are too many. A client with all that one may have makes room with its
// own. Else the clients who have most make room, so that who has fewer is served,
// however many others open: if that still leaves them no fewer than him, with
// any, else only with one that waits, or with any where the policy is EvictBusy.
func (t *Table) chooseEvicted(c *Conn) (victim *Conn, ok bool) {
	own := t.clients[c.client]
	switch {
	case t.policy.MaxPerClient > 0 && own >= t.policy.MaxPerClient:
		victim = t.longestWaiting(c.since, func(o *Conn) bool { return o.client == c.client && t.isEvictable(o, c.since) })
	case len(t.conns) < t.policy.Max:
		return nil, true
	default:
		largest := 0
		for _, n := range t.clients {
			largest = max(largest, n)
		}
		victim = t.longestWaiting(c.since, func(o *Conn) bool {
			return t.clients[o.client] == largest && (largest > own+1 || t.policy.EvictBusy || t.isEvictable(o, c.since))
		})
	}
	return victim, victim != nil
}

// longest returns the one of some connections that has waited for longest: of
// those that wait, else of those that are fresh, else of those that are busy.
func (t *Table) longestWaiting(now time.Time, eligible func(*Conn) bool) (found *Conn) {
	rank := func(c *Conn) int {
		switch {
		case t.isEvictable(c, now):
			return 0
		case c.state == Fresh:
			return 1
		}
		return 2
	}
	for c := range t.conns {
		if eligible(c) && (found == nil || rank(c) < rank(found) || rank(c) == rank(found) && c.since.Before(found.since)) {
			found = c
		}
	}
	return found
}

// waits says whether a connection may make room for one that is no better.
func (t *Table) isEvictable(c *Conn, now time.Time) bool {
	return c.state == Idle || c.state == Fresh && now.Sub(c.since) >= t.policy.FreshPeriod
}
