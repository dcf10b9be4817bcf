package server

import (
	"context"
	"errors"
	"time"

	"github.com/udpshard/udpshard/internal/logging"
)

// drain reads the queues to their end, writes the records, and logs the final ledger. stop ends the
// context of the groups.
func (s *server) drain(stop func()) error {
	s.service.logError("stopping", s.service.unit.Stopping("draining"))
	s.loop.stats.Ticker.Stop()
	s.watchSecond(time.Now())
	late, cancel := context.WithTimeout(context.Background(), s.config.DrainTimeout)
	defer cancel()
	shared := s.service.stores || s.succession.HasStandbys()
	errs := []error{s.succession.Close()}
	if shared {
		defer s.leaveGroups().Stop()
	} else {
		stop()
	}
	errs = append(errs, s.awaitGroups(late))
	s.closeDNS(late)
	written := s.outputs.Close(late)
	errs = append(errs, written)
	s.outputs.closeSpool(late, true)
	select {
	case err := <-s.outputs.Broken(): // the reader of a pipe left meanwhile
		errs = append(errs, err)
	default:
	}
	s.succession.StopWatching()
	logging.FinalLedger(s.log, s.ledger)
	s.web.close()
	// With an unwritten record or a hanging shard, a write or a receive may be under way until the
	// end of this process.
	if written == nil && !s.loop.hanging {
		s.succession.Release() // a standby need not wait for the exit
	}
	return errors.Join(errs...)
}

// leaveGroups lets the groups read their queues to the end, with the sockets open for the next
// process: a standby that could not take over has the sockets, or systemd stores them for a
// restart. If datagrams keep coming, the groups are quiesced after half of the drain timeout, and
// the rest waits for the next process.
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

// awaitSuccessor waits until the successor reads, for successorPatience at most. The exit of this
// process would take CPUs from the successor: closing thousands of sockets and threads takes some
// 100 ms of CPU time.
func (s *server) awaitSuccessor() {
	s.web.close()               // the successor has the listening socket
	go s.outputs.stopShipping() // the successor waits for the lock of the spool
	soon, cancel := context.WithTimeout(context.Background(), successorPatience)
	defer cancel()
	s.succession.WaitPeers(soon)
}

// successorPatience is more than the second for which Serve of package takeover waits for the new
// process: peers that do not read their messages delay Serve too.
const successorPatience = 1500 * time.Millisecond

// exitHandedOver ends a process whose sockets and counters belong to the next process.
func (s *server) exitHandedOver(why string) error {
	s.loop.stats.Ticker.Stop()
	s.web.close() // the next process has the listening socket
	s.log.Info().Msg(why)
	if !s.handover.sameUnit {
		s.service.stopping(why)
	}
	late, cancel := context.WithTimeout(context.Background(), s.config.DrainTimeout)
	defer cancel()
	s.closeDNS(late)
	s.outputs.stopShipping()
	err := s.outputs.Close(late)
	s.outputs.closeSpool(late, false)
	s.succession.StopWatching()
	logging.FinalLedger(s.log, s.ledger)
	if !s.loop.hanging { // a hanging shard may wake up, and needs its sockets
		for _, g := range s.listeners {
			g.Close()
		}
	}
	err = errors.Join(err, s.succession.Close())
	s.succession.WaitPeers(late) // a standby that has just connected gets the redirect
	return err
}
