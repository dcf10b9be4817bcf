// Package statusreport prints the status of an instance: what was lost, all counters, the refused
// senders, targets and takeovers.
package statusreport

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/client"
	"github.com/udpshard/udpshard/internal/format"
	"github.com/udpshard/udpshard/internal/overview"
	"github.com/udpshard/udpshard/metrics"
)

// Report is the output of udpshard status, as JSON: the keys of /api/v1/status, and overview.
type Report struct {
	metrics.Status
	Overview overview.Overview `json:"overview"`

	instance string // its HTTP address
	now      time.Time
}

// unreachableError is the error for an instance that does not give its status.
type unreachableError struct{ error }

func (e unreachableError) Unwrap() error { return e.error }
func (unreachableError) ExitCode() int   { return cli.ExitUnreachable }

// Ask asks an instance for its status. The exit code of the error is cli.ExitUnreachable.
func Ask(ctx context.Context, instance client.Instance) (*Report, error) {
	status, err := instance.Status(ctx)
	if err != nil {
		return nil, unreachableError{err}
	}
	now := time.Now()
	return &Report{status, overview.Of(status, now), instance.String(), now}, nil
}

// Check returns an error if anything was lost at or after a time; zero is when the counters began.
func (r *Report) Check(since time.Time) error {
	losses := r.Overview.LostSince(since, r.StartedAt)
	if len(losses) == 0 {
		return nil
	}
	after := "the counters began"
	if !since.IsZero() {
		after = format.Minute(since)
	}
	err := fmt.Errorf("lost since %s: %s", after, places(losses))
	return cli.WithHint(err, losses[0].Remedy)
}

// places lists where something was lost, and why.
func places(losses []overview.Loss) (text string) {
	for i, l := range losses {
		if i > 0 {
			text += "; "
		}
		text += l.Reason + " " + l.Where()
	}
	return cli.Printable(text)
}

// ParseSince parses the time of --since: a duration before now, an RFC 3339 time, or a local time to
// the minute.
func ParseSince(text string) (time.Time, error) {
	now := time.Now()
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		at, err = time.ParseInLocation(format.MinuteLayout, text, time.Local)
	}
	switch {
	case err != nil:
		err := fmt.Errorf("%q is neither a duration such as 10m nor a time such as %s", text, format.Minute(now))
		return at, cli.Suggest(err, cli.GuessDuration(text, time.Minute))
	case at.After(now):
		return at, errors.New(text + " is in the future")
	}
	return at, nil
}

// uptime returns how long the process has run.
func (r *Report) uptime() time.Duration { return max(0, r.now.Sub(r.StartedAt)).Truncate(time.Second) }

// countersSince returns when the counters began, or else when the process started.
func (r *Report) countersSince() time.Time { return cmp.Or(r.CountersSince, r.StartedAt) }
