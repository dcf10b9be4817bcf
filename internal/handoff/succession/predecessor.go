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

// Predecessor is the active process, or the process that was active last: the connection, the
// sockets and the counters of that process. A nil Predecessor is valid, and means no process.
type Predecessor struct {
	Offer    takeover.Offer
	Counters *metrics.SharedCounters // nil: stored sockets without counters

	conn         *takeover.Conn // nil: never connected, or disconnected
	disconnected bool           // conn was closed, and an active process may be alive
	log          zerolog.Logger

	inheritance *metrics.Inheritance  // of Counters by this process; nil: not yet
	successor   takeover.Announcement // the process that has taken over from the predecessor
	previous    registration          // with the predecessor of the predecessor: see replace
}

// NewStored returns a predecessor for sockets that the service manager has stored, without
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

// LogFields returns the fields of log lines by which the process can be identified.
func (p *Predecessor) LogFields() ProcessFields {
	return ProcessFields{p.Offer.PID, p.Offer.Foreign}
}

// ProcessFields are the fields of log lines by which a process can be identified. A Foreign PID
// belongs to a different PID namespace, for example a different container: in the namespace of this
// process an unrelated process may have the PID.
type ProcessFields struct {
	PID     int
	Foreign bool
}

// MarshalZerologObject implements zerolog.LogObjectMarshaler.
func (f ProcessFields) MarshalZerologObject(e *zerolog.Event) {
	if f.PID != 0 { // 0: stored sockets of an ended process
		e.Int("pid", f.PID)
	}
	if f.Foreign {
		e.Str("pid_namespace", "another")
	}
}

// Inherit makes counters continue from the counters of the predecessor. Later calls change nothing.
// names maps the predecessor's names of listeners to the names in this process (see
// metrics.SharedCounters.Inherit).
func (p *Predecessor) Inherit(counters *metrics.SharedCounters, names func() map[string]string) {
	if p.Counters != nil && p.inheritance == nil {
		p.inheritance = counters.Inherit(p.Counters, names())
	}
}

// AddSurplusDrops counts the drops of a surplus socket, before this process closes the socket.
func (p *Predecessor) AddSurplusDrops(socket metrics.Socket) error {
	if p.inheritance == nil { // the predecessor has no counters
		return nil
	}
	return p.inheritance.AddSurplusDrops(socket)
}

// silentRemedy is the hint for a process that starts beside a silent active process.
const silentRemedy = "the active process is stopped or hangs: resume that process (kill -CONT PID) " +
	"or end that process (kill -KILL PID), then start this process again"

// Dial asks the process that listens at the takeover path for sockets and counters. Dial returns
// nil without an error if no process listens at the path.
func (s *Succession) Dial(ctx context.Context) (*Predecessor, error) {
	if s.Path == "" {
		return nil, nil
	}
	conn, err := takeover.Dial(ctx, s.Path)
	switch {
	case errors.Is(err, takeover.ErrNotListening):
		return nil, nil
	case errors.Is(err, takeover.ErrNoAnswer) && s.Standby: // a standby waits beside a hanging process
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

// offerError returns the error of Dial when the active process has sent no offer.
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
		return errors.New("the active process has offered no counters")
	}
	p.Counters, err = metrics.OpenSharedCounters(p.Offer.Memory.Counters, p.Offer.Memory.Control)
	p.Offer.Memory = handoff.Memory{} // OpenSharedCounters has taken the files
	if errors.As(err, new(*metrics.LayoutError)) {
		return cli.WithHint(fmt.Errorf("counters of the active process: %w", err),
			takeover.OtherVersionRemedy)
	}
	if err != nil {
		return fmt.Errorf("counters of the active process: %w", err)
	}
	p.Counters.Prefault()
	return nil
}

// AfterFailure returns the predecessor for the next attempt to start: answered, if a process has
// answered, else p without the connection. The result is nil if the sockets and counters of p are
// out of use.
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

// disconnect closes the connection. The sockets and counters stay: a standby watches the active
// process by sockets and counters until the active process answers.
func (p *Predecessor) disconnect() {
	p.inheritance = nil
	if p.conn == nil {
		return
	}
	p.successor = p.conn.Announcement()
	p.conn.Close()
	p.conn, p.disconnected = nil, true
}

// useSuccessorCounters replaces the counters of the predecessor by the counters of the process that
// has taken over from the predecessor, if the predecessor has announced that process.
func (p *Predecessor) useSuccessorCounters() {
	if p.successor.Memory.Counters == nil || !p.Counters.HandedOver() {
		return
	}
	memory := p.successor.Memory
	counters, err := metrics.OpenSharedCounters(memory.Counters, memory.Control)
	if err != nil {
		p.log.Warn().Err(err).Int("pid", p.successor.PID).
			Msg("counters of the new active process unusable")
	} else {
		p.Counters.Close()
		p.Counters, p.Offer.PID = counters, p.successor.PID
	}
	p.successor = takeover.Announcement{}
}

// hasEnded returns whether the owner of the counters has ended, which frees the lease.
func (p *Predecessor) hasEnded() bool {
	lease, err := takeover.AcquireLease(p.Counters.Control(), p.Counters.Epoch())
	if err != nil {
		return false
	}
	lease.Release()
	return true
}

// stoppedOwner returns the epoch of an earlier owner that was replaced as stalled and is alive.
func (p *Predecessor) stoppedOwner(epoch uint64) (at uint64, alive bool) {
	at, alive, err := takeover.LeaseHeldBelow(p.Counters.Control(), epoch)
	if err != nil {
		p.log.Warn().Err(err).Msg("check for live replaced processes failed")
	}
	return at, alive
}

// stoppedReading returns when a shard of a dead or stalled predecessor last read. If the counters
// do not say when, the result is began, the start of the takeover.
func (p *Predecessor) stoppedReading(began time.Time) time.Time {
	if p.Counters == nil {
		return time.Time{}
	}
	if last := p.Counters.LastReading(); !last.IsZero() && last.Before(began) {
		return last
	}
	return began
}

// Close closes all files of the predecessor that this process has not taken over.
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
