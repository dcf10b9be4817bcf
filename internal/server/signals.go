package server

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"
)

// signals are those that serve listens to. Each kind has a queue: what does not fit
// is dropped, and a second SIGHUP that waits would do nothing new.
type signals struct {
	stop   chan request
	reload chan os.Signal
	exit   func(error) // ends the process at once
}

// request is a signal to stop, and when this process got to it: whoever heeds it may
// be later.
type request struct {
	os.Signal
	at time.Time
}

// listenForSignals returns them, and what ends listening.
func listenForSignals(exit func(error)) (signals, func()) {
	s := signals{stop: make(chan request, 2), reload: make(chan os.Signal, 1), exit: exit}
	stop := make(chan os.Signal, cap(s.stop))
	signal.Notify(stop, unix.SIGTERM, unix.SIGINT)
	go func() {
		for sig := range stop {
			select {
			case s.stop <- request{sig, time.Now()}:
			default:
			}
		}
	}()
	signal.Notify(s.reload, unix.SIGHUP)
	signal.Ignore(unix.SIGPIPE) // a broken pipe is an error of the write, told like others
	return s, func() {
		signal.Ignore(unix.SIGTERM, unix.SIGINT) // to the very end: by their default action they would kill
		signal.Stop(stop)
		close(stop)
		signal.Stop(s.reload)
	}
}

// stopError is why a context has ended: by that signal.
type stopError struct{ request }

func (s stopError) Error() string { return "stopped by " + s.String() }

// Is takes it for what other ends of contexts are.
func (stopError) Is(target error) bool { return target == context.Canceled }

// contextUntilStop returns a context that ends with the first signal to stop; a second one
// ends the process. done ends that, and puts a signal back that may have come too
// late to be heeded.
func (s signals) contextUntilStop() (ctx context.Context, done func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	over, heard := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(heard)
		select {
		case sig := <-s.stop:
			cancel(stopError{sig})
			s.exitOnSecond(sig.at, over)
		case <-over:
		}
	}()
	return ctx, func() {
		close(over)
		<-heard
		if by, ok := context.Cause(ctx).(stopError); ok {
			select {
			case s.stop <- by.request:
			default: // others wait there
			}
		}
		cancel(nil)
	}
}

// repeatWindow is how soon a signal after the first is the same request:
// timeout(1) and terminals signal the child and its group, at nearly the same
// moment.
const repeatWindow = 20 * time.Millisecond

// errSecondSignal ends a process that is told to stop again while it stops.
var errSecondSignal = errors.New("signal while stopping: exit without draining")

// exitOnSecond ends the process at a second request to stop; first is the time of the first
// request. It returns without one when over is closed.
func (s signals) exitOnSecond(first time.Time, over <-chan struct{}) {
	if waitForRepeat(first, s.stop, over) {
		s.exit(errSecondSignal)
	}
}

// waitForRepeat waits for a signal that is another request than the first, or the end.
func waitForRepeat(first time.Time, again <-chan request, over <-chan struct{}) bool {
	for {
		select {
		case next := <-again:
			if next.at.Sub(first) > repeatWindow {
				return true
			}
		case <-over:
			return false
		}
	}
}
