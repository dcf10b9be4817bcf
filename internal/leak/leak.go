// Package leak looks for what tests leave behind: descriptors, as goleak does
// for goroutines.
package leak

import (
	"net"
	"os"
	"testing"
	"time"
)

// Descriptors fails a test that ends with another number of descriptors open
// than it has now. It is called before anything else, by tests that do not run
// beside others. One that is closed while another goroutine uses it stays open
// until that one lets go of it, and is waited for.
func Descriptors(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") // the poller has descriptors too
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	before := count(t)
	t.Cleanup(func() {
		after := count(t)
		for deadline := time.Now().Add(10 * time.Second); after != before && time.Now().Before(deadline); after = count(t) {
			time.Sleep(time.Millisecond)
		}
		if after != before {
			t.Errorf("%d descriptors, and %d before", after, before)
		}
	})
}

func count(t *testing.T) int {
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}
