package takeover

import (
	"encoding/json"
	"os"
)

// Role is what a process wants of the active one.
type Role string

const (
	Successor Role = "successor" // replaces it as soon as it is ready
	Standby   Role = "standby"   // waits for its end
)

// Hello is how a process introduces itself to the active one, which may
// refuse it by what it says.
type Hello struct {
	Version string
	PID     int  // filled in: this process, or the one that the kernel says is at the other end
	Foreign bool // filled in: PID is what the other calls itself, in a pid namespace that is not this process's
	Role    Role
	Notes   json.RawMessage // for what is added later; may be nil
}

// Offer is what the active process has. All files in it are duplicates, and
// belong to whoever holds the Offer.
//
// O_NONBLOCK is one for all duplicates of a socket, in every process:
// File.Fd and SyscallConn of these files leave it alone, but see
// net.TCPListener.File.
type Offer struct {
	Version   string // filled in
	PID       int    // filled in
	Foreign   bool   // filled in, as in Hello
	Listeners []Listener
	Memory    Memory          // may be zero
	Web       *os.File        // the listening socket of HTTP; may be nil
	Notes     json.RawMessage // for what is added later; may be nil
}

// Listener is the sockets of an address, in the order of their shards, and the
// one that listens there for streams, if there is one.
type Listener struct {
	Name     string
	Address  string
	Protocol string
	Seed     uint32
	Sockets  []*os.File
	Stream   *os.File // may be nil
}

// Close closes all files of the offer.
func (o *Offer) Close() {
	o.Memory.Close()
	closeFiles(o.Web)
	o.Web = nil
	for i := range o.Listeners {
		closeFiles(o.Listeners[i].Sockets...)
		closeFiles(o.Listeners[i].Stream)
		o.Listeners[i].Sockets, o.Listeners[i].Stream = nil, nil
	}
}
