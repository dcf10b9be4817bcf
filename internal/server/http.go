package server

import (
	"errors"
	stdlog "log"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/udpshard/udpshard/internal/client"
	"github.com/udpshard/udpshard/internal/config"
	"github.com/udpshard/udpshard/internal/connlimit"
	"github.com/udpshard/udpshard/internal/preflight"
	"github.com/udpshard/udpshard/internal/sys"
)

// httpServer is the HTTP server; nil where it is off. Its goroutines run on other
// threads than the shards', which are locked, so a slow client is its own
// affair. The bounds keep it from becoming the process's.
type httpServer struct {
	socket   net.Listener
	shared   bool                // another process serves it now
	listener *connlimit.Listener // the socket, with a bound on its clients
	server   *http.Server
	logger   zerolog.Logger
	begin    sync.Once
	reading  sync.RWMutex // held by each request
	over     bool         // there are no counters any more
}

// listenHTTP opens the HTTP address, unless it was handed over.
func listenHTTP(c *config.Config, handler http.Handler, logger zerolog.Logger, listener net.Listener) (*httpServer, error) {
	if c.HTTP == "" {
		return nil, nil
	}
	shared := listener != nil
	if listener == nil {
		var err error
		if listener, err = net.Listen("tcp", c.HTTPResolved); err != nil {
			return nil, preflight.HTTPError(err)
		}
	}
	logger = logger.With().Str("from", "http").Logger()
	if at, ok := listener.Addr().(*net.TCPAddr); ok && !at.IP.IsLoopback() {
		logger.Warn().Stringer("address", at).
			Str("remedy", "give --http "+client.DefaultAddress+", or block the port for other hosts in a firewall").
			Str("effect", "other hosts can read status and metrics without a password").Msg("HTTP reachable by other hosts")
	}
	limited := connlimit.NewListener(listener, connlimit.Policy{Max: preflight.MaxHTTPConnections, EvictBusy: true})
	w := &httpServer{
		logger:   logger,
		shared:   shared,
		socket:   listener,
		listener: limited,
		server: &http.Server{
			ReadHeaderTimeout: 5 * time.Second,
			ReadTimeout:       10 * time.Second,
			WriteTimeout:      30 * time.Second,
			IdleTimeout:       5 * time.Second, // scrapers come less often
			ConnState:         limited.ConnState,
			ErrorLog:          stdlog.New(logger, "", 0),
			MaxHeaderBytes:    16 << 10,

			DisableGeneralOptionsHandler: true, // all is answered by handler
		},
	}
	w.server.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.reading.RLock()
		defer w.reading.RUnlock()
		if !w.over {
			handler.ServeHTTP(rw, r)
		}
	})
	return w, nil
}

// serve begins to serve; once.
func (w *httpServer) serve() {
	if w == nil {
		return
	}
	w.begin.Do(func() {
		w.logger.Info().Str("address", w.socket.Addr().String()).Msg("HTTP server started")
		go func() {
			if err := w.server.Serve(w.listener); !errors.Is(err, http.ErrServerClosed) {
				w.logger.Error().Err(err).Str("effect", "status and metrics are off").Msg("HTTP server stopped")
			}
		}()
	})
}

func (w *httpServer) close() {
	if w != nil {
		w.server.Close()
		w.socket.Close() // of a server that never served
	}
}

// shutDown is close, and nobody reads the counters any more when it returns.
func (w *httpServer) shutDown() {
	if w != nil {
		w.close()
		w.reading.Lock() // those that are under way end, since nobody takes what they write
		defer w.reading.Unlock()
		w.over = true
	}
}

// file returns a duplicate of the socket that listens, and nil where HTTP is
// off.
func (w *httpServer) file() (*os.File, error) {
	if w == nil {
		return nil, nil
	}
	return sys.DuplicateFile(w.socket.(*net.TCPListener), "")
}
