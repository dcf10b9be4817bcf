package server

import (
	"net/netip"

	"github.com/udpshard/udpshard/internal/config"
	"github.com/udpshard/udpshard/internal/engine"
	"github.com/udpshard/udpshard/internal/handoff"
	"github.com/udpshard/udpshard/internal/handoff/succession"
	"github.com/udpshard/udpshard/internal/hostport"
)

// socketKey identifies the sockets of an address. Two spellings of one address have one key.
// Port 0 is another port each time, unless it was asked for by the same words.
type socketKey struct {
	at    netip.AddrPort
	words string // where that is not known
}

func listenerKey(l *config.Listener) socketKey { return keyOf(l.Resolved(), l.Address) }

func keyOf(at netip.AddrPort, words string) socketKey {
	if at.Port() == 0 {
		return socketKey{words: words}
	}
	return socketKey{at: at}
}

// keys are the socket keys of this process's listeners.
type keys struct {
	bySpelling map[string]socketKey
	known      map[socketKey]bool
}

func socketKeys(listeners []*config.Listener) keys {
	k := keys{make(map[string]socketKey), make(map[socketKey]bool)}
	for _, l := range listeners {
		key := listenerKey(l)
		k.bySpelling[l.Address] = key
		k.known[key] = true
	}
	return k
}

// of returns the key of another process's listener. A host name that this process does not
// have is not looked up: the sockets know their address.
func (k keys) of(had *handoff.Listener) socketKey {
	if key, ok := k.bySpelling[had.Address]; ok {
		return key
	}
	address, _ := hostport.Parse("udp", had.Address)
	at := address.AddrPort()
	if address.IsName() && len(had.Sockets) > 0 {
		at, _ = engine.SocketAddress(had.Sockets[0])
	}
	return keyOf(at, had.Address)
}

func (k keys) has(had *handoff.Listener) bool { return k.known[k.of(had)] }

// matchListeners returns which of the other process's listeners each of these continues: the one
// with its address, and of several, which port 0 may be, the one with its name, or else the
// first that no other listener continues. It takes time in proportion to the listeners.
func matchListeners(from *succession.Predecessor, listeners []*config.Listener) map[*config.Listener]*handoff.Listener {
	found := make(map[*config.Listener]*handoff.Listener)
	if from == nil {
		return found
	}
	type named struct {
		key  socketKey
		name string
	}
	here := socketKeys(listeners)
	byName := make(map[named]*handoff.Listener)
	byKey := make(map[socketKey][]*handoff.Listener)
	for i := range from.Offer.Listeners {
		had := &from.Offer.Listeners[i]
		key := here.of(had)
		if _, again := byName[named{key, had.Name}]; !again {
			byName[named{key, had.Name}] = had
		}
		byKey[key] = append(byKey[key], had)
	}
	used := make(map[*handoff.Listener]bool)
	for _, want := range listeners {
		if had := byName[named{listenerKey(want), want.Name}]; had != nil && !used[had] {
			found[want], used[had] = had, true
		}
	}
	for _, want := range listeners {
		key := listenerKey(want)
		for left := byKey[key]; found[want] == nil && len(left) > 0; left = byKey[key] {
			byKey[key] = left[1:]
			if !used[left[0]] {
				found[want], used[left[0]] = left[0], true
			}
		}
	}
	return found
}
