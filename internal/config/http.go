package config

import (
	"fmt"

	"github.com/udpshard/udpshard/internal/cli"
)

// MaxHTTPConnections: how many connections the HTTP server keeps open. Scrapers and probes need a
// few; processes may open 1,024 files where nothing else is set. Where there are more connections,
// the connection that has waited longest without a request is closed, so that a new request is
// answered whatever other clients keep open.
const MaxHTTPConnections = 128

// HTTPError is the error of an HTTP server that cannot listen at its address.
func HTTPError(err error) error {
	return cli.WithHint(fmt.Errorf("http: %w", err), "--http ADDR takes another address, --http '' turns it off")
}
