package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/udpshard/udpshard/metrics"
)

// Receiver is a listener of a running instance, seen through its status. What
// it counted before is not ours.
type Receiver struct {
	url    string
	client http.Client
	name   string // of the listener
	before metrics.ListenerStatus
	pid    int
	since  time.Time
}

// Arrival is what a listener counted since a Receiver was made.
type Arrival struct {
	Listener string `json:"listener"`
	Address  string `json:"address"`
	Sent     uint64 `json:"sent"`
	Received uint64 `json:"received"`
	Kernel   uint64 `json:"kernel"`    // dropped at the sockets
	Lost     uint64 `json:"lost"`      // never came to a socket
	More     uint64 `json:"more"`      // came beside those that were sent: somebody else sends there
	InFlight uint64 `json:"in_flight"` // received, and not yet delivered or dropped
	Dropped  uint64 `json:"dropped"`   // received, and not delivered for another reason
	// Shards are the same counts for each shard, as in the status.
	Shards []metrics.Reading `json:"shards"`
}

// Complete says that everything that was sent has been delivered.
func (a Arrival) Complete() bool {
	return a.Received >= a.Sent && a.Kernel+a.Lost+a.InFlight+a.Dropped == 0
}

// NewReceiver reads the status of an instance, http://HOST:PORT or with
// /api/v1/status, and picks the listener at an address: with this very one,
// else a wildcard's of the same port, else the only one.
func NewReceiver(ctx context.Context, address string, to netip.AddrPort) (*Receiver, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%q is not a URL such as http://127.0.0.1:9514", address)
	}
	if strings.Trim(u.Path, "/") == "" {
		u.Path = "/api/v1/status"
	}
	r := &Receiver{url: u.String()}
	r.client = http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{Proxy: nil, DisableKeepAlives: true}}
	status, err := r.read(ctx)
	if err != nil {
		return nil, err
	}
	listener, err := pick(status.Listeners, to)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.url, err)
	}
	r.name, r.before, r.pid, r.since = listener.Name, listener, status.PID, status.StartedAt
	return r, nil
}

// pick finds the listener at an address.
func pick(listeners []metrics.ListenerStatus, to netip.AddrPort) (metrics.ListenerStatus, error) {
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
	return metrics.ListenerStatus{}, fmt.Errorf("no listener at %s: it has %s", to, strings.Join(names, ", "))
}

func (r *Receiver) read(ctx context.Context) (status metrics.Status, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url, nil)
	if err != nil {
		return status, err
	}
	response, err := r.client.Do(request)
	if err != nil {
		return status, fmt.Errorf("no instance answers at %s: %w", r.url, errors.Unwrap(err))
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return status, fmt.Errorf("%s: %s", r.url, response.Status)
	}
	if err := json.NewDecoder(response.Body).Decode(&status); err != nil {
		return status, fmt.Errorf("%s: not the status of an instance: %w", r.url, err)
	}
	return status, nil
}

// Settle waits until all that was sent is accounted for and nothing is in
// flight, nothing has moved for so long, or ctx is done.
func (r *Receiver) Settle(ctx context.Context, sent uint64, wait time.Duration) (Arrival, error) {
	var last Arrival
	moved := time.Now()
	for {
		now, err := r.arrival(sent)
		if err != nil {
			return last, err
		}
		if now.Received != last.Received || now.Kernel != last.Kernel || now.InFlight != last.InFlight {
			moved = time.Now()
		}
		last = now
		if now.Lost == 0 && now.InFlight == 0 || time.Since(moved) >= wait || ctx.Err() != nil {
			return now, nil
		}
		time.Sleep(poll)
	}
}

// arrival reads the status, also after an interrupt: what came until then is
// wanted.
func (r *Receiver) arrival(sent uint64) (a Arrival, err error) {
	status, err := r.read(context.Background())
	if err != nil {
		return a, err
	}
	if status.PID != r.pid || !status.StartedAt.Equal(r.since) {
		return a, fmt.Errorf("%s: another instance answers than before: pid %d, and it was %d", r.url, status.PID, r.pid)
	}
	for _, l := range status.Listeners {
		if l.Name == r.name {
			return newArrival(r.before, l, sent), nil
		}
	}
	return a, fmt.Errorf("%s: listener %s is gone", r.url, r.name)
}

func newArrival(before, now metrics.ListenerStatus, sent uint64) Arrival {
	a := Arrival{Listener: now.Name, Address: now.Address, Sent: sent}
	for i, s := range now.Shards {
		if i < len(before.Shards) {
			s = since(s, before.Shards[i])
		}
		a.Shards = append(a.Shards, s)
	}
	t := metrics.Sum(a.Shards)
	d := t.Dropped
	a.Received, a.Kernel, a.InFlight = t.Received, d.Kernel, t.InFlight
	a.Dropped = d.Received()
	came := a.Received + a.Kernel
	a.Lost, a.More = sent-min(sent, came), came-min(sent, came)
	return a
}

// since subtracts what had been counted before. InFlight stays: it is what is
// there now.
func since(now, before metrics.Reading) metrics.Reading {
	now.Received -= before.Received
	now.Bytes -= before.Bytes
	now.Batches -= before.Batches
	now.Delivered -= before.Delivered
	now.Replied -= before.Replied
	now.Truncated -= before.Truncated
	now.Unparsed -= before.Unparsed
	now.CPUTime -= before.CPUTime
	d, b := &now.Dropped, before.Dropped
	d.Kernel -= b.Kernel
	d.NotAllowed -= b.NotAllowed
	d.RateLimited -= b.RateLimited
	d.Malformed -= b.Malformed
	d.Output -= b.Output
	d.Reply -= b.Reply
	d.LostInCrash -= b.LostInCrash
	return now
}
