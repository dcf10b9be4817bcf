package loadgen

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/udpshard/udpshard/internal/client"
	"github.com/udpshard/udpshard/metrics"
)

// Receiver is a listener of a running instance, seen through the status of the instance. Counts of
// before NewReceiver are subtracted. The instance is the process that has the counters: after an
// upgrade, a takeover by a standby, or a restart that keeps the counters, the new process.
type Receiver struct {
	instance client.Instance
	before   metrics.ListenerStatus
	counters string // ID
}

// Arrival is what a listener has counted since NewReceiver.
type Arrival struct {
	Listener string `json:"listener"`
	Address  string `json:"address"`
	Sent     uint64 `json:"sent"`
	Received uint64 `json:"received"`
	// Dropped are the datagrams that reached a socket of the listener and were not delivered, by
	// reason, as in the status.
	Dropped  metrics.Drops `json:"dropped"`
	InFlight uint64        `json:"in_flight"` // received, and not yet delivered or dropped
	// Waiting are datagrams in no count while receive queues hold QueueBytes: datagrams in these
	// queues, or lost on the way.
	Waiting    uint64 `json:"waiting"`
	QueueBytes uint64 `json:"queue_bytes"`
	Lost       uint64 `json:"lost"` // reached no socket, and no queue holds datagrams
	More       uint64 `json:"more"` // arrived beyond Sent: another sender uses the port
	// Shards are the same counts for each shard, as in the status. If the number of shards has
	// changed meanwhile, Shards are approximate; the sums above are exact.
	Shards []metrics.Reading `json:"shards"`
}

// Missing returns how many of the sent datagrams are not known to be delivered.
func (a Arrival) Missing() uint64 {
	return a.Dropped.Kernel + a.Dropped.Received() + a.InFlight + a.Waiting + a.Lost
}

// Complete reports whether all sent datagrams have been delivered.
func (a Arrival) Complete() bool { return a.Received >= a.Sent && a.Missing() == 0 }

// statusTimeout is how long an instance may take to answer.
const statusTimeout = 5 * time.Second

// NewReceiver reads the status of an instance, http://HOST:PORT or with /api/v1/status, and finds
// the listener at an address: the listener with this address, or else a wildcard listener of the
// same port. tokenFile has the token of the instance; "": without token.
func NewReceiver(
	ctx context.Context, address, tokenFile string, to netip.AddrPort,
) (*Receiver, error) {
	instance, err := client.NewURL(address, statusTimeout)
	if err != nil {
		return nil, err
	}
	instance = instance.WithTokenFile(tokenFile)
	status, err := instance.Status(ctx)
	if err != nil {
		return nil, err
	}
	listener, err := findListener(status.Listeners, to)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", address, err)
	}
	switch {
	case status.Role == metrics.Standby:
		return nil, fmt.Errorf("%s: the instance is a standby, whose counters do not change: give the HTTP address of the active process", address)
	case status.CountersID == "":
		return nil, fmt.Errorf("%s: the status of udpshard %s has no counters_id, which is needed to notice a restart", address, status.Version)
	}
	return &Receiver{instance, listener, status.CountersID}, nil
}

// findListener returns the listener at an address.
func findListener(listeners []metrics.ListenerStatus, to netip.AddrPort) (metrics.ListenerStatus, error) {
	wildcards := []string{fmt.Sprintf(":%d", to.Port()), fmt.Sprintf("[::]:%d", to.Port()), fmt.Sprintf("0.0.0.0:%d", to.Port())}
	var names []string
	for _, l := range listeners {
		if l.Address == to.String() {
			return l, nil
		}
		names = append(names, l.Address)
	}
	for _, l := range listeners {
		for _, w := range wildcards {
			if l.Address == w {
				return l, nil
			}
		}
	}
	return metrics.ListenerStatus{}, fmt.Errorf("no listener at %s: the instance has %s", to, strings.Join(names, ", "))
}

// WaitDelivered waits until all sent datagrams are accounted for and none is in flight, until no
// count has changed for the time of wait, or until ctx is done. For the time of wait, the instance
// may be silent: another process may be about to take over.
func (r *Receiver) WaitDelivered(ctx context.Context, sent uint64, wait time.Duration) (Arrival, error) {
	var last Arrival
	moved := time.Now()
	for {
		now, err := r.arrival(sent)
		over := time.Since(moved) >= wait || ctx.Err() != nil
		if err != nil && (over || errors.As(err, new(*otherCounters))) {
			return last, err
		}
		if err == nil {
			if now.Received != last.Received || now.Dropped != last.Dropped || now.InFlight != last.InFlight || now.QueueBytes != last.QueueBytes {
				moved = time.Now()
			}
			last = now
			if now.Lost+now.Waiting+now.InFlight == 0 || over {
				return now, nil
			}
		}
		time.Sleep(pollInterval)
	}
}

// otherCounters is the error of an instance whose counters are new.
type otherCounters struct {
	instance    client.Instance
	before, now string
}

func (e *otherCounters) Error() string {
	return fmt.Sprintf("%s: the counters of the instance are %s, and were %s before the run: the instance was restarted without its counters, or another instance answers",
		e.instance, e.now, e.before)
}

// arrival reads the status, also after an interrupt: the counts until then are wanted.
func (r *Receiver) arrival(sent uint64) (a Arrival, err error) {
	status, err := r.instance.Status(context.Background())
	if err != nil {
		return a, err
	}
	if status.CountersID != r.counters {
		return a, &otherCounters{r.instance, r.counters, status.CountersID}
	}
	now, err := r.sameListener(status.Listeners)
	if err != nil {
		return a, err
	}
	return newArrival(r.before, now, sent), nil
}

// sameListener returns the listener in a later status. An upgrade may have changed its name, or the
// spelling of its address.
func (r *Receiver) sameListener(listeners []metrics.ListenerStatus) (metrics.ListenerStatus, error) {
	for _, same := range []func(l metrics.ListenerStatus) bool{
		func(l metrics.ListenerStatus) bool { return l.Address == r.before.Address && l.Name == r.before.Name },
		func(l metrics.ListenerStatus) bool { return l.Address == r.before.Address },
		func(l metrics.ListenerStatus) bool { return l.Name == r.before.Name },
	} {
		if i := slices.IndexFunc(listeners, same); i >= 0 {
			return listeners[i], nil
		}
	}
	return metrics.ListenerStatus{}, fmt.Errorf("%s: listener %s at %s is gone", r.instance, r.before.Name, r.before.Address)
}

func newArrival(before, now metrics.ListenerStatus, sent uint64) Arrival {
	a := Arrival{Listener: now.Name, Address: now.Address, Sent: sent}
	t := metrics.Sum(now.Shards).Since(metrics.Sum(before.Shards))
	a.Received, a.Dropped, a.InFlight, a.QueueBytes = t.Received, t.Dropped, t.InFlight, t.QueueBytes
	came := a.Received + a.Dropped.Kernel
	a.Lost, a.More = sent-min(sent, came), came-min(sent, came)
	if a.QueueBytes > 0 {
		a.Waiting, a.Lost = a.Lost, 0
	}
	had := make([][]metrics.Reading, len(now.Shards))
	for i, s := range before.Shards {
		if len(now.Shards) > 0 { // as counters are inherited with fewer shards: metrics.Inheritance
			i %= len(now.Shards)
			had[i] = append(had[i], s)
		}
	}
	for i, s := range now.Shards {
		a.Shards = append(a.Shards, s.Since(metrics.Sum(had[i])))
	}
	return a
}
