// Package prom serves a ledger of package metrics over HTTP: as Prometheus metrics and as JSON,
// with readiness and health. Package metrics does without net/http and the Prometheus client, so
// that programs that use package shard need neither.
package prom

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/udpshard/udpshard/metrics"
)

const index = `udpshard
/metrics         Prometheus text and OpenMetrics
/api/v1/status   the ledger as JSON
/healthz         200 while the process is up
/readyz          200 only while every shard reads, else 503 and why
`

// Handler serves the ledger over HTTP. The handler changes nothing, and answers only GET and HEAD.
// more are collectors beside those of the ledger, the Go runtime and the process.
func Handler(l *metrics.Ledger, more ...prometheus.Collector) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(append(more, NewCollector(l), collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))...)

	mux := http.NewServeMux()
	options := promhttp.HandlerOpts{EnableOpenMetrics: true}
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, options))
	mux.HandleFunc("GET /api/v1/status", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_ = json.NewEncoder(w).Encode(l.Status()) // fails only if the client has closed the connection
	})
	mux.HandleFunc("GET /healthz", text(http.StatusOK, "up\n"))
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		answer := text(http.StatusOK, "ready\n")
		if reasons := l.NotReady(time.Now()); len(reasons) > 0 {
			answer = text(http.StatusServiceUnavailable, strings.Join(reasons, "\n")+"\n")
		}
		answer(w, r)
	})
	mux.HandleFunc("GET /{$}", text(http.StatusOK, index))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff") // senders choose texts in some answers
		mux.ServeHTTP(w, r)
	})
}

func text(code int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}
