package succession

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/rs/zerolog"

	"github.com/udpshard/udpshard/internal/handoff"
	"github.com/udpshard/udpshard/internal/handoff/takeover"
	"github.com/udpshard/udpshard/metrics"
)

// Settings are the settings of the takeover path and of a standby.
type Settings struct {
	Path           string            // of the takeover socket; "": no peer can take over
	PathError      func(error) error // adds the place of the setting to an error of the path
	Version        string            // of this program, for peers
	Standby        bool              // wait until the predecessor hands over, ends or stalls
	StandbyAfter   time.Duration     // a shard without heartbeat for StandbyAfter is stalled
	QuiesceTimeout time.Duration     // limit for the predecessor to stop reading
}

// Server is the listeners and outputs of this process, as a takeover needs them. The methods are
// called by the goroutine of the takeover.
type Server interface {
	// Adopt makes the groups ready to read from the sockets of the predecessor, and inherits the
	// predecessor's counters. The second call changes nothing.
	Adopt(*Predecessor) error
	// DrainSurplus reads the queues of surplus sockets: sockets of the predecessor for which this
	// process has no shard. The predecessor has stopped reading, and the predecessor's counts are
	// final.
	DrainSurplus(context.Context, *Predecessor) error
	// ReopenOutputs opens the output files again: the files may have been renamed after this
	// process opened the files.
	ReopenOutputs()
}

// Succession is the place of a process among the processes of a takeover path. All methods but
// Fenced, HasStandbys and HandOver are for one goroutine at a time.
type Succession struct {
	Settings
	server   Server
	ledger   *metrics.Ledger
	counters *metrics.SharedCounters // nil: no peer can take over
	log      zerolog.Logger

	path        *takeover.Server // listens at the takeover path; nil: not yet
	pathError   string           // the error of the path that was logged last
	peersServed chan struct{}    // closed when all peers at the path have been answered

	lease             *takeover.Lease   // of the counters of this process
	predecessorLeases []*takeover.Lease // of the counters of predecessors
	peerStandbys      []registration    // standbys that have to connect before this process reads

	stalled    *stalledPredecessor // nil: no predecessor was alive when it was replaced
	stalledPID int                 // PID of stalled; 0: not known in this PID namespace
	finished   *Finished           // nil: this process has had no predecessor
}

// New returns the Succession of a process that is not active yet.
func New(settings Settings, server Server, ledger *metrics.Ledger, log zerolog.Logger) *Succession {
	return &Succession{Settings: settings, server: server, ledger: ledger, log: log}
}

// SetCounters sets the counters of this process, and acquires the lease of the first epoch. Without
// shared counters no peer can take over.
func (s *Succession) SetCounters(counters *metrics.SharedCounters) (err error) {
	s.counters = counters
	s.lease, err = takeover.AcquireLease(counters.Control(), counters.Epoch())
	return err
}

// Counters returns the counters of this process; nil if no peer can take over.
func (s *Succession) Counters() *metrics.SharedCounters { return s.counters }

// Memory returns the memory of the counters. The files stay the property of the counters.
func (s *Succession) Memory() handoff.Memory {
	counters, control := s.counters.Files()
	return handoff.Memory{Counters: counters, Control: control}
}

// Fenced returns whether a peer has become the owner of the sockets and the counters, because this
// process seemed dead or stalled. Any goroutine may call Fenced.
func (s *Succession) Fenced() bool {
	return s.counters != nil && s.counters.Epoch() != metrics.FirstEpoch
}

// ServePeers starts to answer successors and standbys at the takeover path, until ctx ends.
func (s *Succession) ServePeers(ctx context.Context, active takeover.Active) {
	if s.path == nil {
		return
	}
	for _, e := range takeover.Exposures(s.path.Path()) {
		s.log.Warn().Str("finding", e.Finding).Str("remedy", e.Remedy).
			Msg("takeover path reachable by other users")
	}
	s.peersServed = make(chan struct{})
	s.ledger.SetStandbys(listStandbys(s.path))
	go func() {
		defer close(s.peersServed)
		err := s.path.Serve(ctx, active)
		if err != nil && ctx.Err() == nil && !errors.Is(err, net.ErrClosed) {
			s.log.Error().Err(err).Str("effect", "no other process can take over").Msg("takeover path lost")
		}
	}()
}

// HasStandbys returns whether a standby is connected to this process.
func (s *Succession) HasStandbys() bool { return s.path != nil && len(s.path.Standbys()) > 0 }

// HandOver asks the first standby to take over, and returns when the standby has taken over, or an
// error. Any goroutine may call HandOver.
func (s *Succession) HandOver(ctx context.Context) error { return s.path.HandOver(ctx) }

// Close stops listening at the takeover path.
func (s *Succession) Close() error {
	if s.path == nil {
		return nil
	}
	return s.path.Close()
}

// WaitPeers waits until all peers at the takeover path have been answered, or until ctx ends.
func (s *Succession) WaitPeers(ctx context.Context) {
	if s.path == nil {
		return
	}
	select {
	case <-s.peersServed:
	case <-ctx.Done():
	}
}

// MarkHandedOver sets the handed-over mark in the control memory of each predecessor, so that a
// standby without the memory of this process does not take the exit of this process for a crash. In
// the control memory of this process, the next process sets the mark after the takeover.
func (s *Succession) MarkHandedOver() {
	for _, lease := range s.predecessorLeases {
		control, err := lease.Control()
		if err == nil {
			err = metrics.MarkHandedOver(control)
		}
		if err != nil { // the handover goes on without the mark
			s.log.Warn().Err(err).
				Str("effect", "a standby may treat the exit of this process as a crash").
				Msg("handed-over mark failed")
		}
	}
}

// Release releases the leases: from then on this process owns no sockets and counters.
func (s *Succession) Release() {
	if s.lease != nil {
		s.lease.Release()
	}
	for _, lease := range s.predecessorLeases {
		lease.Release()
	}
}

// Discard closes the path, the leases and the registrations, in a process that was never active.
func (s *Succession) Discard() {
	s.Close()
	s.Release()
	s.closePeerStandbys()
}

// StopWatching counts as lost the datagrams that a stalled predecessor has read and not delivered.
func (s *Succession) StopWatching() { s.stalled.stopWatching() }

// Finished describes the takeover by which a process became active.
type Finished struct {
	Event   *zerolog.Event // the fields of the log line "takeover finished"
	Stopped time.Time      // when the predecessor stopped reading; zero: not known
}

// Finished returns the takeover by which this process became active; nil without a predecessor.
func (s *Succession) Finished() *Finished { return s.finished }
