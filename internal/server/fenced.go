package server

import (
	"bytes"
	"net/http"
)

// fencedHandler answers by a handler, but not in a process that was replaced: the socket that listens
// is the new active process's too, and a process that wakes up late would answer with its role
// and counters of before. What the handler answers is sent only if the process is not replaced
// when the answer is ready.
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
		w.Write(answer.body.Bytes()) // a client that has gone needs no answer
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
