package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// says reports whether it has said that by now. What it says comes by a pipe, and
// so after what it does: see wantSaid.
func (p *process) hasLogged(text string) bool { return strings.Contains(p.logs.String(), text) }

// wantSaid waits until it has said all that.
func (p *process) waitForLog(texts ...string) {
	p.t.Helper()
	for _, text := range texts {
		eventually(p.t, fmt.Sprintf("it has said %q", text), func() bool { return p.hasLogged(text) })
	}
}

// logged returns the log lines with a message, as objects.
func (p *process) logged(message string) (found []map[string]any) {
	for line := range strings.Lines(p.logs.String()) {
		var fields map[string]any
		if json.Unmarshal([]byte(line), &fields) == nil && fields["message"] == message {
			found = append(found, fields)
		}
	}
	return found
}

// logLines returns what is logged with a message, oldest first.
func logLines(t *testing.T, logs, message string) (found []map[string]any) {
	t.Helper()
	for line := range strings.Lines(logs) {
		var fields map[string]any
		if json.Unmarshal([]byte(line), &fields) == nil && fields["message"] == message {
			found = append(found, fields)
		}
	}
	return found
}

// finalLedger adds up the shards' last log lines.
func (p *process) finalLedger() (received, delivered, kernel, lost uint64) {
	scanner := bufio.NewScanner(bytes.NewBufferString(p.logs.String()))
	for scanner.Scan() {
		var line struct {
			Message             string
			Received, Delivered uint64
			Kernel              uint64 `json:"dropped_kernel"`
			Output              uint64 `json:"dropped_output"`
			InFlight            uint64 `json:"in_flight"`
			NotAllowed          uint64 `json:"dropped_not_allowed"`
		}
		if json.Unmarshal(scanner.Bytes(), &line) == nil && line.Message == "final ledger" {
			received += line.Received
			delivered += line.Delivered
			kernel += line.Kernel
			lost += line.Output + line.InFlight + line.NotAllowed
		}
	}
	return
}

// gap returns what the log line on its takeover says of the time in which nobody read, in
// milliseconds.
func (p *process) takeoverGap() (ms float64) {
	p.t.Helper()
	found := false
	eventually(p.t, "it has said how long nobody read", func() bool {
		for text := range strings.Lines(p.logs.String()) {
			var line struct {
				Message string
				Gap     *float64 `json:"gap_ms"`
			}
			if json.Unmarshal([]byte(text), &line) == nil && strings.HasPrefix(line.Message, "takeover finished") {
				if found = line.Gap != nil; !found {
					p.t.Fatalf("no gap_ms: %s", text)
				}
				ms = *line.Gap
			}
		}
		return found
	})
	return ms
}
