package kafka

import (
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/udpshard/udpshard/internal/ship"
)

// One small record that is refused does not make all later flights small.
func TestSizeLimitRises(t *testing.T) {
	var l sizeLimit
	if l.stored(); l.bytes != batchBytes {
		t.Errorf("%d bytes after the first message", l.bytes)
	}
	for size := batchBytes; size > 1; size = l.bytes {
		l.refused(size)
	}
	flights := 0
	for ; l.bytes < batchBytes && flights < 1000; flights++ {
		l.stored()
	}
	if l.bytes != batchBytes || flights < 10*raiseAfter {
		t.Errorf("%d bytes after %d flights", l.bytes, flights)
	}
}

// A broker that refuses the time of messages refuses those of the host, not a record.
func TestInvalidTimestamp(t *testing.T) {
	target := newTarget(t, "kafka://127.0.0.1:1/logs")
	var e *ship.Error
	err := target.sendError(kerr.InvalidTimestamp)
	if isRefusal(kerr.InvalidTimestamp) || !errors.As(err, &e) || !e.Permanent {
		t.Errorf("%v", err)
	}
}
