package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestSpread(t *testing.T) {
	tests := []struct {
		values []float64
		want   spread
	}{
		{[]float64{2}, spread{2, 2, 2}},
		{[]float64{3, 1, 2}, spread{2, 1, 3}},
		{[]float64{4, 1, 3, 2}, spread{2.5, 1, 4}},
	}
	for _, tt := range tests {
		if got := newSpread(tt.values); got != tt.want {
			t.Errorf("%v: got %v, want %v", tt.values, got, tt.want)
		}
	}
}

// Ratios are between measurements of the same round: a machine that was twice as slow in a round
// changes no ratio.
func TestRatios(t *testing.T) {
	if got, want := ratios([]float64{1, 2, 4}, []float64{2, 4, 8}), (spread{0.5, 0.5, 0.5}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestReported(t *testing.T) {
	tests := []struct {
		name, stdout, stderr string
		want                 uint64
		ok                   bool
	}{
		{"a counter", `{"received":7,"bytes":700,"calls":1}` + "\n", "", 7, true},
		{"nothing came", `{"received":0}`, "", 0, true},
		{"a ledger of two shards", "", `{"level":"info","message":"listening"}` + "\n" +
			`{"received":99,"message":"rates"}` + "\n" +
			`{"shard":0,"received":3,"message":"final ledger"}` + "\n" + `{"shard":1,"received":4,"message":"final ledger"}` + "\n", 7, true},
		{"no count", "", "bind: permission denied\n", 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := reported([]byte(tt.stdout), []byte(tt.stderr), "final ledger")
			if got != tt.want || (err == nil) != tt.ok {
				t.Errorf("got %d, %v", got, err)
			}
		})
	}
}

func TestReportedByTargets(t *testing.T) {
	ledgers := `{"shard":0,"received":9,"message":"final ledger"}` + "\n" +
		`{"to":"tcp://127.0.0.1:1","spooled":9,"acknowledged":5,"message":"final ledger of a target"}` + "\n"
	for ledger, want := range map[string]uint64{"final ledger": 9, "final ledger of a target": 5} {
		if got, err := reported(nil, []byte(ledgers), ledger); got != want || err != nil {
			t.Errorf("%s: got %d, %v", ledger, got, err)
		}
	}
}

// A sink counts the lines of all connections.
func TestLineSink(t *testing.T) {
	s, err := listenLines(0, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.stop()
	for range 2 {
		conn, err := net.Dial("tcp4", at(s.port()))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, "a\nb\nc"); err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
	for deadline := time.Now().Add(10 * time.Second); s.lines.Load() < 4; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d lines, want 4", s.lines.Load())
		}
	}
}

func TestTable(t *testing.T) {
	got := table([]string{"a", "b"}, [][]string{{"1", "2"}})
	if want := "| a | b |\n|---|--:|\n| 1 | 2 |\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestNumbers(t *testing.T) {
	for n, want := range map[int]string{7: "7", 1000: "1,000", 300_000: "300,000", 1_234_567: "1,234,567"} {
		if got := thousands(n); got != want {
			t.Errorf("%d: got %s", n, got)
		}
	}
	for share, want := range map[float64]string{0: "0", 0.00001: "under 0.01%", 0.2076: "20.76%"} {
		if got := percent(share); got != want {
			t.Errorf("%v: got %s", share, got)
		}
	}
}

func TestParse(t *testing.T) {
	tests := []struct {
		args string
		ok   bool
		want options
	}{
		{"", true, options{pairs: 5, seconds: 2, write: "docs/benchmarks.md"}},
		{"--quick", true, options{quick: true, pairs: 3, seconds: 1}},
		{"--quick --pairs 2 --write x", true, options{quick: true, pairs: 2, seconds: 1, write: "x"}},
		{"--only gro,idle", true, options{only: "gro,idle", pairs: 5, seconds: 2}},
		{"--only nothing", false, options{}},
		{"--pairs 0", false, options{}},
		{"floor", false, options{}},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			got, err := parse(strings.Fields(tt.args), io.Discard)
			if (err == nil) != tt.ok || tt.ok && got != tt.want {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

func TestShownNamesNothingOfThisMachine(t *testing.T) {
	l := &lab{dir: "/tmp/bench-77", options: options{syslogNG: "/opt/ng"}}
	got := l.shown([]string{"/tmp/bench-77/udpshard", "serve", "--http", "", "--output", "file:/tmp/bench-77/records.json", "/opt/ng/usr/lib"})
	if want := "udpshard serve --http '' --output file:DIR/records.json DIR/usr/lib"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// The CPU clock agrees with the schedstat of the threads, and a busy process is not quiet.
func TestProcessClock(t *testing.T) {
	cpus, err := usableCPUs()
	if err != nil {
		t.Fatal(err)
	}
	p, err := start(cpus[:1], nil, "sh", "-c", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; kill -STOP $$")
	if err != nil {
		t.Skip("needs sh: ", err)
	}
	defer p.kill()
	for stopped := false; !stopped; time.Sleep(time.Millisecond) { // a process is also quiet while other processes have the CPU
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		stopped = strings.Contains(string(stat), ") T ")
	}
	if _, err := p.waitQuiet(context.Background()); err != nil {
		t.Fatal(err)
	}
	clock, err := p.cpu()
	if err != nil {
		t.Fatal(err)
	}
	if clock < 10*time.Millisecond {
		t.Errorf("the clock says %v after 200,000 turns of a loop", clock)
	}
	if threads := schedstat(t, p.cmd.Process.Pid); math.Abs(float64(clock-threads)) > float64(time.Millisecond) {
		t.Errorf("the clock says %v, schedstat %v", clock, threads)
	}
}

func schedstat(t *testing.T, pid int) (sum time.Duration) {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(files) == 0 {
		t.Skip("needs a kernel with CONFIG_SCHED_INFO")
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		ran, _, _ := strings.Cut(string(text), " ")
		n, err := strconv.ParseInt(ran, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += time.Duration(n)
	}
	return sum
}
