// Package leak checks that tests close their descriptors, as goleak does for goroutines.
package leak

import (
	"net"
	"os"
	"testing"
	"time"
)

// Descriptors fails a test that ends with more or fewer open descriptors than at this call. Call
// Descriptors first in a test, and not in parallel tests. A descriptor that is closed during a read
// stays open until the read returns: Descriptors waits up to 10 s for that.
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
