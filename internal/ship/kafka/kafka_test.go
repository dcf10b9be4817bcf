package kafka

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/udpshard/udpshard/internal/ship"
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
		want := []string{headerID, batch.RecordID(record - 10)}
		if !slices.Equal(m.Headers, want) {
			t.Errorf("headers %q, want %q", m.Headers, want)
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
	lines := strings.Split(m.Payload, "\n")
	if len(lines) != 100 || lines[99] != string(batch.Records[99]) {
		t.Errorf("%d lines", len(lines))
	}
}

func TestSender(t *testing.T) {
	for line, want := range map[string]string{
		`{"message":"a","source":"192.0.2.1:514","shard":0}`: "192.0.2.1",
		`{"source":"[2001:db8::1]:514"}`:                     "2001:db8::1",
		`{"source":7}`:                                       "",
		`{"message":"source"}`:                               "",
		`{"message":"\"source\":\"192.0.2.1:514\""}`:         "",
		`no JSON`: "",
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
				k := startKiller(t, b, anew)
				for first := 0; first < records; first += size {
					if first%(records/5) == records/10 {
						k.requests <- struct{}{}
					}
					batch := shiptest.Numbered(first, size)
					batch.Note = note
					k.shipBatch(t, current, batch, reopen)
					note = batch.Note
				}
				k.stop()
				b.checkOnce(t, records)
			})
		}
	}
}

// Records with a known fate, and those of other batches, are not sent again: a new target finds
// records anywhere in a batch, by record and by batch, with and without a note.
func TestStored(t *testing.T) {
	b := startBroker(t)
	before := shiptest.Numbered(0, 50)
	if err := b.open(t).Send(t.Context(), before); err != nil {
		t.Fatal(err)
	}
	for _, part := range []struct {
		first, n int
		per      string
	}{{50, 10, "record"}, {70, 5, "batch"}, {80, 3, "record"}} {
		sent := shiptest.Numbered(part.first, part.n)
		if err := b.open(t, "per", part.per).Send(t.Context(), sent); err != nil {
			t.Fatal(err)
		}
	}
	for _, note := range []string{before.Note, "", "900,900,900", "x"} {
		again := shiptest.Numbered(50, 50)
		again.Note = note
		n, err := b.open(t).Stored(t.Context(), again)
		if err != nil || n != 10 {
			t.Errorf("note %q: %d records stored, %v, want 10", note, n, err)
		}
	}
	again := shiptest.Numbered(50, 50)
	again.Note = before.Note
	target := b.open(t)
	if _, err := target.Stored(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	again.First, again.Records = again.First+10, again.Records[10:]
	if err := target.Send(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, m := range b.read(t) {
		total += 1 + strings.Count(m.Payload, "\n")
	}
	if total != 100 {
		t.Errorf("%d records in the topic, sent 100", total)
	}
	other := shiptest.Numbered(50, 50)
	other.Series = "2-0"
	if n, err := b.open(t).Stored(t.Context(), other); n != 0 || err != nil {
		t.Errorf("%d records of another series are stored, %v", n, err)
	}
}

// A broker that hangs (SIGSTOP) ends Send at the end of its context. The messages are stored once
// when the broker goes on, also if the batch is cut anew; nothing is sent of a batch that does not
// come again.
func TestBrokerHangs(t *testing.T) {
	b := startBroker(t)
	b.needFake(t)
	target := b.open(t)
	hang := func(batch *ship.Batch) {
		t.Helper()
		shiptest.Stop(t, b.process.Process)
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		start := time.Now()
		err := target.Send(ctx, batch)
		var result *ship.Error
		if err == nil || errors.As(err, &result) || time.Since(start) > 3*time.Second {
			t.Errorf("Send: %v after %v, want a temporary error soon after 0.3 s", err, time.Since(start))
		}
		if n, err := target.Stored(t.Context(), batch); n != 0 || err != nil {
			t.Errorf("Stored: %d, %v", n, err)
		}
	}
	if err := target.Send(t.Context(), shiptest.Numbered(0, 100)); err != nil {
		t.Fatal(err)
	}
	hang(shiptest.Numbered(100, 100))
	b.process.Process.Signal(syscall.SIGCONT)
	if err := target.Send(t.Context(), shiptest.Numbered(100, 50)); err != nil {
		t.Fatal(err)
	}
	if err := target.Send(t.Context(), shiptest.Numbered(150, 50)); err != nil {
		t.Fatal(err)
	}
	b.checkOnce(t, 200)
	given := shiptest.Numbered(200, 100)
	hang(given)
	b.process.Kill()
	b.start(t)
	for i := range 3 {
		if err := target.Send(t.Context(), shiptest.Numbered(300+i, 1)); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range b.read(t) {
		if slices.Contains(m.Headers, given.RecordID(0)) {
			t.Error("a record of the batch that was given up is in the topic")
		}
	}
}

// Brokers that are away are a temporary error in bounded time, and the next Send connects.
func TestBrokersAway(t *testing.T) {
	b := startBroker(t)
	b.needFake(t)
	if err := b.open(t).Send(t.Context(), shiptest.Numbered(0, 50)); err != nil {
		t.Fatal(err)
	}
	b.process.Kill()
	target := newTarget(t, "kafka://"+shiptest.FreeTCP(t)+","+b.address+"/"+b.topic)
	batch := shiptest.Numbered(50, 50)
	start := time.Now()
	var result *ship.Error
	err := target.Send(t.Context(), batch)
	if err == nil || errors.As(err, &result) || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("%v, want a temporary error", err)
	}
	if passed := time.Since(start); passed > sendTimeout {
		t.Errorf("error after %v", passed)
	}
	b.start(t)
	if err := target.Send(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	b.checkOnce(t, 100)
}

// A broker that dies is an error of Send at once, also of a Send that waits for an acknowledgement.
func TestBrokerDies(t *testing.T) {
	b := startBroker(t)
	b.needFake(t)
	target := b.open(t)
	if err := target.Send(t.Context(), shiptest.Numbered(0, 50)); err != nil {
		t.Fatal(err)
	}
	shiptest.Stop(t, b.process.Process)
	batch, result := shiptest.Numbered(50, 50), make(chan error, 1)
	go func() { result <- target.Send(t.Context(), batch) }()
	select {
	case err := <-result:
		t.Fatalf("%v from a broker that is stopped", err)
	case <-time.After(200 * time.Millisecond): // until the messages are with the broker
	}
	b.process.Kill()
	died := time.Now()
	if err := <-result; err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("%v, want a temporary error", err)
	}
	if passed := time.Since(died); passed > 3*awayPatience {
		t.Errorf("error after %v", passed)
	}
	b.start(t)
	for deadline := time.Now().Add(30 * time.Second); ; {
		err := target.Send(t.Context(), batch)
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	b.checkOnce(t, 100)
}

// A topic that does not exist is a permanent error with the command that makes one.
func TestUnknownTopic(t *testing.T) {
	b := startBroker(t)
	target := newTarget(t, "kafka://"+b.address+"/other")
	var result *ship.Error
	err := target.Send(t.Context(), shiptest.Numbered(0, 10))
	if !errors.As(err, &result) || !result.Permanent {
		t.Errorf("%v is no permanent error", err)
	}
	want := "kafka-topics.sh --create --topic other --bootstrap-server " + b.address
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
}

// A record that is larger than the topic allows is rejected, and all other records are stored.
func TestTooLarge(t *testing.T) {
	for _, per := range []string{"record", "batch"} {
		t.Run(per, func(t *testing.T) {
			b := startBroker(t, "-max-bytes", "20000")
			target := b.open(t, "per", per)
			noise := make([]byte, 30_000) // not compressible
			rand.NewChaCha8([32]byte{}).Read(noise)
			batch := shiptest.Numbered(0, 3000)
			large := `{"message":"` + hex.EncodeToString(noise) + `","source":"192.0.2.3:514"}`
			batch.Records[1234] = []byte(large)
			var result *ship.Error
			err := target.Send(t.Context(), batch)
			if !errors.As(err, &result) || result.Err != nil || len(result.Rejected) != 1 {
				t.Fatalf("%v, want one rejected record", err)
			}
			rejected := result.Rejected[0]
			if rejected.Index != 1234 || !strings.Contains(rejected.Reason, "MESSAGE_TOO_LARGE") {
				t.Errorf("rejected %+v", rejected)
			}
			if err := target.Send(t.Context(), shiptest.Numbered(3000, 3000)); err != nil {
				t.Fatal(err)
			}
			seen := make(map[int]int)
			for _, m := range b.read(t) {
				for line := range strings.SplitSeq(m.Payload, "\n") {
					record, _ := number(t, line)
					seen[record]++
				}
			}
			if len(seen) != 5999 || seen[1234] != 0 {
				t.Errorf("%d records in the topic, want 5999", len(seen))
			}
		})
	}
}
