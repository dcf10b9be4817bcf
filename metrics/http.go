package metrics

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const index = `udpshard
/metrics         Prometheus text and OpenMetrics
/api/v1/status   the ledger as JSON
/healthz         200 while the process is up
/readyz          200 only while every shard reads, else 503 and why
`

// Handler serves the ledger over HTTP. Nothing on it changes anything, and
// only GET and HEAD are answered. build are the labels of
// udpshard_build_info; more are collectors beside the ledger's own.
func (l *Ledger) Handler(build map[string]string, more ...prometheus.Collector) http.Handler {
	registry := prometheus.NewRegistry()
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "udpshard_build_info", Help: "The version that runs; the value is always 1.", ConstLabels: build,
	})
	info.Set(1)
	registry.MustRegister(append(more, l, info, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))...)

	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	mux.HandleFunc("GET /api/v1/status", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_ = json.NewEncoder(w).Encode(l.Status()) // it fails only if the client has left
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { text(w, http.StatusOK, "up\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if why := l.NotReady(time.Now()); len(why) > 0 {
			text(w, http.StatusServiceUnavailable, strings.Join(why, "\n")+"\n")
			return
		}
		text(w, http.StatusOK, "ready\n")
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { text(w, http.StatusOK, index) })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff") // senders choose texts in some answers
		mux.ServeHTTP(w, r)
	})
}

func text(w http.ResponseWriter, code int, body string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	fmt.Fprint(w, body)
}
