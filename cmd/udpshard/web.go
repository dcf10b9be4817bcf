package main

import (
	"fmt"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"

	"github.com/udpshard/udpshard/metrics"
)

// web is the HTTP server; nil where it is off. Its goroutines run on other
// threads than the shards', which are locked, so a slow client is its own
// affair. The bounds keep it from becoming the process's.
type web struct {
	listener net.Listener
	server   *http.Server
}

// maxWebClients is many times what scrapers and probes need, and far below
// the usual limit of 1024 descriptors.
const maxWebClients = 128

func listenWeb(c *config, ledger *metrics.Ledger) (*web, error) {
	if c.http == "" {
		return nil, nil
	}
	listener, err := net.Listen("tcp", c.http)
	if err != nil {
		return nil, hinted{fmt.Errorf("http: %w", err), "--http ADDR takes another address, --http '' turns it off"}
	}
	b := thisBuild()
	return &web{
		listener: netutil.LimitListener(listener, maxWebClients),
		server: &http.Server{
			Handler:           ledger.Handler(map[string]string{"version": b.version, "commit": b.commit, "go": b.goVersion}),
			ReadHeaderTimeout: 5 * time.Second,
			ReadTimeout:       10 * time.Second,
			WriteTimeout:      30 * time.Second,
			IdleTimeout:       time.Minute,
			MaxHeaderBytes:    16 << 10,
		},
	}, nil
}

func (w *web) serve() {
	if w != nil {
		go w.server.Serve(w.listener) // until close
	}
}

func (w *web) close() {
	if w != nil {
		w.server.Close()
	}
}
