package loadgen

import (
	"bytes"
	"fmt"
	"io"
)

// Checker finds the tokens of a run in what receivers write, and counts the datagrams of each flow.
// A Checker is an io.Writer: a write may end anywhere, also within a token. The memory of a Checker
// is a bit for each datagram that was sent. Only one goroutine at a time may use a Checker.
type Checker struct {
	prefix []byte
	flows  []ledger
	Stream // for writes to the Checker

	// Strange are tokens of the run whose flow or number was never sent.
	Strange uint64
}

// Stream is a text in which a Checker searches, such as one of several files. Datagrams are
// reordered only within a Stream.
type Stream struct {
	c    *Checker
	rest []byte // end of the last write, perhaps with the begin of a token

	last    tag
	newLine bool     // since last
	beyond  []uint64 // 1 + the largest number so far, of each flow
}

// NewStream returns a further text to write to.
func (c *Checker) NewStream() *Stream {
	return &Stream{c: c, newLine: true, beyond: make([]uint64, len(c.flows))}
}

// ledger counts the datagrams of a flow.
type ledger struct {
	FlowReport
	seen []uint64 // a bit for each number
}

type tag struct{ flow, number uint64 }

// NewChecker returns a Checker for a run. sent is the number of datagrams of each flow, numbered
// from 0.
func NewChecker(run string, sent []uint64) *Checker {
	c := &Checker{prefix: fmt.Appendf(nil, "run=%s flow=", run), flows: make([]ledger, len(sent))}
	for i, n := range sent {
		c.flows[i].FlowReport = FlowReport{Flow: i, Sent: n}
		c.flows[i].seen = make([]uint64, (n+63)/64)
	}
	c.Stream = *c.NewStream()
	return c
}

// maxToken is the most bytes of a token behind its prefix: two numbers of 20 digits, " n=", and the
// byte behind the token.
const maxToken = 20 + 3 + 20 + 1

// Write implements io.Writer, and never fails.
func (s *Stream) Write(p []byte) (int, error) {
	n := len(p)
	if len(s.rest) > 0 {
		// Only as many bytes as a token has are copied to the end of the last write.
		head := min(len(p), len(s.c.prefix)+maxToken)
		seam := append(s.rest, p[:head]...)
		used := s.scan(seam)
		if head == len(p) {
			s.rest = append(s.rest[:0], seam[used:]...)
			return n, nil
		}
		// scan left only bytes of p, or p is longer than a token.
		p = p[max(used-(len(seam)-head), 0):]
	}
	used := s.scan(p)
	s.rest = append(s.rest[:0], p[used:]...)
	return n, nil
}

// scan counts every complete token in buf, and returns how many bytes are done with. The bytes left
// are fewer than those of a token.
func (s *Stream) scan(buf []byte) (used int) {
	for {
		i := bytes.Index(buf[used:], s.c.prefix)
		if i < 0 {
			// The prefix may begin in the last bytes.
			done := max(len(buf)-len(s.c.prefix)+1, used)
			s.skip(buf[used:done])
			return done
		}
		s.skip(buf[used : used+i])
		used += i
		t, length := parseToken(buf[used+len(s.c.prefix):])
		if length < 0 {
			return used // incomplete
		}
		if length > 0 {
			s.countToken(t)
		}
		used += len(s.c.prefix) + length
	}
}

func (s *Stream) skip(p []byte) { s.newLine = s.newLine || bytes.IndexByte(p, '\n') >= 0 }

// parseToken parses "3 n=17" and a byte behind that is no digit. length is 0 for other text, and -1
// where buf ends too soon.
func parseToken(buf []byte) (t tag, length int) {
	at := 0
	for i, number := range []*uint64{&t.flow, &t.number} {
		if i == 1 {
			const between = " n="
			have := min(len(between), len(buf)-at)
			if string(buf[at:at+have]) != between[:have] {
				return t, 0
			}
			if have < len(between) {
				return t, -1
			}
			at += have
		}
		began := at
		for ; at < len(buf) && '0' <= buf[at] && buf[at] <= '9'; at++ {
			*number = *number*10 + uint64(buf[at]-'0')
		}
		switch {
		case at-began > 19:
			return t, 0
		case at == len(buf):
			return t, -1
		case at == began:
			return t, 0
		}
	}
	return t, at
}

// countToken counts a token. The token of the same datagram again in the same line is no duplicate:
// a template may repeat the token.
func (s *Stream) countToken(t tag) {
	if t == s.last && !s.newLine {
		return
	}
	s.last, s.newLine = t, false
	if t.flow >= uint64(len(s.c.flows)) || t.number >= s.c.flows[t.flow].Sent {
		s.c.Strange++
		return
	}
	f := &s.c.flows[t.flow]
	word, bit := &f.seen[t.number/64], uint64(1)<<(t.number%64)
	switch {
	case *word&bit != 0:
		f.Doubled++
		return
	case t.number+1 < s.beyond[t.flow]:
		f.Reordered++
	}
	*word |= bit
	f.Arrived++
	s.beyond[t.flow] = max(s.beyond[t.flow], t.number+1)
}

// Flush ends the text: a token at the very end is complete. Writes after Flush are allowed.
func (s *Stream) Flush() {
	if i := bytes.LastIndex(s.rest, s.c.prefix); i >= 0 {
		if t, length := parseToken(append(bytes.Clone(s.rest[i+len(s.c.prefix):]), '\n')); length > 0 {
			s.countToken(t)
		}
	}
	s.rest = s.rest[:0]
}

// ReadFrom implements io.ReaderFrom: it reads r to the end.
func (s *Stream) ReadFrom(r io.Reader) (n int64, err error) {
	buf := make([]byte, 256<<10)
	for {
		k, err := r.Read(buf)
		s.Write(buf[:k])
		n += int64(k)
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}
