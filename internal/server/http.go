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
	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/client"
	"github.com/udpshard/udpshard/internal/config"
	"github.com/udpshard/udpshard/internal/connlimit"
	"github.com/udpshard/udpshard/internal/dnsservice"
	"github.com/udpshard/udpshard/internal/handoff/succession"
	"github.com/udpshard/udpshard/internal/httpaccess"
	"github.com/udpshard/udpshard/internal/preflight"
	"github.com/udpshard/udpshard/internal/statuspage"
	"github.com/udpshard/udpshard/internal/sys"
	"github.com/udpshard/udpshard/metrics/prom"
)

// httpServer is the HTTP server of the process; nil if HTTP is off. The goroutines of the server do
// not run on the locked threads of the shards, so a slow client delays no shard. The number of
// connections, the size of headers and all times are limited.
type httpServer struct {
	socket    net.Listener
	inherited bool                // the active process serves the socket, until the takeover
	listener  *connlimit.Listener // socket with limited connections
	access    *httpaccess.Handler
	server    *http.Server
	log       zerolog.Logger
	serving   bool
	requests  sync.RWMutex // a read lock for each request
	closed    bool         // guarded by requests: the counters are closed
}

// openHTTP opens the HTTP address, or continues with the socket of the predecessor.
func (s *server) openHTTP(from *succession.Predecessor) error {
	if s.config.HTTP == "" {
		return nil
	}
	socket := s.inheritedHTTP(from)
	inherited := socket != nil
	if !inherited {
		var err error
		socket, err = net.Listen("tcp", s.config.HTTPResolved)
		if errors.Is(err, unix.EADDRINUSE) && s.config.MayRunWithoutHTTP() {
			s.log.Warn().Err(err).
				Str("remedy", "give each process that shares a port its own --http ADDR").
				Str("effect", "this process has no status and no metrics").Msg("HTTP address in use")
			return nil
		}
		if err != nil {
			return preflight.HTTPError(err)
		}
	}
	log := s.log.With().Str("from", "http").Logger()
	mux := http.NewServeMux()
	mux.Handle("/", prom.Handler(s.ledger, dnsservice.Collector(s.dnsServices)))
	mux.Handle("/api/v1/history", s.loop.history)
	statuspage.Register(mux, s.ledger, s.loop.history)
	access := httpaccess.New(mux)
	fenced := fencedHandler(access, s.succession.Fenced)
	s.web = newHTTPServer(socket, httpaccess.WithHeaders(fenced), log)
	s.web.inherited, s.web.access = inherited, access
	s.web.setAccess(s.config)
	return nil
}

// setAccess sets which requests are answered, before the start and at a reload. Without a token,
// the log has a warning if the socket is not on loopback.
func (w *httpServer) setAccess(c *config.Config) {
	if w == nil {
		return
	}
	w.access.SetPolicy(c.HTTPAccess())
	at, ok := w.socket.Addr().(*net.TCPAddr)
	if ok && !at.IP.IsLoopback() && c.HTTPToken == "" {
		w.log.Warn().Stringer("address", at).
			Str("remedy", "give --http-token-file FILE or the key http_token, give --http "+
				client.DefaultAddress+", or block the port for other hosts in a firewall").
			Str("effect", "other hosts can read status and metrics without a token").
			Msg("HTTP reachable by other hosts")
	}
}

func newHTTPServer(socket net.Listener, handler http.Handler, log zerolog.Logger) *httpServer {
	limit := connlimit.Policy{Max: preflight.MaxHTTPConnections, EvictBusy: true}
	w := &httpServer{log: log, socket: socket, listener: connlimit.NewListener(socket, limit)}
	w.server = &http.Server{
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       5 * time.Second, // less than the interval of scrapers
		ConnState:         w.listener.ConnState,
		ErrorLog:          stdlog.New(log, "", 0),
		MaxHeaderBytes:    16 << 10,

		DisableGeneralOptionsHandler: true, // OPTIONS * is for handler too
		Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			w.requests.RLock()
			defer w.requests.RUnlock()
			if !w.closed {
				handler.ServeHTTP(rw, r)
			}
		}),
	}
	return w
}

// serve starts to serve. Later calls change nothing.
func (w *httpServer) serve() {
	if w == nil || w.serving {
		return
	}
	w.serving = true
	w.log.Info().Str("address", w.socket.Addr().String()).Msg("HTTP server started")
	go func() {
		if err := w.server.Serve(w.listener); !errors.Is(err, http.ErrServerClosed) {
			w.log.Error().Err(err).Str("effect", "status and metrics are off").Msg("HTTP server stopped")
		}
	}()
}

func (w *httpServer) close() {
	if w != nil {
		w.server.Close()
		w.socket.Close() // server.Close does not close a socket before serve
	}
}

// shutDown closes the server, and returns when no request reads the counters.
func (w *httpServer) shutDown() {
	if w != nil {
		w.close()
		w.requests.Lock() // requests end, because writing to closed connections fails
		defer w.requests.Unlock()
		w.closed = true
	}
}

// file returns a duplicate of the listening socket; nil if HTTP is off.
func (w *httpServer) file() (*os.File, error) {
	if w == nil {
		return nil, nil
	}
	return sys.DuplicateFile(w.socket.(*net.TCPListener), "")
}

// inheritedHTTP returns the HTTP socket of the predecessor, if the socket has the configured
// address.
func (s *server) inheritedHTTP(from *succession.Predecessor) net.Listener {
	if from == nil || from.Offer.Web == nil {
		return nil
	}
	socket, err := net.FileListener(from.Offer.Web)
	if err != nil {
		s.log.Warn().Err(err).Str("effect", "a new socket is opened").
			Msg("inherited HTTP socket unusable")
		return nil
	}
	if !hasAddress(socket.Addr(), s.config.HTTPResolved) {
		socket.Close()
		return nil
	}
	return socket
}

// hasAddress returns whether net.Listen would bind host:port to an address. For every unspecified
// address net.Listen opens one socket for IPv6 and IPv4.
func hasAddress(address net.Addr, hostport string) bool {
	at, ok := address.(*net.TCPAddr)
	return ok && at.Port > 0 && config.HTTPSocket(at.String()) == config.HTTPSocket(hostport)
}
