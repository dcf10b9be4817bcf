package takeover

import (
	"encoding/json"

	"github.com/udpshard/udpshard/internal/handoff"
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

// Offer is the state of the active process.
type Offer struct {
	Version string // filled in
	PID     int    // filled in
	Foreign bool   // filled in, as in Hello
	handoff.State
}
