// Package targets has the table of the schemes of targets, and parses the URLs of targets.
package targets

import (
	"fmt"
	"strings"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/ship"
	"github.com/udpshard/udpshard/internal/ship/http"
	"github.com/udpshard/udpshard/internal/ship/kafka"
	"github.com/udpshard/udpshard/internal/ship/nats"
	"github.com/udpshard/udpshard/internal/ship/relp"
	"github.com/udpshard/udpshard/internal/ship/stream"
)

// scheme is a scheme of the URLs of targets, with the constructor of its targets.
type scheme struct {
	name string
	open func(*ship.Settings) (ship.Target, error)
}

// table has the schemes in the order of the documentation: tcp, tls, relp, relp+tls, udp, http,
// https, nats, kafka, dnstap+unix, dnstap+tcp.
var table = []scheme{
	{"tcp", stream.New},
	{"tls", stream.New},
	{"relp", relp.New},
	{"relp+tls", relp.New},
	{"udp", stream.New},
	{"http", http.New},
	{"https", http.New},
	{"nats", nats.New},
	{"kafka", kafka.New},
	{"dnstap+unix", stream.New},
	{"dnstap+tcp", stream.New},
}

// Schemes are the names of the schemes.
var Schemes = names()

func names() (names []string) {
	for _, s := range table {
		names = append(names, s.name)
	}
	return names
}

// New returns the target of settings, without a connection. The errors are of settings that the
// target cannot have.
func New(s *ship.Settings) (ship.Target, error) {
	for _, known := range table {
		if known.name == s.URL.Scheme {
			return known.open(s)
		}
	}
	err := fmt.Errorf("%s: unknown scheme: use one of %s", s.Name(), strings.Join(Schemes, ", "))
	if meant := cli.NearestWord(s.URL.Scheme, Schemes); meant != "" {
		err = cli.WithHint(err, cli.DidYouMean(meant+strings.TrimPrefix(s.Name(), s.URL.Scheme)))
	}
	return nil, err
}
