package main

import (
	"context"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func TestQueried(t *testing.T) {
	statistics := func(codes string) string {
		return `DNS Performance Testing Tool
Version 2.10.0

[Status] Testing complete (time limit)

Statistics:

  Queries sent:         60000
  Queries completed:    59990 (99.98%)
  Queries lost:         10 (0.02%)

  Response codes:       ` + codes + `
  Average packet size:  request 48, response 64
  Run time (s):         2.000000
  Queries per second:   29995.000000
`
	}
	tests := []struct {
		name, text string
		ok         bool
	}{
		{"as it should be", statistics("NOERROR 50990 (85.00%), NXDOMAIN 9000 (15.00%)"), true},
		{"some are refused", statistics("NOERROR 50990 (85.00%), REFUSED 9000 (15.00%)"), false},
		{"nothing came", "Queries sent: 7\nQueries completed: 0\nRun time (s): 1.0\n", false},
		{"no statistics", "Error: unable to open input file", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sent, answered, rate, err := queried(tt.text)
			if (err == nil) != tt.ok {
				t.Fatal(err)
			}
			if tt.ok && (sent != 60_000 || answered != 59_990 || rate != 30_000) {
				t.Errorf("got %d, %d, %g", sent, answered, rate)
			}
		})
	}
}

func TestDNSZone(t *testing.T) {
	zone, queries := dnsZone(rand.New(rand.NewPCG(1, 2)))
	zone2, queries2 := dnsZone(rand.New(rand.NewPCG(1, 2)))
	if zone != zone2 || queries != queries2 {
		t.Error("not the same again")
	}
	if n := strings.Count(queries, "\n"); n != dnsQueries {
		t.Errorf("%d queries", n)
	}
	for kind, want := range map[string]int{"\nhost": 70, ".wild.": 15, "\nmissing-": 15} {
		if percent := 100 * strings.Count("\n"+queries, kind) / dnsQueries; percent < want-1 || percent > want+1 {
			t.Errorf("%q: %d%%, want %d%%", kind, percent, want)
		}
	}
}

// The CPU time of a child counts from its adoption on.
func TestProcessClockCountsChildren(t *testing.T) {
	cpus, err := usableCPUs()
	if err != nil {
		t.Fatal(err)
	}
	// The child ends by itself, and does not outlive its parent.
	p, err := start(cpus[:1], nil, "sh", "-c", "(i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; sleep 30; :) & wait")
	if err != nil {
		t.Skip("needs sh: ", err)
	}
	defer p.kill()
	// A process is also quiet while other processes have the CPU: the loop ends once the process
	// sleeps.
	for deadline := time.Now().Add(20 * time.Second); len(p.children) < 2; time.Sleep(time.Millisecond) {
		if err := p.adopt(); err != nil {
			t.Skip("needs a kernel with CONFIG_PROC_CHILDREN: ", err)
		}
		if time.Now().After(deadline) {
			t.Fatalf("it has %d children", len(p.children))
		}
	}
	if _, err := p.waitQuiet(context.Background()); err != nil {
		t.Fatal(err)
	}
	all, err := p.cpu()
	if err != nil {
		t.Fatal(err)
	}
	p.children = nil
	own, err := p.cpu()
	if err != nil {
		t.Fatal(err)
	}
	if all-own < 10*time.Millisecond {
		t.Errorf("%v without the child, %v with it, after 200,000 turns of a loop", own, all)
	}
}
