package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
)

// safeBuffer is a buffer that a process writes to while a test reads.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.b.Reset()
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// hasLogged reports whether the standard error of p has text by now. Log lines come through a pipe,
// later than the logged event: see waitForLog.
func (p *process) hasLogged(text string) bool { return strings.Contains(p.logs.String(), text) }

// waitForLog waits until the standard error of p has all texts.
func (p *process) waitForLog(texts ...string) {
	p.t.Helper()
	for _, text := range texts {
		eventually(p.t, fmt.Sprintf("the log has %q", text), func() bool { return p.hasLogged(text) })
	}
}

// logLines returns the fields of all log lines with a message, oldest first.
func (p *process) logLines(message string) (found []map[string]any) {
	for line := range strings.Lines(p.logs.String()) {
		var fields map[string]any
		if json.Unmarshal([]byte(line), &fields) == nil && fields["message"] == message {
			found = append(found, fields)
		}
	}
	return found
}

// finalLedger returns the sums of the log lines "final ledger".
func (p *process) finalLedger() (received, delivered, kernel, lost uint64) {
	for line := range strings.Lines(p.logs.String()) {
		var fields struct {
			Message             string
			Received, Delivered uint64
			Kernel              uint64 `json:"dropped_kernel"`
			Output              uint64 `json:"dropped_output"`
			InFlight            uint64 `json:"in_flight"`
			NotAllowed          uint64 `json:"dropped_not_allowed"`
		}
		if json.Unmarshal([]byte(line), &fields) == nil && fields.Message == "final ledger" {
			received += fields.Received
			delivered += fields.Delivered
			kernel += fields.Kernel
			lost += fields.Output + fields.InFlight + fields.NotAllowed
		}
	}
	return
}

func (p *process) hasTakenOver() bool { return p.hasLogged(`"message":"takeover finished`) }

// waitForTakeover waits until p has logged the end of its takeover.
func (p *process) waitForTakeover() {
	p.t.Helper()
	p.waitForLog(`"message":"takeover finished`)
}

// takeoverGap returns for how many milliseconds no process read: gap_ms of "takeover finished".
func (p *process) takeoverGap() float64 {
	p.t.Helper()
	p.waitForTakeover()
	lines := p.logLines("takeover finished")
	gap, ok := lines[len(lines)-1]["gap_ms"].(float64)
	if !ok {
		p.t.Fatalf("no gap_ms in %v", lines)
	}
	return gap
}
