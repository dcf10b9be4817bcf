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

// permanent returns the text of an error, and whether only a change of the configuration helps.
func permanent(err error) (text string, permanent bool) {
	if err == nil {
		return "", false
	}
	own := new(ship.Error)
	return err.Error(), errors.As(err, &own) && own.Permanent
}

func TestMissingStream(t *testing.T) {
	s := start(t)
	n := open(t, "nats://"+s.address+"/logs.%7Blistener%7D")
	text, forever := permanent(n.Send(t.Context(), shiptest.Numbered(0, 3)))
	const want = "no stream has the subject logs.*: make one with " +
		"\"nats stream add LOGS --subjects 'logs.*'\", or set create_stream=true"
	if text != want || !forever {
		t.Errorf("%s (%v), want %s", text, forever, want)
	}
	s.makeStream(jetstream.StreamConfig{Name: "LOGS", Subjects: []string{"logs.*"}})
	if err := n.Send(t.Context(), shiptest.Numbered(0, 3)); err != nil {
		t.Fatal(err)
	}
	if err := s.client().DeleteStream(t.Context(), "LOGS"); err != nil {
		t.Fatal(err)
	}
	b := shiptest.Numbered(3, 3)
	text, forever = permanent(n.Send(t.Context(), b))
	if !strings.Contains(text, "no stream answers") || forever {
		t.Errorf("after the stream was deleted: %s (%v)", text, forever)
	}
	if text, forever = permanent(n.Send(t.Context(), b)); text != want || !forever {
		t.Errorf("%s (%v), want %s", text, forever, want)
	}
}

func TestCreateStream(t *testing.T) {
	s := start(t)
	for name, options := range map[string][]string{"SYSLOG": nil, "MINE": {"stream", "MINE"}} {
		subject := strings.ToLower(name)
		options = append(options, "create_stream", "true")
		b := shiptest.Numbered(0, 3)
		for range 2 { // the second target finds the stream
			n := open(t, "nats://"+s.address+"/"+subject+".%7Bshard%7D", options...)
			if err := n.Send(t.Context(), b); err != nil {
				t.Fatal(err)
			}
			if b.Note != name+"=3" {
				t.Errorf("note %s, want %s=3", b.Note, name)
			}
		}
		wantNumbered(t, lines(s.content(name)), 3)
		stream, err := s.client().Stream(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		config := stream.CachedInfo().Config
		if config.Storage != jetstream.FileStorage || fmt.Sprint(config.Subjects) != "["+subject+".*]" {
			t.Errorf("storage %v, subjects %v", config.Storage, config.Subjects)
		}
	}
	n := open(t, "nats://"+s.address+"/other", "create_stream", "true", "stream", "MINE")
	text, _ := permanent(n.Send(t.Context(), shiptest.Numbered(0, 1)))
	if !strings.Contains(text, "make the stream MINE for the subject other: ") {
		t.Error(text)
	}
}

// A subject with facility and severity, whose messages two streams share.
func TestSeveralStreams(t *testing.T) {
	s := start(t)
	s.makeStream(jetstream.StreamConfig{Name: "CRIT", Subjects: []string{"logs.auth.crit"}})
	s.makeStream(jetstream.StreamConfig{Name: "INFO", Subjects: []string{"logs.auth.info", "logs.none.none"}})
	b := shiptest.Numbered(0, 3)
	b.Records[1] = []byte(strings.Replace(string(b.Records[1]), `"crit"`, `"info"`, 1))
	b.Records[2] = []byte("{}")
	n := open(t, "nats://"+s.address+"/logs.%7Bfacility%7D.%7Bseverity%7D")
	if err := n.Send(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if b.Note != "CRIT=1 INFO=2" {
		t.Errorf("note %s", b.Note)
	}
	got := append(s.content("CRIT"), s.content("INFO")...)
	for i, subject := range []string{"logs.auth.crit", "logs.auth.info", "logs.none.none"} {
		want := stored{subject, b.RecordID(i), string(b.Records[i])}
		if got[i] != want {
			t.Errorf("message %d: %v, want %v", i, got[i], want)
		}
	}
	if stored, err := n.Stored(t.Context(), b); stored != 0 || err != nil {
		t.Errorf("stored %d, %v, want none behind the note", stored, err)
	}
	b.Note = "CRIT=0"
	if stored, err := n.Stored(t.Context(), b); stored != 3 || err != nil {
		t.Errorf("stored %d, %v, want 3", stored, err)
	}
}

// A stream that is full takes no record until there is room. Nothing is lost or out of order.
func TestFullStream(t *testing.T) {
	s := start(t)
	config := jetstream.StreamConfig{Name: "LOGS", Subjects: []string{"logs"}, Discard: jetstream.DiscardNew,
		MaxMsgs: 10, Storage: jetstream.FileStorage}
	s.makeStream(config)
	n := open(t, "nats://"+s.address+"/logs")
	b := shiptest.Numbered(0, 30)
	err := n.Send(t.Context(), b)
	partial := new(ship.Error)
	if !errors.As(err, &partial) || partial.Acknowledged != 10 || partial.Permanent {
		t.Fatalf("%#v, want 10 acknowledged", err)
	}
	if want := "stream LOGS: maximum messages exceeded (error 10077)"; err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	if b.Note != "LOGS=10" {
		t.Errorf("note %s, want LOGS=10", b.Note)
	}
	config.MaxMsgs = 100
	if _, err := s.client().UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	b.First, b.Records = 10, b.Records[10:]
	if err := n.Send(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	wantNumbered(t, lines(s.content("LOGS")), 30)
}
