package packet_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/udpshard/udpshard/packet"
	"github.com/udpshard/udpshard/packet/record"
)

// lines is a Sink that keeps every record.
type lines struct{ all []byte }

func (l *lines) Buffer() []byte    { return l.all }
func (l *lines) Commit(buf []byte) { l.all = buf }
func (l *lines) Flush()            {}

var source = netip.MustParseAddrPort("192.0.2.1:514")

func batchOf(sink packet.Sink, payloads ...string) *packet.Batch {
	b := packet.NewBatch(len(payloads), 16, sink)
	b.Reset(time.Date(2026, 11, 20, 10, 0, 0, 123456789, time.UTC))
	for _, p := range payloads {
		b.Datagrams = append(b.Datagrams, packet.Datagram{Payload: []byte(p), Source: source})
	}
	return b
}

func ExampleNewRaw() {
	sink := new(lines)
	packet.NewRaw("telemetry", 3).Handle(batchOf(sink, "temperature=21.5"))
	fmt.Printf("%s", sink.all)
	// Output:
	// {"message":"temperature=21.5","received_at":"2026-11-20T10:00:00.123456Z","source":"192.0.2.1:514","listener":"telemetry","shard":3}
}

func ExampleOriginal() {
	sink := new(lines)
	packet.Original{}.Handle(batchOf(sink, "<13>link up\n"))
	fmt.Printf("%s", sink.all)
	// Output:
	// <13>link up#012
}

// A handler can be tried without a socket.
func ExampleBatch() {
	b := packet.NewBatch(2, 0, nil)
	b.Datagrams = append(b.Datagrams, packet.Datagram{Payload: []byte("ping")}, packet.Datagram{Payload: []byte("?")})
	packet.HandlerFunc(func(b *packet.Batch) {
		for i, d := range b.Datagrams {
			if string(d.Payload) == "ping" {
				b.Reply(i, []byte("pong"))
			} else {
				b.Malformed()
			}
		}
	}).Handle(b)
	fmt.Printf("%s to datagram %d, %d malformed\n", b.Replies[0].Payload, b.Replies[0].Index, b.Tally().Malformed)
	// Output:
	// pong to datagram 0, 1 malformed
}

func TestRawRecordsAreWhatCame(t *testing.T) {
	payloads := []string{"", "plain", "line\n", "nul\x00", "quote\"\\", "\xff\xfe", "ok é \u2028", "cut \xc3", strings.Repeat("x", 5000)}
	sink := new(lines)
	b := batchOf(sink, payloads...)
	b.Datagrams[1].Truncated = true
	packet.NewRaw("r", 0).Handle(b)
	if got := b.Tally(); got.Recorded != len(payloads) || got.Unparsed != 0 {
		t.Errorf("tally %+v", got)
	}
	records := bytes.Split(bytes.TrimSuffix(sink.all, []byte("\n")), []byte("\n"))
	if len(records) != len(payloads) {
		t.Fatalf("%d records of %d datagrams", len(records), len(payloads))
	}
	for i, line := range records {
		var record struct {
			Message   *string
			Base64    *string `json:"message_base64"`
			Format    *string
			Truncated bool
		}
		if err := json.Unmarshal(line, &record); err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		var got string
		switch {
		case record.Message != nil && record.Base64 == nil:
			got = *record.Message
		case record.Base64 != nil && record.Message == nil:
			decoded, err := base64.StdEncoding.DecodeString(*record.Base64)
			if err != nil {
				t.Error(err)
			}
			got = string(decoded)
		case payloads[i] != "":
			t.Errorf("%s has not one message", line)
		}
		if got != payloads[i] || record.Format != nil || record.Truncated != (i == 1) {
			t.Errorf("%q became %s", payloads[i], line)
		}
	}
}

func TestOriginalRecordsAreWhatCame(t *testing.T) {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	payloads := []string{"", "plain", "lines\n\r\n\n", "\x00\x00", "#012", string(every), "", strings.Repeat("\xff\x00", 4096)}
	sink := new(lines)
	b := batchOf(sink, payloads...)
	packet.Original{}.Handle(b)
	if got := b.Tally(); got != (packet.Tally{Recorded: len(payloads)}) {
		t.Errorf("tally %+v", got)
	}
	records := bytes.Split(bytes.TrimSuffix(sink.all, []byte("\n")), []byte("\n"))
	if len(records) != len(payloads) {
		t.Fatalf("%d records of %d datagrams", len(records), len(payloads))
	}
	for i, line := range records {
		if got := string(record.Unescape(line)); got != payloads[i] {
			t.Errorf("%q came back as %q", payloads[i], got)
		}
	}
}

func TestResetForgetsEverything(t *testing.T) {
	b := batchOf(nil, "a", "b")
	packet.Echo{}.Handle(b)
	b.Commit(append(b.Record(), "x\n"...))
	b.Unparsed()
	b.MalformedHeader()
	b.Malformed()
	if len(b.Replies) != 2 || string(b.Replies[1].Payload) != "b" || b.Tally() != (packet.Tally{Recorded: 1, Malformed: 1, Unparsed: 1, MalformedHeader: 1}) {
		t.Errorf("%d replies, %+v", len(b.Replies), b.Tally())
	}
	now := time.Now()
	b.Reset(now)
	if len(b.Replies)+len(b.Datagrams) != 0 || b.Tally() != (packet.Tally{}) || b.ReceivedAt != now {
		t.Errorf("%+v", b)
	}
}

// A reply cannot grow into the next reply's buffer.
func TestReplyBuffersAreApart(t *testing.T) {
	b := batchOf(nil, "a", "b")
	first, second := b.ReplyBuffer(0), append(b.ReplyBuffer(1), "second"...)
	if len(first) != 0 || cap(first) != 16 || cap(second) != 16 {
		t.Errorf("%d of %d bytes, and %d", len(first), cap(first), cap(second))
	}
	_ = append(first, "one that is longer than its buffer"...)
	if string(second) != "second" {
		t.Errorf("%q", second)
	}
}

func TestHandlersDoNotAllocate(t *testing.T) {
	b := batchOf(nil, "a", "b\xff", strings.Repeat("c", 1000))
	datagrams := append([]packet.Datagram(nil), b.Datagrams...)
	for name, h := range map[string]packet.Handler{"echo": packet.Echo{}, "discard": packet.Discard{}, "original": packet.Original{}, "raw": packet.NewRaw("r", 0)} {
		if n := testing.AllocsPerRun(100, func() {
			b.Reset(b.ReceivedAt)
			b.Datagrams = append(b.Datagrams, datagrams...)
			h.Handle(b)
		}); n != 0 {
			t.Errorf("%s: %v allocations a batch", name, n)
		}
	}
}
