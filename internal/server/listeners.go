package server

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/config"
	"github.com/udpshard/udpshard/internal/engine"
	"github.com/udpshard/udpshard/internal/handoff"
	"github.com/udpshard/udpshard/internal/handoff/succession"
	"github.com/udpshard/udpshard/internal/hostport"
	"github.com/udpshard/udpshard/shard"
)

// socketKey identifies the sockets of an address, in all spellings of the address. Port 0 means a
// new port each time, so the key of such an address is the spelling.
type socketKey struct {
	at       netip.AddrPort
	spelling string // of an address with port 0
}

func keyOf(at netip.AddrPort, spelling string) socketKey {
	if at.Port() == 0 {
		return socketKey{spelling: spelling}
	}
	return socketKey{at: at}
}

// offeredKey returns the key of a predecessor's listener. A host name is not looked up: the sockets
// have the address.
func offeredKey(l *handoff.Listener) socketKey {
	address, _ := hostport.Parse("udp", l.Address)
	at := address.AddrPort()
	if address.IsName() && len(l.Sockets) > 0 {
		at, _ = engine.SocketAddress(l.Sockets[0])
	}
	return keyOf(at, l.Address)
}

// matchListeners returns the offered listener that each listener continues: a listener at the same
// address, which no other listener continues. Several listeners may have one spelling with port 0: then the names match, or else
// the order.
func matchListeners(
	offers []handoff.Listener, listeners []*config.Listener,
) map[*config.Listener]*handoff.Listener {
	found := make(map[*config.Listener]*handoff.Listener)
	keys := make(map[string]socketKey) // by spelling
	for _, l := range listeners {
		keys[l.Address] = keyOf(l.Resolved(), l.Address)
	}
	offered := make(map[socketKey][]*handoff.Listener)
	for i := range offers {
		o := &offers[i]
		key, ok := keys[o.Address]
		if !ok {
			key = offeredKey(o)
		}
		offered[key] = append(offered[key], o)
	}
	match := func(l *config.Listener, accept func(*handoff.Listener) bool) {
		key := keys[l.Address]
		i := slices.IndexFunc(offered[key], accept)
		if found[l] == nil && i >= 0 {
			found[l] = offered[key][i]
			offered[key] = slices.Delete(offered[key], i, i+1)
		}
	}
	for _, l := range listeners {
		match(l, func(o *handoff.Listener) bool { return o.Name == l.Name })
	}
	for _, l := range listeners {
		match(l, func(*handoff.Listener) bool { return true })
	}
	return found
}

// logUnmatched logs the listeners of the predecessor that are not in matched.
func (s *server) logUnmatched(
	from *succession.Predecessor, matched map[*config.Listener]*handoff.Listener,
) {
	continued := make(map[*handoff.Listener]bool)
	for _, o := range matched {
		continued[o] = true
	}
	for i := range from.Offer.Listeners {
		if o := &from.Offer.Listeners[i]; !continued[o] {
			s.log.Warn().Str("listener", o.Name).Str("address", o.Address).
				Str("effect", "datagrams queued at its sockets will be lost").
				Msg("listener of the predecessor not configured")
		}
	}
}

// explainAddress adds a hint to the error of a port that the predecessor has at a different
// address.
func explainAddress(from *succession.Predecessor, err error) error {
	var inUse *shard.InUseError
	if !from.Connected() || !errors.As(err, &inUse) {
		return err
	}
	_, port, _ := net.SplitHostPort(inUse.Address)
	for _, o := range from.Offer.Listeners {
		if _, offered, _ := net.SplitHostPort(o.Address); offered == port {
			return cli.WithHint(err, fmt.Sprintf("%s has the port at %[2]s, and a takeover needs the "+
				"same address: listen at %[2]s, or use another port", from.Process(), o.Address))
		}
	}
	return err
}
