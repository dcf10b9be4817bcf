package main

import (
	"context"
	"net"
	"path/filepath"
	"testing"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/handoff/takeover"
	"github.com/udpshard/udpshard/internal/sys"
	"github.com/udpshard/udpshard/metrics"
)

// otherLayout is an active process of a version with another layout of the shared counters.
type otherLayout struct{ shared *metrics.SharedCounters }

func (otherLayout) Quiesce(context.Context) error         { return net.ErrClosed }
func (otherLayout) Resume(error)                          {}
func (otherLayout) SuccessorFailed(takeover.Hello, error) {}
func (otherLayout) Committing(takeover.Hello)             {}
func (otherLayout) Committed(takeover.Hello)              {}

func (o otherLayout) Offer(takeover.Hello) (offer takeover.Offer, err error) {
	counters, control := o.shared.Files()
	if offer.Memory.Counters, err = sys.DuplicateFile(counters, ""); err != nil {
		return offer, err
	}
	offer.Memory.Control, err = sys.DuplicateFile(control, "")
	return offer, err
}

// A successor and a standby find shared counters of another layout version: both exit with an error
// and a hint.
func TestOtherCounterLayoutRefusesTakeover(t *testing.T) {
	shared, err := metrics.NewSharedCounters(metrics.Layout{Listener: "syslog", Shards: 1, Batch: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer shared.Close()
	const version = 8 // offset in the control memory
	if _, err := shared.Control().WriteAt([]byte{250, 0, 0, 0}, version); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "takeover.sock")
	server, err := takeover.Listen(path, "0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(context.Background(), otherLayout{shared}) }()
	defer func() {
		server.Close()
		<-served
	}()
	for _, role := range []string{"--standby=false", "--standby"} {
		p := launch(t, nil, "serve", "--http", "", "--listen", freePort(t), "--shards", "1",
			"--output", "discard", "--takeover", path, role)
		p.wantExit(cli.ExitFailed)
		for _, want := range []string{
			"layout version 250, and this program needs version",
			"udpshard: hint: the two versions can't hand over to each other: stop the active process",
		} {
			if !p.hasLogged(want) {
				t.Errorf("%s: %q is missing in\n%s", role, want, p.logs)
			}
		}
	}
}
