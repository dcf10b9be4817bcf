package takeover

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/udpshard/udpshard/internal/leak"
)

// wantRestored calls RestorePath and checks the result.
func wantRestored(t *testing.T, s *Server, want bool) {
	t.Helper()
	if renewed, err := s.RestorePath(); renewed != want || err != nil {
		t.Errorf("restored: %v, %v, want %v", renewed, err, want)
	}
}

// RestorePath recreates a removed file. Waiting peers stay connected, and a handover of the new
// socket succeeds.
func TestRestorePath(t *testing.T) {
	leak.Descriptors(t)
	a := newActive(t, 1)
	v := start(t, a)
	standby, _ := join(t, v.Path(), Standby)
	wantRestored(t, v.Server, false)
	for range 3 {
		if err := os.Remove(v.Path()); err != nil {
			t.Fatal(err)
		}
		wantRestored(t, v.Server, true)
		wantRestored(t, v.Server, false)
		a.waitForPeers(v, 1)
	}
	if st, err := os.Lstat(v.Path()); err != nil || st.Mode() != os.ModeSocket|0o600 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
	successor, _ := join(t, v.Path(), Successor)
	next := serve(t, takeOver(t, successor), newActive(t))
	wantError(t, result(t, v.ended), nil)
	wantError(t, standby.Wait(testContext(t)), ErrRedirected)
	wantRestored(t, v.Server, false) // a process that has handed over has no path
	wantRestored(t, next.Server, false)
	dial(t, v.Path())
	if err := os.Remove(v.Path()); err != nil {
		t.Fatal(err)
	}
	wantRestored(t, v.Server, false)
	wantRestored(t, next.Server, true)
	dial(t, v.Path())
}

// Serve ends as usual at any moment of RestorePath.
func TestRestorePathDuringClose(t *testing.T) {
	leak.Descriptors(t)
	for range 30 {
		v := start(t, newActive(t))
		os.Remove(v.Path())
		renewed := make(chan error, 1)
		go func() {
			_, err := v.RestorePath()
			renewed <- err
		}()
		v.stop()
		if err := result(t, v.ended); err == nil {
			t.Error("Serve reports a takeover")
		}
		wantError(t, <-renewed, nil)
		if err := v.Close(); err != nil {
			t.Error(err)
		}
		wantRestored(t, v.Server, false)
		if _, err := os.Lstat(v.Path()); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the file is left: %v", err)
		}
	}
}

// RestorePath replaces nothing but stale sockets.
func TestRestorePathKeepsOtherFiles(t *testing.T) {
	leak.Descriptors(t)
	v := start(t, newActive(t))
	other, err := SeizeNow(v.Path(), "2.0")
	if err != nil {
		t.Fatal(err)
	}
	renewed, err := v.RestorePath()
	var inUse *InUseError
	if renewed || !errors.As(err, &inUse) {
		t.Errorf("restored: %v, %v, want an InUseError", renewed, err)
	}
	if err := other.Close(); err != nil {
		t.Error(err)
	}
	wantRestored(t, v.Server, true)

	if err := errors.Join(os.Remove(v.Path()), os.WriteFile(v.Path(), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	renewed, err = v.RestorePath()
	if renewed || err == nil || !strings.Contains(err.Error(), "is no socket") {
		t.Errorf("restored: %v, %v, want an error for a file that is no socket", renewed, err)
	}
	if err := os.Remove(v.Path()); err != nil {
		t.Fatal(err)
	}
	wantRestored(t, v.Server, true)
}
