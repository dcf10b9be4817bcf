package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/cli"
)

// signals are those that serve listens to. Each kind has a queue: what does not fit
// is dropped, and a second SIGHUP that waits would do nothing new.
type signals struct {
	stop   chan request
	reload chan os.Signal
}

// request is a signal to stop, and when this process got to it: whoever heeds it may
// be later.
type request struct {
	os.Signal
	at time.Time
}

// listenForSignals returns them, and what ends listening.
func listenForSignals() (signals, func()) {
	s := signals{stop: make(chan request, 2), reload: make(chan os.Signal, 1)}
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

// stopped is why a context has ended: by that signal.
type stopped struct{ request }

func (s stopped) Error() string { return "stopped by " + s.String() }

// Is takes it for what other ends of contexts are.
func (stopped) Is(target error) bool { return target == context.Canceled }

// untilStop returns a context that ends with the first signal to stop; a second one
// ends the process. done ends that, and puts a signal back that may have come too
// late to be heeded.
func (s signals) untilStop() (ctx context.Context, done func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	over, heard := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(heard)
		select {
		case sig := <-s.stop:
			cancel(stopped{sig})
			exitOnSecond(sig.at, s.stop, over)
		case <-over:
		}
	}()
	return ctx, func() {
		close(over)
		<-heard
		if by, ok := context.Cause(ctx).(stopped); ok {
			select {
			case s.stop <- by.request:
			default: // others wait there
			}
		}
		cancel(nil)
	}
}

// sameRequest is how soon a signal after the first is the same request:
// timeout(1) and terminals signal the child and its group, at nearly the same
// moment.
const sameRequest = 20 * time.Millisecond

// exitOnSecond ends the process at a signal that asks again, the first having come
// at that time. It returns when it is over without one.
func exitOnSecond(first time.Time, again <-chan request, over <-chan struct{}) {
	if !askedAgain(first, again, over) {
		return
	}
	go fmt.Fprintln(os.Stderr, "udpshard: error: signal while stopping: exit without draining")
	const told = 10 * time.Millisecond // by a standard error that takes it; one that is full keeps nobody
	time.Sleep(told)
	os.Exit(cli.ExitFailed)
}

// askedAgain waits for a signal that is another request than the first, or the end.
func askedAgain(first time.Time, again <-chan request, over <-chan struct{}) bool {
	for {
		select {
		case next := <-again:
			if next.at.Sub(first) > sameRequest {
				return true
			}
		case <-over:
			return false
		}
	}
}
