package nats

import (
	"context"
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/udpshard/udpshard/internal/ship"
	"github.com/udpshard/udpshard/internal/ship/shiptest"
)

// The end of the context ends Send soon: while it connects, while no server answers, and while it
// waits for acknowledgements.
func TestEndOfContext(t *testing.T) {
	s := start(t)
	s.makeStream(jetstream.StreamConfig{Name: "LOGS", Subjects: []string{"logs"}})
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	connected := open(t, "nats://"+s.address+"/logs", "per", "batch")
	if err := connected.Send(t.Context(), shiptest.Numbered(0, 1)); err != nil {
		t.Fatal(err)
	}
	shiptest.Stop(t, s.process.Process)
	defer s.process.Process.Signal(syscall.SIGCONT)
	for name, n := range map[string]*target{
		"answers":  open(t, "nats://"+silent.Addr().String()+"/logs"),
		"streams":  open(t, "nats://"+s.address+"/logs"),
		"acks":     connected,
		"searches": connected,
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		b := shiptest.Numbered(1, 5000)
		for range 6 { // more than the buffers of the connection hold
			b.Records = append(b.Records, b.Records...)
		}
		begin := time.Now()
		if name == "searches" {
			_, err = n.Stored(ctx, b)
		} else {
			err = n.Send(ctx, b)
		}
		if took := time.Since(begin); !errors.Is(err, context.DeadlineExceeded) || took > 2*time.Second {
			t.Errorf("%s: %v after %v", name, err, took)
		}
		cancel()
	}
}

// The first server of two is away.
func TestSecondServer(t *testing.T) {
	s := start(t)
	set := shiptest.Settings(t, "nats://h/logs", "create_stream", "true")
	set.URL.Host = shiptest.FreeTCP(t) + "," + s.address
	n, err := New(set)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	for i := range 5 { // the order is random
		if err := n.Send(t.Context(), shiptest.Numbered(i, 1)); err != nil {
			t.Fatal(err)
		}
		n.(*target).disconnect()
	}
	wantNumbered(t, lines(s.content("LOGS")), 5)
}

func TestErrorsOfConnections(t *testing.T) {
	b := shiptest.Numbered(0, 1)
	away := shiptest.FreeTCP(t)
	text, forever := permanent(open(t, "nats://"+away+"/logs").Send(t.Context(), b))
	if want := "connect to " + away + ": dial tcp " + away + ": connect: connection refused"; text != want || forever {
		t.Errorf("%s (%v), want %s", text, forever, want)
	}
	text, forever = permanent(open(t, "nats://host.invalid:4222/logs").Send(t.Context(), b))
	if !strings.Contains(text, "connect to host.invalid:4222: ") || !strings.Contains(text, "lookup") || forever {
		t.Errorf("%s (%v)", text, forever)
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0") // HTTP and TLS wait for the client, too
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	text, forever = permanent(open(t, "nats://"+silent.Addr().String()+"/logs").Send(t.Context(), b))
	if want := "connect to " + silent.Addr().String() + ": no answer within 5s"; !strings.Contains(text, want) || forever {
		t.Errorf("%s (%v), want %s", text, forever, want)
	}
	plain := shiptest.FreeTCP(t)
	p := shiptest.Start(t, shiptest.Build(t, "github.com/nats-io/nats-server/v2"), "-a", "127.0.0.1", "-p",
		plain[strings.LastIndexByte(plain, ':')+1:])
	p.AwaitTCP(t, plain)
	text, forever = permanent(open(t, "nats://"+plain+"/logs").Send(t.Context(), b))
	if !strings.Contains(text, "no answer from JetStream: it is off at the server, or not ready") || forever {
		t.Errorf("%s (%v)", text, forever)
	}
}

// A connection that the server has closed while it was idle is made again before the next batch.
func TestIdleConnection(t *testing.T) {
	s := start(t)
	n := open(t, "nats://"+s.address+"/logs", "create_stream", "true")
	if err := n.Send(t.Context(), shiptest.Numbered(0, 3)); err != nil {
		t.Fatal(err)
	}
	s.process.Stop()
	<-n.conn.alive.Done()
	s.run()
	if err := n.Send(t.Context(), shiptest.Numbered(3, 3)); err != nil {
		t.Fatal(err)
	}
	wantNumbered(t, lines(s.content("LOGS")), 6)
}

// Records of a message that the library does not take are not acknowledged: the connection has ended
// since the last batch.
func TestPublishFails(t *testing.T) {
	for _, per := range []string{"record", "batch"} {
		s := start(t)
		s.makeStream(jetstream.StreamConfig{Name: "LOGS", Subjects: []string{"logs"}})
		target := open(t, "nats://"+s.address+"/logs", "per", per)
		if err := target.Send(t.Context(), shiptest.Numbered(0, 10)); err != nil {
			t.Fatal(err)
		}
		target.conn.nc.Close()
		target.conn.alive = context.Background() // the callback of the library comes later
		err := target.Send(t.Context(), shiptest.Numbered(10, 10))
		var e *ship.Error
		if !errors.As(err, &e) || e.Err == nil || e.Acknowledged != 0 {
			t.Errorf("per %s: %+v", per, err)
		}
	}
}
