package loadgen

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Result is what Run sent.
type Result struct {
	Run     string
	To      netip.AddrPort
	Flows   []uint64 // datagrams of each flow, numbered from 0
	Sent    uint64   // accepted by the kernel, with Refused and Unreachable
	Bytes   uint64   // of payload
	Calls   uint64   // of sendmmsg
	Missed  uint64   // not tried: the sender was too slow for the rate
	Elapsed time.Duration

	// Refused and Unreachable are datagrams that were sent and caused an ICMP error: no socket
	// listens at the port (ECONNREFUSED), or another error. Networks limit the rate of ICMP errors.
	Refused, Unreachable uint64
	// Errors are datagrams that the kernel refused to send, by errno.
	Errors    map[string]uint64
	LastError error
	// Numbered: every datagram carries the token for a Checker.
	Numbered bool
}

// Rate is in datagrams a second.
func (r Result) Rate() float64 {
	if r.Elapsed <= 0 {
		return 0
	}
	return float64(r.Sent) / r.Elapsed.Seconds()
}

// Run sends until Duration or Count is over, or until ctx is done, which is no error. Run fails
// with a *ConfigError, a *SegmentError, or the error of opening a socket. If nothing could be sent,
// Run returns an error together with the Result.
func Run(ctx context.Context, c Config) (Result, error) {
	c, to, err := c.complete()
	if err != nil {
		return Result{}, err
	}
	text, err := newText(c)
	if err != nil {
		return Result{}, err
	}
	segment := 0
	if c.GSO > 1 {
		segment = text.size
	}
	flows := make([]*flow, 0, c.Flows)
	defer func() {
		for _, f := range flows {
			f.conn.Close()
		}
	}()
	for i := range c.Flows {
		f, err := openFlow(i, to, segment)
		if err != nil {
			return Result{}, err
		}
		flows = append(flows, f)
	}

	var stop, anySent atomic.Bool
	senders := c.senders(flows, text)
	for _, s := range senders {
		s.stop, s.anySent = &stop, &anySent
		s.layOut()
	}
	// The deadline wakes sends that wait for buffer space.
	wake := context.AfterFunc(ctx, func() {
		stop.Store(true)
		for _, f := range flows {
			_ = f.conn.SetWriteDeadline(time.Unix(1, 0))
		}
	})
	defer wake()
	var wait sync.WaitGroup
	start := time.Now()
	for _, s := range senders {
		wait.Go(func() { s.run(ctx, start) })
	}
	wait.Wait()

	total := Result{Run: c.Run, To: to, Numbered: text.Numbered, Errors: make(map[string]uint64)}
	var errs []error
	for _, s := range senders {
		total.add(s.result)
		errs = append(errs, s.err)
	}
	for _, f := range flows {
		refused, unreachable := f.readICMPErrors()
		total.Refused += refused
		total.Unreachable += unreachable
		total.Flows = append(total.Flows, f.next)
	}
	if total.Sent == 0 && total.LastError != nil {
		errs = append(errs, fmt.Errorf("%w to %s: %w", errNothing, to, total.LastError))
	}
	return total, errors.Join(errs...)
}

func (r *Result) add(other Result) {
	r.Sent += other.Sent
	r.Bytes += other.Bytes
	r.Calls += other.Calls
	r.Missed += other.Missed
	r.Refused += other.Refused
	r.Unreachable += other.Unreachable
	r.Elapsed = max(r.Elapsed, other.Elapsed)
	for kind, n := range other.Errors {
		r.Errors[kind] += n
	}
	if r.LastError == nil {
		r.LastError = other.LastError
	}
}
