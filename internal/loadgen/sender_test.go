package loadgen

import (
	"context"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// answer is the result of a send call: a real socket does not fail on demand.
type answer struct {
	n   int // of messages taken; -1: all
	err error
}

type scripted struct {
	answers []answer
	taken   []string
}

func (s *scripted) WriteBatch(messages []ipv4.Message, _ int) (int, error) {
	a := answer{n: -1}
	if len(s.answers) > 0 {
		a, s.answers = s.answers[0], s.answers[1:]
	}
	if a.n < 0 && a.err == nil {
		a.n = len(messages)
	}
	for _, m := range messages[:max(a.n, 0)] {
		s.taken = append(s.taken, string(m.Buffers[0]))
	}
	if a.err != nil {
		a.err = &net.OpError{Op: "write", Err: os.NewSyscallError("sendmmsg", a.err)}
	}
	return a.n, a.err
}

func newScripted(t *testing.T, c Config, answers ...answer) (*sender, *scripted) {
	t.Helper()
	conn := receiver(t, "udp4", "127.0.0.1:0")
	c.To, c.Flows, c.Run = conn.LocalAddr().String(), 1, "k"
	c.Lines = []string{"{seq}"}
	c, to, err := c.complete()
	if err != nil {
		t.Fatal(err)
	}
	text, err := newText(c)
	if err != nil {
		t.Fatal(err)
	}
	f, err := openFlow(0, to, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.conn.Close() })
	script := &scripted{answers: answers}
	f.batch = script
	s := c.senders([]*flow{f}, text)[0]
	s.stop, s.anySent = new(atomic.Bool), new(atomic.Bool)
	s.layOut()
	return s, script
}

func TestSenderAccountsForErrors(t *testing.T) {
	for _, c := range []struct {
		name    string
		answers []answer
		sent    uint64
		refused uint64
		errors  map[string]uint64
	}{
		{"all is well", nil, 20, 0, nil},
		{"short, and then the rest", []answer{{3, nil}, {1, nil}}, 20, 0, nil},
		{"interrupted", []answer{{-1, unix.EINTR}}, 20, 0, nil},
		{"refused earlier", []answer{{-1, unix.ECONNREFUSED}, {2, nil}, {-1, unix.ECONNREFUSED}}, 20, 2, nil},
		{"queue full", []answer{{2, nil}, {-1, unix.ENOBUFS}}, 19, 0, map[string]uint64{"ENOBUFS": 1}},
		{"too long", []answer{{-1, unix.EMSGSIZE}, {-1, unix.EMSGSIZE}}, 18, 0, map[string]uint64{"EMSGSIZE": 2}},
	} {
		s, script := newScripted(t, Config{Count: 20, Batch: 8}, c.answers...)
		s.run(context.Background(), time.Now())
		r := s.result
		if r.Sent != c.sent || r.Refused != c.refused || failed(r) != 20-c.sent || s.tried != 20 {
			t.Errorf("%s: %+v", c.name, r)
		}
		for kind, n := range c.errors {
			if r.Errors[kind] != n {
				t.Errorf("%s: %v", c.name, r.Errors)
			}
		}
		// Numbers have no gaps after errors.
		for i, text := range script.taken {
			if want := string(appendNumber(i)); text != want {
				t.Errorf("%s: message %d is %q", c.name, i, text)
			}
		}
	}
}

func appendNumber(i int) []byte {
	text := &text{lines: [][]piece{{{kind: 's'}}}}
	return text.append(nil, 0, uint64(i), nil)
}

// The next release sends what an error left untried.
func TestSenderKeepsItsRateOverErrors(t *testing.T) {
	s, _ := newScripted(t, Config{Rate: 10_000, Duration: 50 * time.Millisecond}, answer{-1, unix.ENOBUFS}, answer{1, nil}, answer{-1, unix.ENOBUFS})
	s.run(context.Background(), time.Now())
	if r := s.result; r.Sent+r.Missed != 498 || failed(r) != 2 { // missed: other processes had the CPU
		t.Errorf("%+v", r)
	}
}

// A run that can't send anything ends before its duration.
func TestSenderGivesUp(t *testing.T) {
	answers := make([]answer, 100_000)
	for i := range answers {
		answers[i] = answer{-1, unix.EPERM}
	}
	s, _ := newScripted(t, Config{Rate: 1000}, answers...)
	s.run(context.Background(), time.Now())
	if r := s.result; r.Sent != 0 || r.Errors["EPERM"] == 0 || r.LastError == nil {
		t.Errorf("%+v", r)
	}
}

func TestErrnos(t *testing.T) {
	wrap := func(errno unix.Errno) error {
		return &net.OpError{Op: "write", Err: os.NewSyscallError("sendmmsg", errno)}
	}
	for _, c := range []struct {
		errno                        unix.Errno
		interrupted, reported, never bool
	}{
		{unix.EINTR, true, false, false},
		{unix.ECONNREFUSED, false, true, true},
		{unix.EHOSTUNREACH, false, true, false},
		{unix.EMSGSIZE, false, true, false},
		{unix.ENOBUFS, false, false, false},
		{unix.EPERM, false, false, false},
		{unix.EINVAL, false, false, false},
	} {
		err := wrap(c.errno)
		if interrupted(err) != c.interrupted || maybeEarlier(err) != c.reported || alwaysEarlier(err) != c.never || stopped(err) || errorName(err) != unix.ErrnoName(c.errno) {
			t.Errorf("%v is misjudged", err)
		}
	}
	if !stopped(&net.OpError{Err: os.ErrDeadlineExceeded}) || errorName(os.ErrDeadlineExceeded) != "other" {
		t.Error("a deadline is misjudged")
	}
}

func TestShares(t *testing.T) {
	for _, c := range []Config{
		{Rate: 1000, Count: 1001, Threads: 3, Flows: 7},
		{Rate: 1000, Count: 1001, Threads: 3, Flows: 7, Heavy: 0.8},
		{Rate: 1000, Count: 10, Threads: 2, Flows: 2, Heavy: 1},
		{Count: 1, Threads: 4, Flows: 4},
	} {
		c.GSO, c.Batch = 1, 64
		var flows []*flow
		for i := range c.Flows {
			flows = append(flows, &flow{number: i})
		}
		var rate float64
		var count uint64
		for _, s := range c.senders(flows, &text{}) {
			rate += s.pace.rate
			count += s.count
			if s.count == 0 || c.Rate > 0 && s.pace.rate == 0 {
				t.Errorf("%+v: a sender without an end", c)
			}
		}
		if count != c.Count || rate < c.Rate-1e-6 || rate > c.Rate+1e-6 {
			t.Errorf("%+v: %v/s, %d in all", c, rate, count)
		}
	}
}
