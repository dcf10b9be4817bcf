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
	Config        ConfigStatus     `json:"config"`
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

// ConfigStatus is the result of the last reload of the configuration. A start counts as a successful
// reload.
type ConfigStatus struct {
	LastReloadSuccessful bool      `json:"last_reload_successful"`
	LastReloadSuccessAt  time.Time `json:"last_reload_success_at"`
}

// After returns the status after a reload that ended at a time, with err or without.
func (c ConfigStatus) After(err error, at time.Time) ConfigStatus {
	if c.LastReloadSuccessful = err == nil; err == nil {
		c.LastReloadSuccessAt = at.UTC().Truncate(time.Millisecond)
	}
	return c
}

// ListenerStatus is a listener in the status.
type ListenerStatus struct {
	Name     string `json:"name"`
	Address  string `json:"address"`
	Protocol string `json:"protocol"`
	Steer    string `json:"steer"`
	// ReceiveBuffer is what each socket asks for, in bytes. The kernel doubles what it grants
	// (socket(7)), so a socket with all of it has twice as many buffer_bytes.
	ReceiveBuffer  int             `json:"receive_buffer"`
	Shards         []Reading       `json:"shards"`
	Steering       Steering        `json:"steering"`
	TopSenders     []Sender        `json:"top_senders"`
	Skew           string          `json:"skew"`
	RefusedSenders []RefusedSender `json:"refused_senders"`
	Outputs        []Output        `json:"outputs"`
	FailedZones    []FailedZone    `json:"failed_zones,omitempty"`
}

// FailedZone is a zone file of a DNS listener that could not be loaded.
type FailedZone struct {
	File  string `json:"file"`
	Error string `json:"error"` // begins with the file, and the line if there is one
	// Zone and Serial are the previous version of the zone, which is served; empty: the zone is not
	// served.
	Zone   string `json:"zone,omitempty"`
	Serial uint32 `json:"serial,omitempty"`
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
		Standbys:      l.Standbys(),
		Takeovers:     l.Takeovers().status(time.Now()),
		Config:        l.Config(),
		Listeners:     []ListenerStatus{},
	}
	notNil(&status.Standbys)
	for _, listener := range l.Listeners() {
		steering := listener.Steering()
		status.Listeners = append(status.Listeners, ListenerStatus{
			Name: listener.Name, Address: listener.Address, Protocol: listener.Protocol,
			Steer: steering.Mode, ReceiveBuffer: listener.ReceiveBuffer, Shards: listener.Read(), Steering: steering,
			TopSenders: steering.TopSenders, Skew: steering.Skew,
			RefusedSenders: listener.RefusedSenders(), Outputs: listener.TargetLedgers(),
			FailedZones: listener.failedZones(),
		})
	}
	return status
}

func (l *Listener) failedZones() []FailedZone {
	if l.FailedZones == nil {
		return nil
	}
	return l.FailedZones()
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
