package server

import (
	"bytes"
	"strings"
	"testing"

	"github.com/rs/zerolog"
)

// During a hanging read further reloads can be requested: the log says that the read hangs, and one
// more read follows.
func TestAReloadThatHangs(t *testing.T) {
	logs := new(bytes.Buffer)
	r := newReloader(zerolog.New(logs))
	defer r.slow.Stop()
	hang, calls := make(chan struct{}), 0
	read := func() loadedSettings { calls++; <-hang; return loadedSettings{requested: true} }
	if !r.begin(read) {
		t.Fatal("the first read has not begun")
	}
	if r.slow.Reset(0); !strings.Contains(logs.String(), "still reading") {
		<-r.slow.C
		r.logSlow()
	}
	if !strings.Contains(logs.String(), "reload still reading files") {
		t.Errorf("the hanging read is not in the log: %s", logs)
	}
	for range 2 {
		if r.begin(read) {
			t.Error("two reads at a time")
		}
	}
	close(hang)
	if next := <-r.done; !next.requested || !r.end() {
		t.Error("the request during the read is lost")
	}
	if !r.begin(read) {
		t.Error("the next read has not begun")
	}
	if <-r.done; r.end() || calls != 2 {
		t.Errorf("%d reads", calls)
	}
	if r.logSlow(); strings.Count(logs.String(), "reload still reading files") != 1 {
		t.Errorf("a line about a read that has ended: %s", logs)
	}
}
