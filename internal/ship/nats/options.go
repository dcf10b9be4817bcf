package nats

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/ship"
)

// options are the checked settings of a target.
type options struct {
	servers      []string // URLs
	subject      subject
	perBatch     bool // a message has the lines of many records
	inFlight     int  // messages without acknowledgement
	createStream bool
	stream       string // name of the stream that createStream makes
	tls          bool
}

// defaultInFlight is the number of messages in flight where the option in_flight is absent. 256
// messages of 300 bytes fill a connection of 1 Gbit/s with a round trip of 0.6 ms. Stored and Send
// keep the order only if a failure leaves few later messages in flight, so that more is no better.
const defaultInFlight = 256

// maxInFlight is the largest value of the option in_flight: no batch has more records.
const maxInFlight = 8192

// parseOptions returns all errors of the settings.
func parseOptions(s *ship.Settings) (*options, error) {
	o := new(options)
	var errs []error
	add := func(err error) { errs = append(errs, err) }
	add(s.CheckOptions(append([]string{"per", "in_flight", "create_stream", "stream", "user",
		"password", "token", "nkey", "credentials", "tls"}, ship.TLSOptions...)...))

	var err error
	o.servers, err = parseServers(s)
	add(err)
	per, err := s.Choice("per", "record", "batch")
	add(err)
	o.perBatch = per == "batch"
	o.inFlight, err = s.Count("in_flight", defaultInFlight, maxInFlight)
	add(err)
	o.createStream, err = s.Bool("create_stream", false)
	add(err)
	o.subject, err = parseSubject(s, o.perBatch)
	add(err)
	o.stream, err = streamName(s, o)
	add(err)
	o.tls, err = s.Bool("tls", false)
	add(err)
	add(s.CheckTLS())
	for _, key := range ship.TLSOptions {
		if s.Options[key] != "" && !o.tls {
			add(cli.WithHint(fmt.Errorf("option %s: the target has no TLS", key), "add the option tls=true"))
		}
	}
	add(checkUser(s))
	return o, cli.Join(errs...)
}

// parseServers returns the URLs of the servers. The default port is that of NATS, 4222.
func parseServers(s *ship.Settings) (servers []string, err error) {
	const example = "nats://127.0.0.1:4222,127.0.0.1:4223/logs"
	if s.URL.RawQuery != "" {
		return nil, cli.WithHint(fmt.Errorf("%s: the URL has a query", s.Name()), example)
	}
	for host := range strings.SplitSeq(s.URL.Host, ",") {
		u, err := url.Parse("nats://" + host)
		if err != nil || u.Hostname() == "" || u.Host != host || strings.ContainsAny(host, " /") {
			err := fmt.Errorf("%s: %q is no HOST:PORT", s.Name(), host)
			return nil, cli.WithHint(err, example)
		}
		servers = append(servers, u.String())
	}
	return servers, nil
}

// checkUser returns an error if the options are of two kinds of users.
func checkUser(s *ship.Settings) error {
	var kinds []string
	for _, key := range []string{"user", "token", "nkey", "credentials"} {
		if s.Options[key] != "" {
			kinds = append(kinds, key)
		}
	}
	switch {
	case len(kinds) > 1:
		return fmt.Errorf("options %s: use one of them", strings.Join(kinds, " and "))
	case s.Options["password"] != "" && s.Options["user"] == "":
		return errors.New("option password: needs the option user")
	}
	return nil
}
