package nats

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/udpshard/udpshard/internal/ship"
	"github.com/udpshard/udpshard/internal/ship/shiptest"
)

// window is the time in which the streams of these tests find duplicates by themselves.
const window = 100 * time.Millisecond

// awaitMessages waits until a stream has at least n messages, and gets no more: until its window
// for duplicates is over. The result is how many it has.
func (s *server) awaitMessages(stream string, n uint64) uint64 {
	s.t.Helper()
	js := s.client()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		info, err := js.Stream(s.t.Context(), stream)
		if err != nil {
			s.t.Fatal(err)
		}
		state := info.CachedInfo().State
		if state.Msgs >= n && time.Since(state.LastTime) > 3*window {
			return state.Msgs
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%d messages, want %d", state.Msgs, n)
		}
	}
}

// sendAndLose sends a batch whose acknowledgements are lost, and returns the error of Send when the
// stream has n messages.
func (s *server) sendAndLose(p *proxy, n *target, b *ship.Batch, messages uint64) *ship.Error {
	s.t.Helper()
	result := make(chan error)
	go func() { result <- n.Send(s.t.Context(), b) }()
	if has := s.awaitMessages("LOGS", messages); has != messages {
		s.t.Errorf("%d messages, want %d", has, messages)
	}
	p.cut()
	partial := new(ship.Error)
	if err := <-result; !errors.As(err, &partial) {
		s.t.Fatalf("%v, want a ship.Error", err)
	}
	return partial
}

// The acknowledgements of a whole batch are lost: the batch is not sent again, although the
// stream's window for duplicates is over.
func TestStoredWholeBatch(t *testing.T) {
	for _, note := range []bool{true, false} {
		for per, messages := range map[string]uint64{"record": 300, "batch": 1} {
			t.Run(fmt.Sprintf("%s,note=%v", per, note), func(t *testing.T) {
				s := start(t)
				s.makeStream(jetstream.StreamConfig{Name: "LOGS", Subjects: []string{"logs"}, Duplicates: window})
				p := startProxy(t, s.address)
				n := open(t, "nats://"+p.address+"/logs", "per", per, "in_flight", "1000")
				before := shiptest.Numbered(0, 300)
				if err := n.Send(t.Context(), before); err != nil {
					t.Fatal(err)
				}
				p.deaf.Store(true)
				b := shiptest.Numbered(300, 300)
				if note {
					b.Note = before.Note
				}
				lost := s.sendAndLose(p, n, b, 2*messages)
				if lost.Acknowledged != 0 {
					t.Errorf("%d acknowledged, want 0", lost.Acknowledged)
				}
				stored, err := n.Stored(t.Context(), b)
				if stored != 300 || err != nil {
					t.Errorf("stored %d, %v, want 300", stored, err)
				}
				next := shiptest.Numbered(600, 300)
				if stored, err := n.Stored(t.Context(), next); stored != 0 || err != nil {
					t.Errorf("stored %d, %v, want 0 of a batch that was not sent", stored, err)
				}
				if err := n.Send(t.Context(), next); err != nil {
					t.Fatal(err)
				}
				wantNumbered(t, lines(s.content("LOGS")), 900)
			})
		}
	}
}

// The connection ends in the middle of a batch: the stream has its first records.
func TestStoredPartOfBatch(t *testing.T) {
	s := start(t, "max_payload: 10000")
	s.makeStream(jetstream.StreamConfig{Name: "LOGS", Subjects: []string{"logs"}, Duplicates: window})
	p := startProxy(t, s.address)
	for i, per := range []string{"record", "batch"} {
		n := open(t, "nats://"+p.address+"/logs", "per", per, "in_flight", "1000")
		first := i * 300
		if err := n.Send(t.Context(), shiptest.Numbered(first, 1)); err != nil {
			t.Fatal(err)
		}
		before := s.awaitMessages("LOGS", 1)
		p.deaf.Store(true)
		p.requests.Store(40_000)
		b := shiptest.Numbered(first+1, 299)
		result := make(chan error)
		go func() { result <- n.Send(t.Context(), b) }()
		s.awaitMessages("LOGS", before+2)
		p.cut()
		if err := <-result; err == nil {
			t.Fatal("the batch is acknowledged")
		}
		has := len(lines(s.content("LOGS"))) - first - 1
		stored, err := n.Stored(t.Context(), b)
		if stored != has || stored < 50 || stored > 250 || err != nil {
			t.Errorf("per=%s: stored %d, %v, want %d", per, stored, err, has)
		}
		b.First, b.Records = b.First+uint64(stored), b.Records[stored:]
		if err := n.Send(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		wantNumbered(t, lines(s.content("LOGS")), first+300)
	}
}

// The stream has later records of a batch, but not the first: Send publishes what is missing.
func TestStoredWithGaps(t *testing.T) {
	for _, per := range []string{"record", "batch"} {
		s := start(t)
		s.makeStream(jetstream.StreamConfig{Name: "LOGS", Subjects: []string{"logs"}, Duplicates: window})
		b := shiptest.Numbered(0, 10)
		for id, data := range map[string]string{b.RecordID(3): "3", b.RecordID(5) + ".3": "5\n6\n7\n",
			strings.Replace(b.RecordID(0), "-1-0-", "-1-1-", 1): "other", "": "none"} {
			m := &nats.Msg{Subject: "logs", Data: []byte(data), Header: nats.Header{nats.MsgIdHdr: {id}}}
			if _, err := s.client().PublishMsg(t.Context(), m); err != nil {
				t.Fatal(err)
			}
		}
		s.awaitMessages("LOGS", 4)
		n := open(t, "nats://"+s.address+"/logs", "per", per)
		if stored, err := n.Stored(t.Context(), b); stored != 0 || err != nil {
			t.Fatalf("stored %d, %v, want 0", stored, err)
		}
		if err := n.Send(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, line := range lines(s.content("LOGS")[4:]) {
			_, after, _ := strings.Cut(line, `"record `)
			all = append(all, after[:1])
		}
		if got := strings.Join(all, ""); got != "012489" {
			t.Errorf("per=%s: sent %s, want 012489", per, got)
		}
	}
}
