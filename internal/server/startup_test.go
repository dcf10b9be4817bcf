package server

import (
	"errors"
	"testing"
	"time"

	"github.com/udpshard/udpshard/internal/config"
	"github.com/udpshard/udpshard/internal/handoff/succession"
)

// retryPatience begins at the end of the first attempt: the attempt may have waited for most of a
// second for the end of an active process.
func TestAFirstAttemptThatTookLong(t *testing.T) {
	c := startup{config: &config.Config{}}
	retry := succession.Retry(errors.New("another process was faster"))
	began := time.Now().Add(-retryPatience + 10*time.Millisecond)
	if _, err := c.chooseRetry(new(server), began, retry); err != nil {
		t.Fatal(err)
	}
	if since := time.Since(c.failingSince); since > retryPatience/2 {
		t.Errorf("failingSince is %s before the end of the first attempt", since)
	}
	c.failingSince = time.Now().Add(-2 * retryPatience)
	if _, err := c.chooseRetry(new(server), time.Now(), retry); !errors.Is(err, retry) {
		t.Errorf("attempts go on after retryPatience: %v", err)
	}
}
