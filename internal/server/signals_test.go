package server

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestWhatAsksAgain(t *testing.T) {
	first := time.Now()
	for after, want := range map[time.Duration]bool{0: false, 5 * time.Millisecond: false, repeatWindow: false, 25 * time.Millisecond: true, time.Second: true} {
		again, over := make(chan request), make(chan struct{})
		go func() {
			again <- request{unix.SIGTERM, first.Add(after)}
			close(over)
		}()
		if got := waitForRepeat(first, again, over); got != want {
			t.Errorf("after %s: %v", after, got)
		} else if got {
			<-over
		}
	}
}
