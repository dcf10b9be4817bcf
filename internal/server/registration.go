package server

import (
	"os"
	"time"

	"github.com/udpshard/udpshard/internal/handoff"
	"github.com/udpshard/udpshard/internal/handoff/takeover"
	"github.com/udpshard/udpshard/internal/sys"
	"github.com/udpshard/udpshard/metrics"
)

// memoryOf returns the memory of a book. The book keeps ownership of the files.
func memoryOf(b *metrics.SharedCounters) handoff.Memory {
	counters, control := b.Files()
	return handoff.Memory{Counters: counters, Control: control}
}

// registration is the control memory of a predecessor, and the epoch of this process there. A standby
// that is registered there at an earlier epoch has not connected to this process yet.
type registration struct {
	control *os.File // nil: there is none
	epoch   uint64
}

func (r *registration) close() {
	if r.control != nil {
		r.control.Close()
		r.control = nil
	}
}

// peerRegistrations returns the registries of the standbys that have to connect to this process, which takes
// over at an epoch.
func (l *predecessor) peerRegistrations(epoch uint64) (all []registration) {
	for _, r := range []registration{{l.counters.Control(), epoch}, l.previous} {
		if r.control == nil {
			continue
		}
		control, err := sys.DuplicateFile(r.control, "")
		if err != nil {
			l.log.Warn().Err(err).Msg("standbys of the predecessor not counted")
			continue
		}
		all = append(all, registration{control, r.epoch})
	}
	return all
}

// replace closes last, what this standby had of the previous active process: l is the new active
// process. Until the new active process reads, this standby stays registered with the previous
// one. If the new active process dies before it reads, another standby may take over from the
// previous one, and waits for this standby.
func (l *predecessor) replace(last *predecessor) {
	if last == nil {
		return
	}
	defer last.close()
	if last.conn == nil && !last.disconnected { // of the service manager: nobody stands by
		return
	}
	if sameFile(l.counters.Control(), last.counters.Control()) { // the memory of an heir, which answers by now
		l.previous, last.previous = last.previous, registration{}
		return
	}
	epoch := last.counters.Epoch()
	control, err := takeover.Register(last.counters.Control(), epoch)
	if err != nil {
		l.log.Warn().Err(err).
			Msg("registration with the predecessor failed: another standby may not wait for this one")
		return
	}
	l.previous = registration{control, epoch}
}

func sameFile(a, b *os.File) bool {
	first, err := a.Stat()
	second, secondErr := b.Stat()
	return err == nil && secondErr == nil && os.SameFile(first, second)
}

// endPreviousRegistration ends the registration that replaces made, when the active process reads.
func (l *predecessor) endPreviousRegistration() {
	if l.previous.control == nil {
		return
	}
	for _, listener := range l.counters.Listeners() {
		for _, page := range listener.Shards {
			if page.Thread() != 0 {
				l.previous.close()
				return
			}
		}
	}
}

// waitForStandbys waits for up to meetPatience until all standbys of the predecessor have
// connected to this process. A standby that has not connected does not have the counters of this
// process: if this process dies before, datagrams that it has read are in no counter.
func (s *server) waitForStandbys() {
	defer s.closePeerStandbys()
	if s.takeover == nil {
		return
	}
	for began := time.Now(); ; time.Sleep(leasePause) {
		s.primeHeartbeats()
		missing := 0
		for _, r := range s.peerStandbys {
			n, err := takeover.CountRegistrations(r.control, r.epoch)
			if err != nil {
				s.log.Warn().Err(err).Msg("counting unanswered standbys failed")
				return
			}
			missing += n
		}
		if missing == 0 {
			return
		}
		if time.Since(began) > redialTimeout {
			s.log.Warn().Int("standbys", missing).Msg("reading began before every standby answered")
			return
		}
	}
}

func (s *server) closePeerStandbys() {
	for i := range s.peerStandbys {
		s.peerStandbys[i].close()
	}
	s.peerStandbys = nil
}

// primeHeartbeats has standbys expect of every shard without a thread that it reads soon, in
// this process or in a successor.
func (s *server) primeHeartbeats() {
	for _, g := range s.groups {
		for _, page := range g.Listener().Shards {
			if page.Thread() == 0 {
				page.Heartbeat(time.Now())
			}
		}
	}
}

// keepAlive shows standbys that this process runs while its shards have no threads. The
// function that it returns ends that.
func (s *server) keepAlive() (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(primeEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				s.primeHeartbeats()
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

// primeEvery is how often: a fifth of the least --standby-after.
const primeEvery = 10 * time.Millisecond
