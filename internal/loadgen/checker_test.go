package loadgen

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
)

func TestChecker(t *testing.T) {
	for _, c := range []struct {
		name    string
		text    string
		want    FlowReport // of flow 1, with 4 datagrams sent
		strange uint64
	}{
		{"json", `{"message":"run=k flow=1 n=0","source":"x"}` + "\n" + `{"message":"run=k flow=1 n=1 xxxx"}` + "\n", FlowReport{Arrived: 2, Lost: 2}, 0},
		{"syslog line", "Nov 20 10:00:00 flow1 udpshard: run=k flow=1 n=3\n", FlowReport{Arrived: 1, Lost: 3}, 0},
		{"doubled", "run=k flow=1 n=0\nrun=k flow=1 n=0\nrun=k flow=1 n=1\nrun=k flow=1 n=0\n", FlowReport{Arrived: 2, Lost: 2, Doubled: 2}, 0},
		{"reordered", "run=k flow=1 n=2\nrun=k flow=1 n=0\nrun=k flow=1 n=3\nrun=k flow=1 n=1\n", FlowReport{Arrived: 4, Reordered: 2}, 0},
		{"twice in a line", `{"structured_data":"run=k flow=1 n=0","message":"run=k flow=1 n=0"}` + "\n", FlowReport{Arrived: 1, Lost: 3}, 0},
		{"no newlines", "run=k flow=1 n=0 run=k flow=1 n=1|run=k flow=1 n=2 ", FlowReport{Arrived: 3, Lost: 1}, 0},
		{"other runs", "run=kk flow=1 n=0\nrun=j flow=1 n=1\nxrun=k flow=2 n=0\n", FlowReport{Lost: 4}, 1},
		{"never sent", "run=k flow=1 n=4\nrun=k flow=7 n=0\nrun=k flow=1 n=99999999999999999999999\n", FlowReport{Lost: 4}, 2},
		{"malformed", "run=k flow= n=1\nrun=k flow=1 m=1\nrun=k flow=1 n=\nrun=k flow=1\nrun=k flow=x n=1\nrun=k flow=run=k flow=1 n=1\n", FlowReport{Arrived: 1, Lost: 3}, 0},
		{"cut at the end", "run=k flow=1 n=0\nrun=k flow=1 n=3", FlowReport{Arrived: 2, Lost: 2}, 0},
		{"cut before the number", "run=k flow=1 n=0\nrun=k flow=1 n=", FlowReport{Arrived: 1, Lost: 3}, 0},
		{"empty", "", FlowReport{Lost: 4}, 0},
	} {
		for _, whole := range []bool{true, false} {
			checker := NewChecker("k", []uint64{0, 4})
			if whole {
				checker.Write([]byte(c.text))
			} else if _, err := checker.ReadFrom(iotest.OneByteReader(strings.NewReader(c.text))); err != nil {
				t.Fatal(err)
			}
			checker.Flush()
			report := checker.Report()
			want := c.want
			want.Flow, want.Sent = 1, 4
			if report.Flows[1] != want || report.Strange != c.strange {
				t.Errorf("%s (whole %v): %+v, %d strange", c.name, whole, report.Flows[1], report.Strange)
			}
		}
	}
}

// The counts do not depend on where writes end.
func TestCheckerDoesNotCareWhereWritesEnd(t *testing.T) {
	source := rand.New(rand.NewPCG(1, 2))
	sent := []uint64{5_000, 1, 0, 300}
	var b strings.Builder
	for flow, n := range sent {
		for i := range n {
			if source.IntN(10) > 0 {
				fmt.Fprintf(&b, "%srun=abc flow=%d n=%d%s\n", strings.Repeat("run=abc ", source.IntN(3)), flow, (i*7)%n, strings.Repeat(" x", source.IntN(40)))
			}
		}
	}
	text := b.String()
	whole := NewChecker("abc", sent)
	whole.Write([]byte(text))
	whole.Flush()
	want := whole.Report()
	if want.Total.Arrived < 4_000 || want.Total.Lost < 300 {
		t.Fatalf("%+v", want.Total)
	}
	for range 20 {
		c := NewChecker("abc", sent)
		for rest := text; rest != ""; {
			n := min(1+source.IntN(200), len(rest))
			c.Write([]byte(rest[:n]))
			rest = rest[n:]
		}
		c.Flush()
		if got := c.Report(); got.Total != want.Total {
			t.Fatalf("%+v, not %+v", got.Total, want.Total)
		}
	}
}

func TestWorst(t *testing.T) {
	r := Report{Flows: []FlowReport{{Flow: 0}, {Flow: 1, Lost: 1}, {Flow: 2, Reordered: 9}, {Flow: 3, Lost: 5}, {Flow: 4, Doubled: 1}}}
	var order []int
	for _, f := range r.Worst(3) {
		order = append(order, f.Flow)
	}
	if fmt.Sprint(order) != "[3 1 4]" {
		t.Error(order)
	}
}

func FuzzChecker(f *testing.F) {
	f.Add([]byte("run=k flow=1 n=3\nrun=k flow=0 n=18446744073709551616"), 7)
	f.Fuzz(func(t *testing.T, text []byte, cut int) {
		whole, parts := NewChecker("k", []uint64{3, 70}), NewChecker("k", []uint64{3, 70})
		whole.Write(text)
		whole.Flush()
		if cut < 0 || cut > len(text) {
			cut = len(text) / 2
		}
		parts.Write(text[:cut])
		parts.Write(text[cut:])
		parts.Flush()
		if w, p := whole.Report(), parts.Report(); w.Total != p.Total || w.Strange != p.Strange {
			t.Errorf("whole %+v, in parts %+v", w, p)
		}
	})
}
