package metrics

import (
	"os"
	"time"
)

// Status is the whole ledger at one moment, as /api/v1/status tells it.
type Status struct {
	Version   string           `json:"version"`
	PID       int              `json:"pid"`
	Role      string           `json:"role"`
	StartedAt time.Time        `json:"started_at"`
	Listeners []ListenerStatus `json:"listeners"`
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
		Version:   l.Version,
		PID:       os.Getpid(),
		Role:      l.Role(),
		StartedAt: l.Started.UTC().Truncate(time.Millisecond),
		Listeners: []ListenerStatus{},
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
