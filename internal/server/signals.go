package server

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"
)

// signals are the signals of serve, in a queue for each kind. A signal that finds a full queue is
// dropped: a third SIGTERM or a second waiting SIGHUP would change nothing.
type signals struct {
	stop   chan stopRequest
	reload chan os.Signal
	exit   func(error) // ends the process at once
}

// stopRequest is a signal to stop, with the time at which this process received the signal. The
// reader of the queue may be late.
type stopRequest struct {
	os.Signal
	at time.Time
}

// listenForSignals returns the signals, and a function that ends listening.
func listenForSignals(exit func(error)) (signals, func()) {
	s := signals{stop: make(chan stopRequest, 2), reload: make(chan os.Signal, 1), exit: exit}
	stop := make(chan os.Signal, cap(s.stop))
	signal.Notify(stop, unix.SIGTERM, unix.SIGINT)
	go func() {
		for sig := range stop {
			select {
			case s.stop <- stopRequest{sig, time.Now()}:
			default:
			}
		}
	}()
	signal.Notify(s.reload, unix.SIGHUP)
	signal.Ignore(unix.SIGPIPE) // a write to a broken pipe returns an error
	return s, func() {
		signal.Ignore(unix.SIGTERM, unix.SIGINT) // the default action would kill during the exit
		signal.Stop(stop)
		close(stop)
		signal.Stop(s.reload)
	}
}

// stopError is the cause of a context that has ended by a signal.
type stopError struct{ stopRequest }

func (s stopError) Error() string { return "stopped by " + s.String() }

// Is makes a stopError a context.Canceled.
func (stopError) Is(target error) bool { return target == context.Canceled }

// contextUntilStop returns a context that ends with the first signal to stop. A second signal ends
// the process. done ends both, and puts the first signal back into the queue: the signal may have
// come too late to have an effect.
func (s signals) contextUntilStop() (ctx context.Context, done func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case request := <-s.stop:
			cancel(stopError{request})
			s.exitOnSecond(request.at, over)
		case <-over:
		}
	}()
	return ctx, func() {
		close(over)
		<-ended
		if by, ok := context.Cause(ctx).(stopError); ok {
			select {
			case s.stop <- by.stopRequest:
			default: // the queue is full of signals to stop
			}
		}
		cancel(nil)
	}
}

// watchSecond makes the next signal end the process at once. Later calls change nothing.
func (s *server) watchSecond(first time.Time) {
	s.loop.secondSignal.Do(func() { go s.loop.signals.exitOnSecond(first, nil) })
}

// repeatWindow is the time after the first signal in which a signal is the same request: timeout(1)
// and terminals signal the child and the group of the child, at nearly the same moment.
const repeatWindow = 20 * time.Millisecond

// errSecondSignal ends a process that gets a signal while it stops.
var errSecondSignal = errors.New("signal while stopping: exit without draining")

// exitOnSecond ends the process at a second request to stop; first is the time of the first
// request. exitOnSecond returns when over is closed.
func (s signals) exitOnSecond(first time.Time, over <-chan struct{}) {
	if waitForRepeat(first, s.stop, over) {
		s.exit(errSecondSignal)
	}
}

// waitForRepeat returns true at a signal later than repeatWindow after the first, and false when
// over is closed.
func waitForRepeat(first time.Time, requests <-chan stopRequest, over <-chan struct{}) bool {
	for {
		select {
		case next := <-requests:
			if next.at.Sub(first) > repeatWindow {
				return true
			}
		case <-over:
			return false
		}
	}
}
