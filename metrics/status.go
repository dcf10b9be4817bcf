package metrics

import (
	"os"
	"syscall"
	"time"
)

// Status is the whole ledger at one moment, as /api/v1/status tells it.
type Status struct {
	Version string `json:"version"`
	ProcessStatus
	Role      string    `json:"role"`
	StartedAt time.Time `json:"started_at"`
	// CountersID names the counters, which outlive the process: see
	// Ledger.CountersID. Counters of one ID never go back.
	CountersID string           `json:"counters_id"`
	Standbys   []StandbyStatus  `json:"standbys"`
	Takeovers  TakeoverStatus   `json:"takeovers"`
	Listeners  []ListenerStatus `json:"listeners"`
}

// ProcessStatus names a process: two containers may both have a PID 1, in different
// PID namespaces.
type ProcessStatus struct {
	PID          int    `json:"pid"`                     // in its own PID namespace
	PIDNamespace uint64 `json:"pid_namespace,omitempty"` // the inode of /proc/PID/ns/pid; 0: unknown
}

// StandbyStatus is a process that stands by for this one.
type StandbyStatus struct {
	ProcessStatus
	Version string `json:"version"`
}

// ListenerStatus is one listener's part of it.
type ListenerStatus struct {
	Name       string    `json:"name"`
	Address    string    `json:"address"`
	Protocol   string    `json:"protocol"`
	Steer      string    `json:"steer"`
	Shards     []Reading `json:"shards"`
	Steering   Steering  `json:"steering"`
	TopSenders []Sender  `json:"top_senders"`
	Skew       string    `json:"skew"`
}

// Status takes a reading of everything.
func (l *Ledger) Status() Status {
	status := Status{
		Version:       l.Version,
		ProcessStatus: ProcessStatus{os.Getpid(), l.PIDNamespace},
		Role:          l.Role(),
		StartedAt:     l.Started.UTC().Truncate(time.Millisecond),
		CountersID:    l.CountersID(),
		Standbys:      l.Standbys(),
		Takeovers:     l.Takeovers().status(time.Now()),
		Listeners:     []ListenerStatus{},
	}
	for _, listener := range l.Listeners() {
		steering := listener.Steering()
		status.Listeners = append(status.Listeners, ListenerStatus{
			Name:       listener.Name,
			Address:    listener.Address,
			Protocol:   listener.Protocol,
			Steer:      steering.Mode,
			Shards:     listener.Read(),
			Steering:   steering,
			TopSenders: steering.TopSenders,
			Skew:       steering.Skew,
		})
	}
	return status
}

// ThisProcess names this process among those of all PID namespaces of the host.
func ThisProcess() ProcessStatus {
	p := ProcessStatus{PID: os.Getpid()}
	if info, err := os.Stat("/proc/self/ns/pid"); err == nil {
		if stat, ok := info.Sys().(*syscall.Stat_t); ok {
			p.PIDNamespace = stat.Ino
		}
	}
	return p
}
