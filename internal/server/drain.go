package server

import (
	"context"
	"errors"
	"time"

	"github.com/rs/zerolog"

	"github.com/udpshard/udpshard/internal/cli"
)

// drain stops reading, writes what was read, and logs the final ledger.
func (s *server) drain(stop func(), signals signals, ended <-chan error) error {
	s.service.logError("stopping", s.service.unit.Stopping("draining"))
	s.loop.stats.stop()
	s.watchSecond(time.Now(), signals)
	late, cancel := context.WithTimeout(context.Background(), s.config.DrainTimeout)
	defer cancel()
	var errs []error
	kept := s.service.stores || s.succession.HasStandbys()
	errs = append(errs, s.succession.Close())
	if kept {
		defer s.leaveGroups().Stop()
	} else {
		stop()
	}
	errs = append(errs, s.awaitGroups(late, ended))
	s.closeDNS(late)
	written := s.outputs.Close(late)
	errs = append(errs, written)
	select {
	case err := <-s.outputs.Broken(): // its reader left while we drained
		errs = append(errs, err)
	default:
	}
	s.succession.StopWatching()
	s.logLedger()
	s.web.close()
	if written == nil && !s.loop.hanging { // else a write or a receive may be under way until the end of this process
		s.succession.Release() // so that a standby goes on from here, however long the exit takes
	}
	return errors.Join(errs...)
}

// leaveGroups has the groups leave, with the sockets open for the next process: a standby has
// them that could not take over so far, or systemd keeps them, if the service is started again.
// Where there is no end of what comes, that has to wait too.
func (s *server) leaveGroups() *time.Timer {
	for _, g := range s.listeners {
		g.Drain()
	}
	return time.AfterFunc(s.config.DrainTimeout/2, func() {
		for _, g := range s.listeners {
			g.Quiesce()
		}
	})
}

// logLedger logs the account of the whole run, whatever the log level.
func (s *server) logLedger() {
	for _, listener := range s.ledger.Listeners() {
		for _, r := range listener.Read() {
			event := s.log.Log().Str(zerolog.LevelFieldName, zerolog.LevelInfoValue)
			logReading(event.Str("listener", listener.Name).Int("shard", r.Shard), r).Msg("final ledger")
		}
	}
}

// awaitSuccessor waits until the process that has taken over reads, for a second at the most.
// What this process does to end would take CPUs from it: closing thousands of sockets and
// threads takes some 100 ms of them.
func (s *server) awaitSuccessor() {
	s.web.close() // the other has the socket that listens
	soon, cancel := context.WithTimeout(context.Background(), successorPatience)
	defer cancel()
	s.succession.WaitPeers(soon)
}

// successorPatience is more than the second that Serve waits for the new process: peers that do
// not read what they are told hold it up too.
const successorPatience = 1500 * time.Millisecond

// exitHandedOver ends a process whose sockets and counters another one has.
func (s *server) exitHandedOver(why string) error {
	s.loop.stats.stop()
	s.web.close() // the other has the socket that listens
	s.log.Info().Msg(why)
	if !s.handover.sameUnit {
		s.service.stopping(why)
	}
	late, cancel := context.WithTimeout(context.Background(), s.config.DrainTimeout)
	defer cancel()
	s.closeDNS(late)
	err := s.outputs.Close(late)
	s.succession.StopWatching()
	s.logLedger()
	if !s.loop.hanging { // else what a shard uses that may wake up stays open until the end of this process
		for _, g := range s.listeners {
			g.Close()
		}
	}
	err = errors.Join(err, s.succession.Close())
	s.succession.WaitPeers(late) // a standby that came just now has to be told who serves
	return err
}

// exitFenced ends a process that another one has taken for dead or stuck, once
// what it had read is written, or can't be within the drain timeout.
func (s *server) exitFenced(why error, signals signals, ended <-chan error) error {
	s.loop.secondSignal.Do(func() {
		go func() { signals.exitOnSecond((<-signals.stop).at, nil) }()
	})
	late, cancel := context.WithTimeout(context.Background(), s.config.DrainTimeout)
	defer cancel()
	err := s.awaitGroups(late, ended) // they all see it
	return errors.Join(fencedError{why}, err, s.exitHandedOver("replaced by another process"))
}

// fencedError ends the process with an exit code of its own.
type fencedError struct{ error }

func (e fencedError) Unwrap() error { return e.error }

// ExitCode is that of a process that was replaced.
func (e fencedError) ExitCode() int { return cli.ExitReplaced }

// Hint says what may have been the matter.
func (e fencedError) Hint() string {
	return "see what stopped or starved this process; --standby-after is how long a standby bears it"
}

// watchSecond makes the next signal end the process at once. It counts once.
func (s *server) watchSecond(first time.Time, signals signals) {
	s.loop.secondSignal.Do(func() { go signals.exitOnSecond(first, nil) })
}
