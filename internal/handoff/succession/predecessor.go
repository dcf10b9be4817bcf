package succession

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/handoff"
	"github.com/udpshard/udpshard/internal/handoff/takeover"
	"github.com/udpshard/udpshard/metrics"
)

// Predecessor is the process that is active, or was active last: a connection to it, its sockets
// and its counters. A nil Predecessor is valid: there is none.
type Predecessor struct {
	Offer    takeover.Offer
	Counters *metrics.SharedCounters // nil: it has left none

	conn         *takeover.Conn // nil: none, or no longer
	disconnected bool           // there was a connection, and an active process may be alive
	log          zerolog.Logger

	inheritance *metrics.Inheritance  // of Counters by this process; nil: not yet
	successor   takeover.Announcement // the process that has taken over from the predecessor
	previous    registration          // with the predecessor of the predecessor: see replace
}

// NewStored returns a predecessor that has left its sockets with the service manager, without
// counters.
func NewStored(log zerolog.Logger) *Predecessor { return &Predecessor{log: log} }

// Connected returns whether the predecessor is connected and waits for this process.
func (p *Predecessor) Connected() bool { return p != nil && p.conn != nil }

// WasConnected returns whether the predecessor is connected, or was, and may be alive.
func (p *Predecessor) WasConnected() bool { return p != nil && (p.conn != nil || p.disconnected) }

// Process names the process, for people.
func (p *Predecessor) Process() string {
	if p.conn != nil {
		return p.conn.Process()
	}
	return fmt.Sprintf("pid %d", p.Offer.PID)
}

// LogFields returns the fields of a log line that identify the process.
func (p *Predecessor) LogFields() ProcessFields { return ProcessFields{p.Offer.PID, p.Offer.Foreign} }

// ProcessFields are the fields of a log line that identify a process. A PID of another PID
// namespace, such as the PID of another container, is marked as such: in this namespace another
// process may have that PID.
type ProcessFields struct {
	PID     int
	Foreign bool
}

// MarshalZerologObject implements zerolog.LogObjectMarshaler.
func (f ProcessFields) MarshalZerologObject(e *zerolog.Event) {
	if f.PID != 0 { // 0: a process that has left its sockets with the service manager
		e.Int("pid", f.PID)
	}
	if f.Foreign {
		e.Str("pid_namespace", "another")
	}
}

// Inherit makes counters continue from those of the predecessor, once. names maps the names of its
// listeners to the names in this process (see metrics.SharedCounters.Inherit).
func (p *Predecessor) Inherit(counters *metrics.SharedCounters, names func() map[string]string) {
	if p.Counters != nil && p.inheritance == nil {
		p.inheritance = counters.Inherit(p.Counters, names())
	}
}

// AddSurplusDrops counts the drops of a socket that this process closes.
func (p *Predecessor) AddSurplusDrops(socket metrics.Socket) error {
	if p.inheritance == nil { // no process has counted
		return nil
	}
	return p.inheritance.AddSurplusDrops(socket)
}

// silentRemedy is for a process that starts beside an active process that does not answer.
const silentRemedy = "the active process is stopped or hangs: resume it (kill -CONT PID) or end " +
	"it (kill -KILL PID), and start this process again"

// Dial asks the process that listens at the takeover path for its sockets and counters. It returns
// nil without an error if no process listens there.
func (s *Succession) Dial(ctx context.Context) (*Predecessor, error) {
	if s.Path == "" {
		return nil, nil
	}
	conn, err := takeover.Dial(ctx, s.Path)
	switch {
	case errors.Is(err, takeover.ErrNotListening):
		return nil, nil
	case errors.Is(err, takeover.ErrNoAnswer) && s.Standby: // a standby is for processes that hang
		return nil, Retry(err)
	case errors.Is(err, takeover.ErrNoAnswer):
		return nil, cli.WithHint(s.PathError(err), silentRemedy)
	case err != nil:
		return nil, s.PathError(err)
	}
	p := &Predecessor{conn: conn, log: s.log}
	if err := p.requestOffer(ctx, s.Settings); err != nil {
		p.Close()
		return nil, s.offerError(conn, err)
	}
	return p, nil
}

// offerError returns the error of an active process that has offered nothing.
func (s *Succession) offerError(conn *takeover.Conn, err error) error {
	silent := errors.Is(err, takeover.ErrNoAnswer)
	switch {
	case errors.Is(err, takeover.ErrRedirected), errors.Is(err, takeover.ErrDisconnected):
		return Retry(err)
	case silent && s.Standby:
		s.log.Warn().Str("process", conn.Process()).Msg("active process not answering")
		return Retry(err)
	}
	err = fmt.Errorf("take over from %s: %w", conn.Process(), err)
	if silent {
		err = cli.WithHint(err, silentRemedy)
	}
	return err
}

// requestOffer introduces this process, and receives the sockets and the counters of the active
// process.
func (p *Predecessor) requestOffer(ctx context.Context, s Settings) (err error) {
	hello := takeover.Hello{Version: s.Version, Role: takeover.Successor}
	if s.Standby {
		hello.Role = takeover.Standby
		if hello.Notes, err = json.Marshal(metrics.ThisProcess()); err != nil {
			return err
		}
	}
	if p.Offer, err = p.conn.Hello(ctx, hello); err != nil {
		return err
	}
	if p.Offer.Memory.Counters == nil {
		return errors.New("it has no counters to go on from")
	}
	p.Counters, err = metrics.OpenSharedCounters(p.Offer.Memory.Counters, p.Offer.Memory.Control)
	p.Offer.Memory = handoff.Memory{} // OpenSharedCounters has taken the files
	if errors.As(err, new(*metrics.LayoutError)) {
		return cli.WithHint(fmt.Errorf("counters of the active process: %w", err), takeover.OtherVersionRemedy)
	}
	if err != nil {
		return fmt.Errorf("counters of the active process: %w", err)
	}
	p.Counters.Prefault()
	return nil
}

// AfterFailure returns the predecessor for the next attempt to start: answered, if a process has
// answered, else p without its connection; nil if p has nothing of use any more.
func (p *Predecessor) AfterFailure(answered *Predecessor) *Predecessor {
	switch {
	case answered != nil:
		answered.replace(p)
		return answered
	case p == nil:
		return nil
	}
	p.disconnect()
	p.useSuccessorCounters()
	if p.disconnected && p.Counters.HandedOver() {
		p.Close()
		return nil
	}
	return p
}

// disconnect closes the connection. The sockets and counters stay: by these a standby watches the
// active process until that process answers.
func (p *Predecessor) disconnect() {
	p.inheritance = nil
	if p.conn == nil {
		return
	}
	p.successor = p.conn.Announcement()
	p.conn.Close()
	p.conn, p.disconnected = nil, true
}

// useSuccessorCounters replaces the counters by those of the process that has taken over from the
// predecessor, if that process has announced itself.
func (p *Predecessor) useSuccessorCounters() {
	if p.successor.Memory.Counters == nil || !p.Counters.HandedOver() {
		return
	}
	counters, err := metrics.OpenSharedCounters(p.successor.Memory.Counters, p.successor.Memory.Control)
	if err != nil {
		p.log.Warn().Err(err).Int("pid", p.successor.PID).
			Msg("counters of the new active process unusable")
	} else {
		p.Counters.Close()
		p.Counters, p.Offer.PID = counters, p.successor.PID
	}
	p.successor = takeover.Announcement{}
}

// hasEnded returns whether the owner of the counters has ended: its lease is free.
func (p *Predecessor) hasEnded() bool {
	lease, err := takeover.AcquireLease(p.Counters.Control(), p.Counters.Epoch())
	if err != nil {
		return false
	}
	lease.Release()
	return true
}

// stoppedOwner returns the epoch of an earlier owner that is alive: it was replaced as stalled.
func (p *Predecessor) stoppedOwner(epoch uint64) (at uint64, alive bool) {
	at, alive, err := takeover.LeaseHeldBelow(p.Counters.Control(), epoch)
	if err != nil {
		p.log.Warn().Err(err).Msg("check for live replaced processes failed")
	}
	return at, alive
}

// stoppedReading returns when a process that has not stopped in order was last seen reading. Without
// such a time it returns began, when this process saw that the process does not read.
func (p *Predecessor) stoppedReading(began time.Time) time.Time {
	if p.Counters == nil {
		return time.Time{}
	}
	if last := p.Counters.LastReading(); !last.IsZero() && last.Before(began) {
		return last
	}
	return began
}

// Close closes what this process has not taken over.
func (p *Predecessor) Close() {
	if p == nil {
		return
	}
	if p.conn != nil {
		p.conn.Close()
	}
	p.Offer.Close()
	p.successor.Memory.Close()
	p.previous.close()
	if p.Counters != nil {
		p.Counters.Close()
	}
}
