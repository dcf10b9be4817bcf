package main

import (
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// comparison is a question with the answers of two servers.
type comparison struct {
	question
	first, second answer
}

// compareAnswers asks two servers all questions.
func compareAnswers(t *testing.T, first, second string) []comparison {
	t.Helper()
	asked := questions(t)
	all := make([]comparison, len(asked))
	next := make(chan int)
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			for i := range next {
				c := comparison{question: asked[i]}
				var err1, err2 error
				// A question without an answer takes both timeouts: short ones first.
				c.first, err1 = askWithRetry(first, c.question, 100*time.Millisecond, 400*time.Millisecond)
				c.second, err2 = askWithRetry(second, c.question, 100*time.Millisecond, 400*time.Millisecond)
				if c.first["reply"] != c.second["reply"] && errors.Join(err1, err2) == nil { // no answer, or a late answer?
					c.first, err1 = askWithRetry(first, c.question, 2*time.Second)
					c.second, err2 = askWithRetry(second, c.question, 2*time.Second)
				}
				if err := errors.Join(err1, err2); err != nil {
					t.Errorf("%s: %v", c.text, err)
				}
				all[i] = c
			}
		})
	}
	for i := range asked {
		next <- i
	}
	close(next)
	workers.Wait()
	return all
}

// difference is an intended difference between the answers of udpshard and Knot.
type difference struct{ aspects, why string }

// documentedDifferences returns the table in docs/dns.md, by question.
func documentedDifferences(t *testing.T) map[string]difference {
	t.Helper()
	text, err := os.ReadFile("../../docs/dns.md")
	if err != nil {
		t.Fatal(err)
	}
	_, part, found := strings.Cut(string(text), "\n## Compared with Knot\n")
	if !found {
		t.Fatal("docs/dns.md has no section Compared with Knot")
	}
	part, _, _ = strings.Cut(part, "\n## ")
	all := make(map[string]difference)
	for line := range strings.Lines(part) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if !strings.HasPrefix(line, "| `") || len(cells) != 3 {
			continue
		}
		w := difference{strings.TrimSpace(cells[1]), strings.TrimSpace(cells[2])}
		if w.why == "" {
			t.Errorf("docs/dns.md gives no reason in %q", line)
		}
		for i, span := range strings.Split(cells[0], "`") {
			if i%2 == 0 {
				continue
			}
			if _, twice := all[span]; twice {
				t.Errorf("docs/dns.md has %q twice", span)
			}
			all[span] = w
		}
	}
	return all
}

// The answers of udpshard differ from the answers of Knot exactly as docs/dns.md says.
func TestAnswersMatchKnot(t *testing.T) {
	knot := startKnot(t)
	ours := startUdpshardDNS(t)
	meant := documentedDifferences(t)
	for _, c := range compareAnswers(t, ours, knot) {
		differs := strings.Join(c.first.differences(c.second), ", ")
		want, isWanted := meant[c.text]
		delete(meant, c.text)
		switch {
		case differs == want.aspects:
		case !isWanted:
			t.Errorf("%s: undocumented difference in %s\nudpshard: %sKnot: %s", c.text, differs, c.first, c.second)
		case differs == "":
			t.Errorf("%s: got no difference, want %s as in docs/dns.md", c.text, want.aspects)
		default:
			t.Errorf("%s: got a difference in %s, want %s as in docs/dns.md\nudpshard: %sKnot: %s", c.text, differs, want.aspects, c.first, c.second)
		}
	}
	for text := range meant {
		t.Errorf("docs/dns.md: %q is not among the questions", text)
	}
}

// NSD and Knot agree on at least half of the answers: a test of the comparison. -v prints the
// differences between NSD and Knot, for a judgment of differences between udpshard and Knot.
func TestNSDAnswersMatchKnot(t *testing.T) {
	all := compareAnswers(t, startNSD(t), startKnot(t))
	equal := 0
	for _, c := range all {
		if differs := c.first.differences(c.second); len(differs) > 0 {
			t.Logf("%s: difference in %s\nNSD: %sKnot: %s", c.text, strings.Join(differs, ", "), c.first, c.second)
		} else {
			t.Logf("%s: both %s", c.text, c.first)
			equal++
		}
	}
	t.Logf("%d of %d answers are equal", equal, len(all))
	if equal < len(all)/2 {
		t.Errorf("got %d equal answers of %d, want at least half", equal, len(all))
	}
}
