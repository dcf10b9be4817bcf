package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/config"
	"github.com/udpshard/udpshard/internal/engine"
	"github.com/udpshard/udpshard/internal/handoff"
	"github.com/udpshard/udpshard/internal/handoff/succession"
	"github.com/udpshard/udpshard/shard"
)

// Adopt implements succession.Server.
func (s *server) Adopt(from *succession.Predecessor) error {
	from.Inherit(s.succession.Counters(), func() map[string]string { return s.listenerNames(from) })
	err := engine.Adopt(s.listeners)
	if s.service.owns && errors.As(err, new(*shard.InUseError)) {
		err = cli.WithHint(err, "the sockets of a .socket unit belong to the user of the service manager: "+
			"give the unit one ListenDatagram= line for each shard")
	}
	return err
}

// listenerNames maps the names of the predecessor's listeners to the names of the listeners that
// continue them. A listener without one of the same address is continued by its name, unless the
// listener of that name continues another one: then the name is "".
func (s *server) listenerNames(from *succession.Predecessor) map[string]string {
	names, continues := make(map[string]string), make(map[string]bool)
	for _, opened := range s.listeners {
		l, had := opened.settings, opened.continues
		if had == nil {
			continue
		}
		names[had.Name], continues[l.Name] = l.Name, true
		if l.Name != had.Name {
			s.log.Warn().Str("listener", l.Name).Str("was", had.Name).Str("address", l.Address).Str("effect", "the counters continue under the new name").Msg("listener renamed")
		}
	}
	for _, had := range from.Offer.Listeners {
		if _, ok := names[had.Name]; !ok && continues[had.Name] {
			names[had.Name] = ""
		}
	}
	return names
}

// DrainSurplus implements succession.Server. The records go to the files to which the predecessor
// has written. When ctx ends, the drain timeout begins; then records that the outputs have not
// accepted are lost.
func (s *server) DrainSurplus(ctx context.Context, from *succession.Predecessor) error {
	done := make(chan struct{})
	defer close(done)
	defer context.AfterFunc(ctx, func() {
		select {
		case <-time.After(s.config.DrainTimeout):
			s.outputs.Abort()
		case <-done:
		}
	})()
	return engine.DrainSurplus(from.AddSurplusDrops, s.listeners)
}

// ReopenOutputs implements succession.Server.
func (s *server) ReopenOutputs() { s.outputs.Reopen(s.filesOpened) }

// logUnmatched logs the listeners of the predecessor that no listener of this process continues.
func (s *server) logUnmatched(from *succession.Predecessor) {
	here := socketKeys(s.config.Listeners)
	for i := range from.Offer.Listeners {
		had := &from.Offer.Listeners[i]
		if !here.has(had) {
			s.log.Warn().Str("listener", had.Name).Str("address", had.Address).Str("effect", "datagrams queued at its sockets will be lost").Msg("listener of the predecessor not configured")
		}
	}
}

// explainAddress adds a hint to the error of a port that the predecessor has at another address.
func explainAddress(from *succession.Predecessor, err error) error {
	var inUse *shard.InUseError
	if !from.Connected() || !errors.As(err, &inUse) {
		return err
	}
	_, port, _ := net.SplitHostPort(inUse.Address)
	for _, had := range from.Offer.Listeners {
		if _, its, _ := net.SplitHostPort(had.Address); its == port {
			return cli.WithHint(err, fmt.Sprintf("%s has the port at %[2]s, and a takeover needs the same address: listen at %[2]s, or use another port", from.Process(), had.Address))
		}
	}
	return err
}

// groupMembers returns the sockets that are members of their SO_REUSEPORT group. A process with
// fewer shards that has taken over, and has ended, has detached the last sockets.
func groupMembers(sockets []*os.File) []*os.File {
	for i, file := range sockets {
		if _, err := engine.SocketAddress(file); err != nil && i > 0 {
			return sockets[:i]
		}
	}
	return sockets // an unusable first socket too: the error comes when it is used
}

// streamListener returns the listening TCP socket of a predecessor's listener; nil without a usable
// one.
func (s *server) streamListener(had *handoff.Listener) *net.TCPListener {
	if had == nil || had.Stream == nil {
		return nil
	}
	listener, err := net.FileListener(had.Stream)
	if tcp, ok := listener.(*net.TCPListener); ok {
		return tcp
	} else if listener != nil {
		listener.Close()
	}
	s.log.Warn().Err(err).Str("listener", had.Name).Str("effect", "a new socket is opened").Msg("inherited TCP socket unusable")
	return nil
}

// httpListener returns the HTTP socket of the predecessor, if it has the address; else nil.
func (s *server) httpListener(from *succession.Predecessor, address string) net.Listener {
	if from == nil || from.Offer.Web == nil {
		return nil
	}
	listener, err := net.FileListener(from.Offer.Web)
	if err != nil {
		s.log.Warn().Err(err).Str("effect", "a new socket is opened").Msg("inherited HTTP socket unusable")
		return nil
	}
	if !hasAddress(listener.Addr(), address) {
		listener.Close()
		return nil
	}
	return listener
}

// hasAddress returns whether a listener has the address that host:port means. For any unspecified
// address net.Listen opens one socket for IPv6 and IPv4.
func hasAddress(has net.Addr, want string) bool {
	at, ok := has.(*net.TCPAddr)
	return ok && at.Port > 0 && config.HTTPSocket(at.String()) == config.HTTPSocket(want)
}
