package nats

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/udpshard/udpshard/internal/ship"
	"github.com/udpshard/udpshard/internal/ship/shiptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is nats-server with JetStream, whose files outlive the process.
type server struct {
	t       testing.TB
	program string
	address string
	config  string // file
	process *shiptest.Process
}

// start starts a server with additional lines of the configuration.
func start(t testing.TB, lines ...string) *server {
	t.Helper()
	folder := t.TempDir()
	s := &server{t: t, program: shiptest.Build(t, "github.com/nats-io/nats-server/v2"),
		address: shiptest.FreeTCP(t), config: filepath.Join(folder, "server.conf")}
	lines = append(lines, "listen: "+s.address, "jetstream { store_dir: '"+folder+"' }")
	if err := os.WriteFile(s.config, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	s.run()
	return s
}

func (s *server) run() {
	s.t.Helper()
	s.process = shiptest.Start(s.t, s.program, "-c", s.config)
	s.process.AwaitTCP(s.t, s.address)
}

// client returns JetStream for the test's own questions.
func (s *server) client(options ...nats.Option) jetstream.JetStream {
	s.t.Helper()
	nc, err := nats.Connect("nats://"+s.address, options...)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		s.t.Fatal(err)
	}
	return js
}

// makeStream makes a stream with files.
func (s *server) makeStream(config jetstream.StreamConfig, options ...nats.Option) {
	s.t.Helper()
	config.Storage = jetstream.FileStorage
	if _, err := s.client(options...).CreateStream(s.t.Context(), config); err != nil {
		s.t.Fatal(err)
	}
}

// stored is a message of a stream.
type stored struct{ subject, id, data string }

// content returns the messages of a stream.
func (s *server) content(stream string, options ...nats.Option) (messages []stored) {
	s.t.Helper()
	js := s.client(options...)
	consumer, err := js.OrderedConsumer(s.t.Context(), stream, jetstream.OrderedConsumerConfig{})
	if err != nil {
		s.t.Fatal(err)
	}
	info, err := js.Stream(s.t.Context(), stream)
	if err != nil {
		s.t.Fatal(err)
	}
	all, err := consumer.Messages()
	if err != nil {
		s.t.Fatal(err)
	}
	defer all.Stop()
	for range info.CachedInfo().State.Msgs {
		m, err := all.Next(jetstream.NextMaxWait(20 * time.Second))
		if err != nil {
			s.t.Fatal(err)
		}
		messages = append(messages, stored{m.Subject(), m.Headers().Get(nats.MsgIdHdr), string(m.Data())})
	}
	return messages
}

// lines returns the lines of messages.
func lines(messages []stored) (all []string) {
	for _, m := range messages {
		for line := range strings.Lines(m.data) {
			all = append(all, strings.TrimSuffix(line, "\n"))
		}
	}
	return all
}

// wantNumbered fails the test if the lines are not the records 0 to n-1 of shiptest.Numbered.
func wantNumbered(t *testing.T, all []string, n int) {
	t.Helper()
	for i := range min(n, len(all)) {
		if !strings.Contains(all[i], fmt.Sprintf(`"record %d"`, i)) {
			t.Fatalf("line %d of %d is %s", i, len(all), all[i])
		}
	}
	if len(all) != n {
		t.Fatalf("%d lines, want %d", len(all), n)
	}
}

// open returns a target, which the end of the test closes.
func open(t testing.TB, url string, options ...string) *target {
	t.Helper()
	n, err := New(shiptest.Settings(t, url, options...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n.(*target)
}

// sender sends batches as the shipper does: what is not acknowledged is sent again, after the
// target was asked for it.
type sender struct {
	target *target
	note   string
	errors map[string]int // temporary errors
}

// send brings a batch to the target, and returns the rejected records.
func (s *sender) send(ctx context.Context, b *ship.Batch) (rejected []ship.Rejection, err error) {
	for unknown := false; len(b.Records) > 0; {
		b.Note = s.note
		n := 0
		if unknown {
			if n, err = s.target.Stored(ctx, b); err != nil {
				s.failed(err)
			}
		}
		if !unknown || err == nil && n == 0 {
			unknown = true
			err = s.target.Send(ctx, b)
			partial := new(ship.Error)
			switch {
			case err == nil:
				s.note = b.Note
				return rejected, nil
			case errors.As(err, &partial):
				s.note = b.Note
				for _, r := range partial.Rejected {
					rejected = append(rejected, ship.Rejection{Index: r.Index + int(b.First), Reason: r.Reason})
				}
				if partial.Err == nil {
					return rejected, nil
				}
				n = partial.Acknowledged
			}
			s.failed(err)
		}
		b.First, b.Records = b.First+uint64(n), b.Records[n:]
		if n > 0 {
			continue
		}
		select {
		case <-time.After(20 * time.Millisecond): // the pause of the shipper
		case <-ctx.Done():
			return rejected, ctx.Err()
		}
	}
	return rejected, nil
}

func (s *sender) failed(err error) {
	if s.errors == nil {
		s.errors = make(map[string]int)
	}
	s.errors[err.Error()]++
}
