package server

import (
	"errors"
	"testing"
	"time"

	"github.com/udpshard/udpshard/internal/config"
	"github.com/udpshard/udpshard/internal/handoff/succession"
)

// A successor that has waited for most of a second until the one that served was gone tries
// again for as long as one whose first attempt fails at once.
func TestAFirstAttemptThatTookLong(t *testing.T) {
	c := startup{config: &config.Config{}}
	retry := succession.Retry(errors.New("somebody was faster"))
	if _, err := c.chooseRetry(new(server), time.Now().Add(-retryPatience+10*time.Millisecond), retry); err != nil {
		t.Fatal(err)
	}
	if since := time.Since(c.failingSince); since > retryPatience/2 {
		t.Errorf("it counts as failing since %s before its first attempt had failed", since)
	}
	c.failingSince = time.Now().Add(-2 * retryPatience)
	if _, err := c.chooseRetry(new(server), time.Now(), retry); !errors.Is(err, retry) {
		t.Errorf("it goes on for ever: %v", err)
	}
}
