package server

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/engine"
)

// exitFenced ends a process that was replaced as dead or stalled, when all records are written, or
// at the drain timeout.
func (s *server) exitFenced() error {
	s.outputs.stopShipping()
	signals := s.loop.signals
	s.loop.secondSignal.Do(func() {
		go func() { signals.exitOnSecond((<-signals.stop).at, nil) }()
	})
	late, cancel := context.WithTimeout(context.Background(), s.config.DrainTimeout)
	defer cancel()
	errs := slices.DeleteFunc(cli.Separate(s.awaitGroups(late)), func(err error) bool {
		return errors.Is(err, engine.ErrFenced) // each group finds the new epoch
	})
	errs = append([]error{fencedError{engine.ErrFenced}}, errs...)
	return errors.Join(append(errs, s.exitHandedOver("replaced by another process"))...)
}

// fencedError is the error of a replaced process, with an exit code of its own.
type fencedError struct{ error }

func (e fencedError) Unwrap() error { return e.error }
func (e fencedError) ExitCode() int { return cli.ExitReplaced }
func (e fencedError) Hint() string {
	return "find out what stopped this process, or used its CPUs; " +
		"--standby-after sets how long a standby waits"
}

// fencedHandler calls a handler, and sends the answer only if this process was not replaced
// meanwhile. A replaced process that wakes up still has the listening socket, which the new active
// process has too, and would answer with an old role and old counters.
func fencedHandler(h http.Handler, replaced func() bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := &pendingResponse{header: make(http.Header), code: http.StatusOK}
		h.ServeHTTP(answer, r)
		if replaced() {
			w.Header().Set("Connection", "close")
			w.Header().Set("Retry-After", "0")
			http.Error(w, "replaced: another process serves this address", http.StatusServiceUnavailable)
			return
		}
		for key, values := range answer.header {
			w.Header()[key] = values
		}
		w.WriteHeader(answer.code)
		w.Write(answer.body.Bytes()) // an error means that the client has gone
	})
}

// pendingResponse is a response that is not sent yet.
type pendingResponse struct {
	header http.Header
	code   int
	body   bytes.Buffer
}

func (p *pendingResponse) Header() http.Header         { return p.header }
func (p *pendingResponse) WriteHeader(code int)        { p.code = code }
func (p *pendingResponse) Write(b []byte) (int, error) { return p.body.Write(b) }
