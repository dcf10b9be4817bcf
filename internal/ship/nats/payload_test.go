package nats

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/udpshard/udpshard/internal/ship"
	"github.com/udpshard/udpshard/internal/ship/shiptest"
)

// Records that are larger than the server or the stream accepts are rejected, and all others are
// acknowledged. The largest that fits is not rejected.
func TestLargeRecords(t *testing.T) {
	for _, c := range []struct {
		per, config string
		stream      int32
	}{{"record", "max_payload: 2000", -1}, {"batch", "max_payload: 2000", -1},
		{"record", "", 2000}, {"batch", "", 2000}} {
		s := start(t, c.config)
		s.makeStream(jetstream.StreamConfig{Name: "LOGS", Subjects: []string{"logs"}, MaxMsgSize: c.stream})
		n := open(t, "nats://"+s.address+"/logs", "per", c.per)
		b := shiptest.Numbered(0, 20)
		largest := 2000 - headerSize(b.RecordID(6))
		if c.per == "batch" {
			largest -= len(".20\n")
		}
		b.Records[5] = []byte(strings.Repeat("x", 2001))
		b.Records[6] = []byte(strings.Repeat("y", largest))
		b.Records[19] = []byte(strings.Repeat("z", 5000))
		err := n.Send(t.Context(), b)
		partial := new(ship.Error)
		if !errors.As(err, &partial) || partial.Err != nil || len(partial.Rejected) != 2 ||
			partial.Rejected[0].Index != 5 || partial.Rejected[1].Index != 19 {
			t.Fatalf("%+v: %#v, want records 5 and 19 rejected", c, err)
		}
		if reason := partial.Rejected[0].Reason; !strings.Contains(reason, "at most 2000 are accepted") {
			t.Errorf("reason: %s", reason)
		}
		all := lines(s.content("LOGS"))
		for i, r := range b.Records {
			if i == 5 || i == 19 {
				continue
			}
			if len(all) == 0 || all[0] != string(r) {
				t.Fatalf("%+v: record %d is not the next", c, i)
			}
			all = all[1:]
		}
		if len(all) > 0 {
			t.Errorf("%+v: %d lines more", c, len(all))
		}
	}
}

// The limit of the stream becomes lower while the connection is up.
func TestLowerLimit(t *testing.T) {
	s := start(t)
	config := jetstream.StreamConfig{Name: "LOGS", Subjects: []string{"logs"}, Storage: jetstream.FileStorage}
	s.makeStream(config)
	config.MaxMsgSize = 1000
	for i, per := range []string{"record", "batch"} {
		n := open(t, "nats://"+s.address+"/logs", "per", per)
		if err := n.Send(t.Context(), shiptest.Numbered(20*i, 10)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.client().UpdateStream(t.Context(), config); err != nil {
			t.Fatal(err)
		}
		b := shiptest.Numbered(20*i+10, 10)
		sender := &sender{target: n}
		b.Records = append(b.Records, []byte(strings.Repeat("x", 1001)))
		rejected, err := sender.send(t.Context(), b)
		if err != nil || len(rejected) != 1 || rejected[0].Index != 20*i+20 {
			t.Errorf("per=%s: rejected %v, %v, want record 10", per, rejected, err)
		}
		wantNumbered(t, lines(s.content("LOGS")), 20*i+20)
		config.MaxMsgSize = -1
		if _, err := s.client().UpdateStream(t.Context(), config); err != nil {
			t.Fatal(err)
		}
		config.MaxMsgSize = 1000
	}
}

// A batch becomes as few messages as fit, and the same messages again. The messages are of the
// records that their identities name.
func TestSplitBatch(t *testing.T) {
	s := start(t, "max_payload: 10000")
	s.makeStream(jetstream.StreamConfig{Name: "LOGS", Subjects: []string{"logs"}})
	b := shiptest.Numbered(7, 100)
	for range 2 {
		n := open(t, "nats://"+s.address+"/logs", "per", "batch")
		if err := n.Send(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	messages := s.content("LOGS")
	if least := (b.Size() + 100) / 10000; len(messages) < least || len(messages) > least+1 {
		t.Errorf("%d messages, want %d or one more", len(messages), least)
	}
	i := 0
	for _, m := range messages {
		records := strings.Split(strings.TrimSuffix(m.data, "\n"), "\n")
		if id := fmt.Sprintf("%s.%d", b.RecordID(i), len(records)); m.id != id {
			t.Errorf("identity %s, want %s", m.id, id)
		}
		for _, r := range records {
			if r != string(b.Records[i]) {
				t.Fatalf("record %d is %s", i, r)
			}
			i++
		}
	}
	whole := shiptest.Numbered(500, 5)
	n := open(t, "nats://"+s.address+"/logs", "per", "batch")
	if err := n.Send(t.Context(), whole); err != nil {
		t.Fatal(err)
	}
	all := s.content("LOGS")
	if last := all[len(all)-1]; last.id != whole.ID() || !strings.HasSuffix(last.data, "}\n") {
		t.Errorf("identity %s, want %s", last.id, whole.ID())
	}
}
