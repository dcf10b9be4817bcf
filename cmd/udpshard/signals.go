package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"
)

// signals are those that serve listens to. Each kind has a queue: what does not fit
// is dropped, and a second SIGHUP that waits would do nothing new.
type signals struct{ stop, reload chan os.Signal }

// listenForSignals returns them, and what ends listening.
func listenForSignals() (signals, func()) {
	s := signals{stop: make(chan os.Signal, 2), reload: make(chan os.Signal, 1)}
	signal.Notify(s.stop, unix.SIGTERM, unix.SIGINT)
	signal.Notify(s.reload, unix.SIGHUP)
	signal.Ignore(unix.SIGPIPE) // a broken pipe is an error of the write, told like others
	return s, func() {
		signal.Stop(s.stop)
		signal.Stop(s.reload)
	}
}

// stopped is why a context has ended: by that signal.
type stopped struct{ os.Signal }

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
			exitOnSecond(s.stop, over)
		case <-over:
		}
	}()
	return ctx, func() {
		close(over)
		<-heard
		if by, ok := context.Cause(ctx).(stopped); ok {
			select {
			case s.stop <- by.Signal:
			default: // others wait there
			}
		}
		cancel(nil)
	}
}

// exitOnSecond ends the process at the next signal. One that comes at once
// is the same request: timeout(1) and others signal the child and its group. It
// returns when it is over without one.
func exitOnSecond(again <-chan os.Signal, over <-chan struct{}) {
	const same = 100 * time.Millisecond
	for first := time.Now(); ; {
		select {
		case <-again:
		case <-over:
			return
		}
		if time.Since(first) > same {
			go fmt.Fprintln(os.Stderr, "udpshard: error: second signal: exit without draining")
			time.Sleep(same / 10) // for a standard error that takes it; one that is full keeps nobody
			os.Exit(exitFailed)
		}
	}
}
