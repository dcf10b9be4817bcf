// Package http sends records to stores and collectors over HTTP: a request has the records of a
// batch, and an answer with a 2xx status acknowledges the records.
//
// A format (ndjson, elasticsearch, loki, splunk_hec, otlp) writes the body of a request, and reads
// the answer: some stores answer for each record. A request that is too large, or that the store
// refuses because of its content, is sent again in parts, until the refused records are alone.
// The type results notes the result of each record. A target with several URLs sends a part to the
// next URL if a URL fails.
package http

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/ship"
)

// defaultTimeout is the default of the option timeout: stores that flush at each request take some
// seconds under load, and proxies give up after 60 s (nginx, proxy_read_timeout).
const defaultTimeout = time.Minute

// generalOptions are the options of all formats.
var generalOptions = []string{
	"format", "compress", "user", "password", "token", "also", "timeout", "id_parameter",
}

// target is the ship.Target of this package.
type target struct {
	settings    *ship.Settings
	format      format
	authScheme  string   // of the token
	headers     []string // options header.NAME, sorted
	idParameter string   // of the query, "": none
	timeout     time.Duration
	endpoints   []*endpoint
	order       []*endpoint // scratch of inOrder
	client      *http.Client
	body        body
	results     results
	limit       sizeLimit
	unproven    int // batches that a new target has refused: see prove
	unanswered  unanswered
	indices     []int // 0, 1, 2, …: the part that is a whole batch
}

// New returns the target of an URL with the scheme http or https.
func New(s *ship.Settings) (ship.Target, error) {
	name, err := s.Choice("format", formatNames...)
	if err != nil {
		return nil, err
	}
	kind := kinds[name]
	t := &target{settings: s, authScheme: kind.authScheme, idParameter: s.Options["id_parameter"]}
	known := slices.Concat(generalOptions, kind.options, ship.TLSOptions)
	var headersErr error
	t.headers, headersErr = headerOptions(s)
	compression, compressErr := s.Choice("compress", "gzip", "zstd", "none")
	t.body.compression = compression
	timeout, timeoutErr := s.Duration("timeout", defaultTimeout)
	if timeoutErr == nil && timeout == 0 {
		timeoutErr = errors.New("option timeout: must not be 0")
	}
	t.timeout = timeout
	endpoints, urlErr := parseEndpoints(s, kind)
	t.endpoints = endpoints
	var formatErr error
	t.format, formatErr = kind.open(s)
	err = cli.Join(s.CheckOptions(append(known, t.headers...)...), headersErr, compressErr, timeoutErr,
		urlErr, formatErr, checkCredentials(s), s.CheckTLS())
	if err != nil {
		return nil, err
	}
	t.client = newClient(s)
	return t, nil
}

// checkCredentials returns the error of credentials that exclude each other.
func checkCredentials(s *ship.Settings) error {
	has := func(key string) bool { return s.Options[key] != "" }
	switch {
	case has("token") && (has("user") || has("password")):
		return errors.New("option token: a request has a token, or user and password")
	case has("password") && !has("user"):
		return errors.New("option password: needs the option user")
	}
	return nil
}

// headerOptions returns the options header.NAME, sorted.
func headerOptions(s *ship.Settings) (keys []string, err error) {
	for key := range s.Options {
		name, found := strings.CutPrefix(key, ship.HeaderPrefix)
		if !found {
			continue
		}
		keys = append(keys, key)
		switch http.CanonicalHeaderKey(name) {
		case "":
			err = cli.Join(err, fmt.Errorf("option %s: needs the name of a header field", key))
		case "Content-Encoding", "Content-Length", "Transfer-Encoding", "Connection", "Host",
			"Idempotency-Key":
			err = cli.Join(err, fmt.Errorf("option %s: the target itself sets this header field", key))
		}
	}
	slices.Sort(keys)
	return keys, err
}

// Send is the Send of ship.Target.
func (t *target) Send(ctx context.Context, b *ship.Batch) error {
	n := len(b.Records)
	for len(t.indices) < n {
		t.indices = append(t.indices, len(t.indices))
	}
	t.results.reset(n)
	t.unanswered.begin(b)
	err := t.results.outcome(t.prove(b, t.deliverAll(ctx, b, t.indices[:n])))
	t.unanswered.end(b)
	return err
}

// Close is the Close of ship.Target.
func (t *target) Close() error {
	t.client.CloseIdleConnections()
	return nil
}
