package dnstcp

import (
	"net"
	"net/netip"
	"time"
)

// connection is one that is served. What changes is guarded by its server's mu.
type connection struct {
	net.Conn
	client netip.Addr
	state  state
	since  time.Time // when its state began
}

// state is what a connection is at.
type state uint8

const (
	fresh state = iota // it has not asked yet
	busy               // its question is being answered
	idle               // it has been answered, and may ask again
)

// freshFor is for how long one that has not asked yet makes no room for those of
// clients who have no fewer: its question follows a round trip later at the
// latest, unless it is lost and sent again (after 1 s, RFC 6298 2.1).
const freshFor = 1500 * time.Millisecond

// clientOf returns what all addresses of a client have in common. Over TCP a
// client is where it says, so that is an IPv4 address: others of its /24 have
// nothing to do with it. Of IPv6 addresses every host has those of a /64 (RFC
// 8981).
func clientOf(addr netip.Addr) netip.Addr {
	addr = addr.WithZone("")
	if addr.Is4() {
		return addr
	}
	prefix, _ := addr.Prefix(64) // which an IPv6 address has
	return prefix.Addr()
}

// makeRoom says whether a connection can be served, and closes another one where
// there are too many. A client with all that one may have makes room with its
// own. Else the clients who have most make room, so that who has fewer is served,
// however many others open: if that still leaves them no fewer than him, with
// any, else only with one that waits.
func (s *Server) makeRoom(c *connection) bool {
	own := s.clients[c.client]
	var victim *connection
	switch {
	case own >= MostOfOne:
		victim = s.longest(c.since, func(o *connection) bool { return o.client == c.client && o.waits(c.since) })
	case len(s.conns) < MostConnections:
		return true
	default:
		most := 0
		for _, n := range s.clients {
			most = max(most, n)
		}
		victim = s.longest(c.since, func(o *connection) bool {
			return s.clients[o.client] == most && (most > own+1 || o.waits(c.since))
		})
	}
	if victim == nil {
		return false
	}
	s.count(Evicted)
	s.remove(victim)
	victim.Close()
	return true
}

// longest returns the one of some connections that has waited for longest: of
// those that wait, else of those that are fresh, else of those that are busy.
func (s *Server) longest(now time.Time, some func(*connection) bool) (found *connection) {
	rank := func(c *connection) int {
		switch {
		case c.waits(now):
			return 0
		case c.state == fresh:
			return 1
		}
		return 2
	}
	for c := range s.conns {
		if some(c) && (found == nil || rank(c) < rank(found) || rank(c) == rank(found) && c.since.Before(found.since)) {
			found = c
		}
	}
	return found
}

// waits says whether a connection may make room for one that is no better.
func (c *connection) waits(now time.Time) bool {
	return c.state == idle || c.state == fresh && now.Sub(c.since) > freshFor
}

// remove forgets a connection, if it has not made room before.
func (s *Server) remove(c *connection) {
	if _, there := s.conns[c]; !there {
		return
	}
	delete(s.conns, c)
	if s.clients[c.client]--; s.clients[c.client] == 0 {
		delete(s.clients, c.client)
	}
}

// note notes a connection's state, and since when it is so.
func (s *Server) note(c *connection, is state, since time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.state, c.since = is, since
}
