// Package statuspage serves the status page: whether anything was lost, and what the listeners do,
// for people with a browser. The server renders all numbers, so the page is complete without
// JavaScript. A script fetches the same page once a second, and updates what has changed.
package statuspage

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"os"
	"time"

	"github.com/udpshard/udpshard/internal/history"
	"github.com/udpshard/udpshard/metrics"
)

// files are the template of the page, and what the page loads.
//
//go:embed assets
var files embed.FS

var pageTemplate = template.Must(template.ParseFS(files, "assets/page.html"))

// Register adds the page and its files to a mux: /, /status.css, /status.js and /favicon.svg. The
// page changes nothing, and answers only GET and HEAD. The numbers are those of the ledger; rates
// are from the recorder.
func Register(mux *http.ServeMux, ledger *metrics.Ledger, recorder *history.Recorder) {
	host, err := os.Hostname()
	if err != nil {
		host = "this host"
	}
	source{host, ledger.Status, recorder.Snapshot, time.Now}.register(mux)
}

// source is where the page has its content from.
type source struct {
	host    string
	status  func() metrics.Status
	history func(last int, shards bool) history.History
	now     func() time.Time
}

func (s source) register(mux *http.ServeMux) {
	version := sha256.New()
	for _, f := range [...]struct{ name, contentType string }{
		{"status.css", "text/css; charset=utf-8"},
		{"status.js", "text/javascript; charset=utf-8"},
		{"favicon.svg", "image/svg+xml"},
	} {
		content, err := files.ReadFile("assets/" + f.name)
		if err != nil {
			panic(err) // the file is not embedded
		}
		version.Write(content)
		mux.Handle("GET /"+f.name, file(f.name, f.contentType, content))
	}
	assets := fmt.Sprintf("%x", version.Sum(nil)[:6])
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		p := newPage(s.status(), s.history(0, false), s.history(shareSeconds, true), s.now())
		p.Host, p.Assets = s.host, assets
		var text bytes.Buffer
		if err := pageTemplate.Execute(&text, p); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = text.WriteTo(w) // fails only if the client has closed the connection
	})
}

// file serves a file whose ETag is the hash of its content: a browser asks whether the file has
// changed, since an upgrade may have changed the file.
func file(name, contentType string, content []byte) http.Handler {
	tag := fmt.Sprintf(`"%x"`, sha256.Sum256(content))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Cache-Control", "no-cache")
		w.Header().Set("ETag", tag)
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(content))
	})
}
