package main

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/udpshard/udpshard/internal/history"
)

// history returns the history of the only listener.
func (p *process) history() (h history.History, l history.Listener) {
	p.t.Helper()
	body, code := p.get("/api/v1/history")
	if err := json.Unmarshal([]byte(body), &h); err != nil || code != http.StatusOK || len(h.Listeners) != 1 {
		p.t.Fatalf("got %d, %s (%v), want the history of one listener", code, body, err)
	}
	return h, h.Listeners[0]
}

// sum returns the sum of a list of the history.
func sum(list []uint64) (n uint64) {
	for _, v := range list {
		n += v
	}
	return n
}

// The datagrams of a listener and its shards are in the history. A standby has no history, and after
// a takeover the history begins anew: datagrams that a predecessor has received are not in it.
func TestHistory(t *testing.T) {
	const datagrams = 5000
	address, _, args := recordingArgs(t)
	p := startServe(t, asNobody, args...)
	newSenders(t, address, 8).send(datagrams, 0)
	near := func(n uint64) bool { return n >= datagrams*9/10 && n <= datagrams*11/10 } // a step may be longer than 1 s
	var h history.History
	var l history.Listener
	eventually(t, "the datagrams are in the history", func() bool {
		h, l = p.history()
		return near(sum(l.Received))
	})
	if l.Name != "syslog" || h.StepSeconds != 1 || time.Since(h.Now) > time.Minute || sum(l.Lost)+sum(l.Refused) > 0 || len(l.Shards) != 2 {
		t.Errorf("got %+v", h)
	}
	if n := sum(l.Shards[0].Received) + sum(l.Shards[1].Received); !near(n) {
		t.Errorf("got %d datagrams of the shards, want %d", n, datagrams)
	}

	at := freePort(t)
	standby := launch(t, asNobody, append([]string{"serve", "--standby", "--http", at, "--log-format", "json"}, args...)...)
	standby.http = at
	standby.waitForLog("standby started")
	if body, code := standby.get("/api/v1/history"); code != http.StatusOK || body != `{"step_seconds":1,"listeners":[]}`+"\n" {
		t.Errorf("got %d, %s of a standby, want an empty history", code, body)
	}
	p.wantStop()
	standby.waitUntilReady()
	eventually(t, "the new active process has a history", func() bool {
		h, l = standby.history()
		return len(l.Received) > 0
	})
	if sum(l.Received)+sum(l.Delivered)+sum(l.Bytes)+sum(l.Lost) > 0 || len(l.Received) > 60 {
		t.Errorf("got %+v, want no datagrams", l)
	}
}
