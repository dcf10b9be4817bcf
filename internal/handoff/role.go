package handoff

import "fmt"

// Role is what a process does for the sockets of a takeover path.
type Role int

// The roles of a process. The zero Role is that of a process that has just begun.
const (
	Starting        Role = iota // opens outputs and sockets, and looks for an active process
	Standby                     // holds the sockets of the active process, and watches its shards
	Active                      // reads the sockets
	Stopping                    // reads the sockets, was told to stop, and asks a standby to take over
	Quiescing                   // stops reading for a successor, and flushes its outputs
	QuiescingToStop             // the same, in a process that was told to stop
	Draining                    // reads what is queued, flushes its outputs, and ends
	HandedOver                  // has committed a handover, and ends
	Fenced                      // was replaced as dead or stalled, flushes its outputs, and ends

	roles
)

var roleNames = [roles]string{"starting", "standby", "active", "stopping", "quiescing",
	"quiescing to stop", "draining", "handed over", "fenced"}

func (r Role) String() string { return roleNames[r] }

// Event is what changes the role of a process.
type Event int

// The events. Each is named after what has happened.
const (
	ActiveFound       Event = iota // a standby has the sockets of the active process
	StandbyEnded                   // a standby has to start again: new settings, or another active process
	Activated                      // this process is the owner of the sockets, and starts to read
	QuiesceRequested               // a successor is ready
	Resumed                        // the successor or an output has failed: this process reads on
	HandoverCommitted              // the successor has everything
	StopRequested                  // a signal to stop
	StopPassedOn                   // a signal to stop, and a standby was asked to take over
	Failed                         // an output or a shard has failed, or no standby has taken over
	Replaced                       // the epoch in the control memory has changed

	events
)

var eventNames = [events]string{"active found", "standby ended", "activated", "quiesce requested", "resumed",
	"handover committed", "stop requested", "stop passed to a standby", "failed", "replaced"}

func (e Event) String() string { return eventNames[e] }

// transitions has the next role for each role and event. A pair that is missing cannot occur.
var transitions = map[Role]map[Event]Role{
	Starting:        {ActiveFound: Standby, Activated: Active},
	Standby:         {StandbyEnded: Starting, Activated: Active},
	Active:          {QuiesceRequested: Quiescing, StopRequested: Draining, StopPassedOn: Stopping, Failed: Draining, Replaced: Fenced},
	Stopping:        {QuiesceRequested: QuiescingToStop, Failed: Draining, Replaced: Fenced},
	Quiescing:       {Resumed: Active, HandoverCommitted: HandedOver, StopRequested: QuiescingToStop, Replaced: Fenced},
	QuiescingToStop: {Resumed: Stopping, HandoverCommitted: HandedOver, Replaced: Fenced},
	Draining:        {Replaced: Fenced},
	HandedOver:      {},
	Fenced:          {},
}

// Next returns the role after an event. An event that cannot occur in the role is an error.
func (r Role) Next(e Event) (Role, error) {
	next, ok := transitions[r][e]
	if !ok {
		return r, fmt.Errorf("role %s: event %s is not possible", r, e)
	}
	return next, nil
}

// Ends returns whether a process with the role reads no new datagrams, and ends.
func (r Role) Ends() bool { return r >= Draining }
