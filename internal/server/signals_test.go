package server

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A signal within repeatWindow after the first signal is no second request.
func TestWaitForRepeat(t *testing.T) {
	first := time.Now()
	for after, want := range map[time.Duration]bool{
		0: false, 5 * time.Millisecond: false, repeatWindow: false,
		25 * time.Millisecond: true, time.Second: true,
	} {
		requests, over := make(chan stopRequest), make(chan struct{})
		go func() {
			requests <- stopRequest{unix.SIGTERM, first.Add(after)}
			close(over)
		}()
		if got := waitForRepeat(first, requests, over); got != want {
			t.Errorf("after %s: %v", after, got)
		} else if got {
			<-over
		}
	}
}
