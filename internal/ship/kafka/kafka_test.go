package kafka

import (
	"fmt"
	"strings"
	"testing"

	"github.com/udpshard/udpshard/internal/ship/shiptest"
)

// A batch is a message for each record, with identity and key.
func TestRecords(t *testing.T) {
	b := startBroker(t)
	target := b.open(t)
	batch := shiptest.Numbered(10, 100)
	if err := target.Send(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	if batch.Note == "" {
		t.Error("no note")
	}
	messages := b.read(t)
	if len(messages) != 100 {
		t.Fatalf("%d messages, sent 100", len(messages))
	}
	partitions := make(map[int]bool)
	for _, m := range messages {
		record, sender := number(t, m.Payload)
		partitions[m.Partition] = true
		if want := fmt.Sprintf("192.0.2.%d", sender); m.Key != want {
			t.Errorf("key %q, want %q", m.Key, want)
		}
		if id := batch.RecordID(record - 10); len(m.Headers) != 2 || m.Headers[0] != headerID || m.Headers[1] != id {
			t.Errorf("headers %q, want %s", m.Headers, id)
		}
		if m.Payload != string(batch.Records[record-10]) {
			t.Errorf("%q, sent %q", m.Payload, batch.Records[record-10])
		}
	}
	if len(partitions) < 2 {
		t.Errorf("seven senders are in partitions %v", partitions)
	}
}

// With per=batch, a batch is one message of lines.
func TestBatch(t *testing.T) {
	b := startBroker(t)
	target := b.open(t, "per", "batch")
	batch := shiptest.Numbered(10, 100)
	if err := target.Send(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	messages := b.read(t)
	if len(messages) != 1 {
		t.Fatalf("%d messages", len(messages))
	}
	m := messages[0]
	if m.Key != batch.Series || len(m.Headers) != 2 || m.Headers[1] != batch.ID() {
		t.Errorf("key %q, headers %q, want %s and %s", m.Key, m.Headers, batch.Series, batch.ID())
	}
	if lines := strings.Split(m.Payload, "\n"); len(lines) != 100 || lines[99] != string(batch.Records[99]) {
		t.Errorf("%d lines", len(lines))
	}
}

func TestSender(t *testing.T) {
	for line, want := range map[string]string{
		`{"message":"a","source":"192.0.2.1:514","shard":0}`: "192.0.2.1",
		`{"source":"[2001:db8::1]:514"}`:                     "2001:db8::1",
		`{"source":7}`:                                       "",
		`{"message":"source"}`:                               "",
		`no JSON`:                                            "",
	} {
		if got := sender([]byte(line)); string(got) != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}

// The broker is killed and started five times while records are sent: the topic has each record
// once, in order for each sender. The target is kept, or made anew after each error, as after the
// end of the process.
func TestBrokerKilled(t *testing.T) {
	for _, per := range []string{"record", "batch"} {
		for _, anew := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s-anew=%v", per, anew), func(t *testing.T) {
				b := startBroker(t)
				b.needFake(t)
				const records, size = 50_000, 500
				current, note := b.open(t, "per", per), ""
				reopen := func() *target {
					if anew {
						current.Close()
						current = b.open(t, "per", per)
					}
					return current
				}
				kill, stop := b.killer(t)
				for first := 0; first < records; first += size {
					if first%(records/5) == records/10 {
						kill <- struct{}{}
					}
					batch := shiptest.Numbered(first, size)
					batch.Note = note
					current = shipBatch(t, current, batch, reopen)
					note = batch.Note
				}
				stop()
				b.checkOnce(t, records)
			})
		}
	}
}
