package main

import (
	"path/filepath"
	"testing"
	"time"
)

// The one that serves and the one that stands by are told to stop at about the
// same moment: both do, wherever they are with handing over.
func TestActiveAndStandbyStopTogether(t *testing.T) {
	dir := publicDir(t)
	args := []string{"--listen", freePort(t), "--shards", "2", "--takeover", filepath.Join(dir, "takeover.sock"), "--output", "discard"}
	const apart = 100 * time.Microsecond
	for i := range 40 {
		p := serving(t, ordinary, args...)
		next := p.startStandby(args...)
		codes := make(chan int, 2)
		go func() { codes <- p.terminate() }()
		time.AfterFunc(time.Duration(i)*apart, func() { codes <- next.terminate() })
		late := time.After(10 * time.Second)
		for range 2 {
			select {
			case code := <-codes:
				if code != 0 {
					t.Errorf("exit code %d", code)
				}
			case <-late:
				t.Fatal("SIGTERM is without effect")
			}
		}
	}
}
