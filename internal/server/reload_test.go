package server

import (
	"bytes"
	"strings"
	"testing"

	"github.com/rs/zerolog"
)

// A read that hangs keeps nobody from asking again: outputs are opened anew (hangUp does
// so before begin), the log says that it hangs, and the last reload comes after it.
func TestAReloadThatHangs(t *testing.T) {
	logs := new(bytes.Buffer)
	r := newReloader(zerolog.New(logs))
	defer r.slow.Stop()
	hang, calls := make(chan struct{}), 0
	read := func() loadedSettings { calls++; <-hang; return loadedSettings{asked: true} }
	if !r.begin(read) {
		t.Fatal("nothing is read")
	}
	if r.slow.Reset(0); !strings.Contains(logs.String(), "still reading") {
		<-r.slow.C
		r.logSlow()
	}
	if !strings.Contains(logs.String(), "reload still reading files") {
		t.Errorf("it says nothing: %s", logs)
	}
	for range 2 {
		if r.begin(read) {
			t.Error("two read at a time")
		}
	}
	close(hang)
	if next := <-r.done; !next.asked || !r.end() {
		t.Error("another one was asked for")
	}
	if !r.begin(read) {
		t.Error("the next one can't begin")
	}
	if <-r.done; r.end() || calls != 2 {
		t.Errorf("%d reads", calls)
	}
	if r.logSlow(); strings.Count(logs.String(), "reload still reading files") != 1 {
		t.Errorf("it speaks of one that has ended: %s", logs)
	}
}
