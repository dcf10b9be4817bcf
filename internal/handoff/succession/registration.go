package succession

import (
	"encoding/json"
	"os"
	"time"

	"github.com/udpshard/udpshard/internal/handoff/takeover"
	"github.com/udpshard/udpshard/internal/sys"
	"github.com/udpshard/udpshard/metrics"
)

// registration is the control memory of a predecessor, and the epoch of this process in the control
// memory. A standby that is registered with an earlier epoch has not connected to this process yet.
type registration struct {
	control *os.File // nil: closed, or never registered
	epoch   uint64
}

func (r *registration) close() {
	if r.control != nil {
		r.control.Close()
		r.control = nil
	}
}

// peerRegistrations returns the registrations of the standbys that have to connect to this process.
// epoch is the epoch of this process in the control memory of p.
func (p *Predecessor) peerRegistrations(epoch uint64) (all []registration) {
	for _, r := range []registration{{p.Counters.Control(), epoch}, p.previous} {
		if r.control == nil {
			continue
		}
		control, err := sys.DuplicateFile(r.control, "")
		if err != nil {
			p.log.Warn().Err(err).Msg("standbys of the predecessor not counted")
			continue
		}
		all = append(all, registration{control, r.epoch})
	}
	return all
}

// replace closes last, the previous predecessor of this standby: p is the new active process. Until
// p reads, this standby stays registered with last. If p ends before a shard of p reads, a peer
// standby may take over from last, and waits for this standby.
func (p *Predecessor) replace(last *Predecessor) {
	if last == nil {
		return
	}
	defer last.Close()
	if !last.WasConnected() { // stored sockets: no standby is registered
		return
	}
	if sameFile(p.Counters.Control(), last.Counters.Control()) { // last had the counters of p already
		p.previous, last.previous = last.previous, registration{}
		return
	}
	epoch := last.Counters.Epoch()
	control, err := takeover.Register(last.Counters.Control(), epoch)
	if err != nil {
		p.log.Warn().Err(err).
			Str("effect", "another standby may not wait for this process").
			Msg("registration with the predecessor failed")
		return
	}
	p.previous = registration{control, epoch}
}

func sameFile(a, b *os.File) bool {
	first, err := a.Stat()
	second, secondErr := b.Stat()
	return err == nil && secondErr == nil && os.SameFile(first, second)
}

// endPreviousRegistration ends the registration of replace when the active process reads.
func (p *Predecessor) endPreviousRegistration() {
	if p.previous.control == nil {
		return
	}
	for _, listener := range p.Counters.Listeners() {
		for _, shard := range listener.Shards {
			if shard.Thread() != 0 {
				p.previous.close()
				return
			}
		}
	}
}

// WaitForStandbys waits for up to RedialTimeout until all standbys of the predecessor have
// connected to this process. Only a connected standby has the counters of this process, and can
// finalize the counts of this process after a crash.
func (s *Succession) WaitForStandbys() {
	defer s.closePeerStandbys()
	if s.path == nil {
		return
	}
	for began := time.Now(); ; time.Sleep(leasePause) {
		s.PrimeHeartbeats()
		missing := 0
		for _, r := range s.peerStandbys {
			n, err := takeover.CountRegistrations(r.control, r.epoch)
			if err != nil {
				s.log.Warn().Err(err).Msg("count of unanswered standbys failed")
				return
			}
			missing += n
		}
		if missing == 0 {
			return
		}
		if time.Since(began) > RedialTimeout {
			s.log.Warn().Int("standbys", missing).Msg("reading begun before every standby answered")
			return
		}
	}
}

func (s *Succession) closePeerStandbys() {
	for i := range s.peerStandbys {
		s.peerStandbys[i].close()
	}
	s.peerStandbys = nil
}

// PrimeHeartbeats stamps the heartbeat of every shard that has no thread, so that the stall timers
// of standbys start now.
func (s *Succession) PrimeHeartbeats() {
	for _, listener := range s.ledger.Listeners() {
		for _, shard := range listener.Shards {
			if shard.Thread() == 0 {
				shard.Heartbeat(time.Now())
			}
		}
	}
}

// primeInterval is the time between two calls of PrimeHeartbeats: a fifth of the least
// --standby-after.
const primeInterval = 10 * time.Millisecond

// KeepAlive calls PrimeHeartbeats every primeInterval, while shards have no threads, so that no
// standby takes this process for stalled. The caller ends KeepAlive by calling stop.
func (s *Succession) KeepAlive() (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(primeInterval)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				s.PrimeHeartbeats()
			case <-done:
				return
			}
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}

// listStandbys returns a function that lists the standbys of a takeover path. The PID is from the
// hello of the standby: of a process in a different PID namespace the kernel reports PID 0.
func listStandbys(path *takeover.Server) func() []metrics.StandbyStatus {
	return func() (list []metrics.StandbyStatus) {
		for _, hello := range path.Standbys() {
			var p metrics.ProcessStatus
			if json.Unmarshal(hello.Notes, &p) != nil || p.PID == 0 {
				p = metrics.ProcessStatus{PID: hello.PID} // of an older version
			}
			list = append(list, metrics.StandbyStatus{ProcessStatus: p, Version: hello.Version})
		}
		return list
	}
}
