package metrics

import (
	"os"
	"syscall"
	"time"
)

// Status is the ledger at one moment, as /api/v1/status has it.
type Status struct {
	Version string `json:"version"`
	ProcessStatus
	Role       string    `json:"role"`
	StartedAt  time.Time `json:"started_at"`
	CountersID string    `json:"counters_id"` // see Ledger.CountersID
	// CountersSince is when the counters began at 0; zero if a version before 0.1.0 made them.
	CountersSince time.Time        `json:"counters_since,omitzero"`
	Standbys      []StandbyStatus  `json:"standbys"`
	Takeovers     TakeoverStatus   `json:"takeovers"`
	Listeners     []ListenerStatus `json:"listeners"`
}

// ProcessStatus identifies a process: two containers may both have a PID 1, in different PID
// namespaces.
type ProcessStatus struct {
	PID          int    `json:"pid"`                     // in the process's PID namespace
	PIDNamespace uint64 `json:"pid_namespace,omitempty"` // the inode of /proc/PID/ns/pid; 0: unknown
}

// StandbyStatus is a standby of this process.
type StandbyStatus struct {
	ProcessStatus
	Version string `json:"version"`
}

// ListenerStatus is a listener in the status.
type ListenerStatus struct {
	Name       string    `json:"name"`
	Address    string    `json:"address"`
	Protocol   string    `json:"protocol"`
	Steer      string    `json:"steer"`
	Shards     []Reading `json:"shards"`
	Steering   Steering  `json:"steering"`
	TopSenders []Sender  `json:"top_senders"`
	Skew       string    `json:"skew"`
	Outputs    []Output  `json:"outputs"`
}

// Status reads all listeners.
func (l *Ledger) Status() Status {
	status := Status{
		Version:       l.Version,
		ProcessStatus: l.process,
		Role:          l.Role(),
		StartedAt:     l.Started.UTC().Truncate(time.Millisecond),
		CountersID:    l.CountersID(),
		CountersSince: l.countersSince().UTC().Truncate(time.Millisecond),
		Takeovers:     l.Takeovers().status(time.Now()),
		Listeners:     []ListenerStatus{},
	}
	if list := l.standbys.Load(); list != nil {
		status.Standbys = (*list)()
	}
	notNil(&status.Standbys)
	for _, listener := range l.Listeners() {
		steering := listener.Steering()
		status.Listeners = append(status.Listeners, ListenerStatus{
			Name: listener.Name, Address: listener.Address, Protocol: listener.Protocol,
			Steer: steering.Mode, Shards: listener.Read(), Steering: steering,
			TopSenders: steering.TopSenders, Skew: steering.Skew, Outputs: listener.TargetLedgers(),
		})
	}
	return status
}

// TargetLedgers returns the ledgers of the targets.
func (l *Listener) TargetLedgers() (list []Output) {
	if l.Outputs != nil {
		list = l.Outputs()
	}
	notNil(&list)
	return list
}

// ThisProcess identifies this process among the processes of all PID namespaces of the host.
func ThisProcess() ProcessStatus {
	p := ProcessStatus{PID: os.Getpid()}
	if info, err := os.Stat("/proc/self/ns/pid"); err == nil {
		if stat, ok := info.Sys().(*syscall.Stat_t); ok {
			p.PIDNamespace = stat.Ino
		}
	}
	return p
}
