package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/udpshard/udpshard/metrics"
)

// drain stops reading, writes what was read, and logs the final ledger.
func (s *server) drain(stop func(), again <-chan os.Signal, ended <-chan error) error {
	s.ledger.SetRole(metrics.Draining)
	s.stats.stop()
	go exitOnSecond(again)
	late, cancel := context.WithTimeout(context.Background(), s.config.drainTimeout)
	defer cancel()
	var errs []error
	if s.takeover != nil {
		errs = append(errs, s.takeover.Close())
	}
	stop()
	expired := late.Done()
	for range s.groups {
		select {
		case err := <-ended:
			errs = append(errs, err)
		case <-expired:
			s.outputs.Abort()
			errs = append(errs, <-ended)
		}
	}
	errs = append(errs, s.outputs.Close(late))
	select {
	case err := <-s.outputs.Broken(): // its reader left while we drained
		errs = append(errs, err)
	default:
	}
	s.logLedger()
	s.web.close()
	return errors.Join(errs...)
}

// logLedger logs the account of the whole run, whatever the log level.
func (s *server) logLedger() {
	for _, listener := range s.ledger.Listeners() {
		for _, r := range listener.Read() {
			logReading(s.log.Log().Str("listener", listener.Name).Int("shard", r.Shard), r).Msg("final ledger")
		}
	}
}

// leave ends a process whose successor has all that it had.
func (s *server) leave() error {
	s.stats.stop()
	s.log.Info().Msg("handed over: the successor reads on where this process stopped")
	s.logLedger()
	late, cancel := context.WithTimeout(context.Background(), s.config.drainTimeout)
	defer cancel()
	err := s.outputs.Close(late)
	for _, g := range s.groups {
		g.Close()
	}
	s.web.close()
	return errors.Join(err, s.takeover.Close())
}

// exitOnSecond ends the process at the next signal. One that comes at once
// is the same request: timeout(1) and others signal the child and its group.
func exitOnSecond(again <-chan os.Signal) {
	const same = 100 * time.Millisecond
	for first := time.Now(); ; {
		if <-again; time.Since(first) > same {
			go fmt.Fprintln(os.Stderr, "udpshard: error: second signal: exit without draining")
			time.Sleep(same / 10) // for a standard error that takes it; one that is full keeps nobody
			os.Exit(exitFailed)
		}
	}
}
