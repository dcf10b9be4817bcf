package takeover

import (
	"encoding/json"

	"github.com/udpshard/udpshard/internal/handoff"
)

// Role is the role of a peer.
type Role string

const (
	Successor Role = "successor" // replaces the active process as soon as the successor is ready
	Standby   Role = "standby"   // waits for the end of the active process
)

// Hello is the first message of a peer. The active process may refuse the peer because of the
// content.
type Hello struct {
	Version string
	PID     int  // filled in: this process; in Active.Offer, the pid of the peer as the kernel says
	Foreign bool // filled in: PID is as the peer says, of a pid namespace that this process cannot see
	Role    Role
	Notes   json.RawMessage // JSON, for later versions; may be nil
}

// Offer is the state of the active process.
type Offer struct {
	Version string // filled in
	PID     int    // filled in
	Foreign bool   // filled in, as in Hello
	handoff.State
}
