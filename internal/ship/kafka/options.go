package kafka

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/ship"
)

// defaultPort is the port of a broker in a URL without a port.
const defaultPort = "9092"

// options are the checked settings of a target.
type options struct {
	brokers  []string // host:port
	topic    string
	perBatch bool   // a message has many records
	tls      bool   // connections use TLS
	sasl     string // mechanism in lower case, none without authentication
}

// parseOptions checks the settings.
func parseOptions(s *ship.Settings) (o options, err error) {
	known := append([]string{"per", "sasl", "user", "password", "tls"}, ship.TLSOptions...)
	errs := []error{s.CheckOptions(known...)}
	add := func(err error) { errs = append(errs, err) }

	o.topic = strings.Trim(s.URL.Path, "/")
	if !isTopic(o.topic) || s.URL.RawQuery != "" {
		add(fmt.Errorf("%s: needs a topic of letters, digits, dots, _ and -: "+
			"kafka://broker.example.org:9092/logs", s.Name()))
	}
	for host := range strings.SplitSeq(s.URL.Host, ",") {
		broker, err := parseBroker(host)
		if err != nil {
			add(fmt.Errorf("%s: %w", s.Name(), err))
		}
		o.brokers = append(o.brokers, broker)
	}
	per, err := s.Choice("per", "record", "batch")
	add(err)
	o.perBatch = per == "batch"
	if o.perBatch && s.Format == ship.Original {
		add(errors.New("option per: a datagram of format original may have newlines: " +
			"use per: record, or another format"))
	}
	o.sasl, err = s.Choice("sasl", "none", "plain", "scram-sha-256", "scram-sha-512")
	add(err)
	hasUser, hasPassword := s.Options["user"] != "", s.Options["password"] != ""
	switch {
	case err == nil && o.sasl != "none" && !(hasUser && hasPassword):
		add(fmt.Errorf("option sasl: %s needs the options user and password", o.sasl))
	case o.sasl == "none" && (hasUser || hasPassword):
		add(errors.New("options user and password need option sasl: " +
			"plain, scram-sha-256 or scram-sha-512"))
	}
	o.tls, err = s.Bool("tls", false)
	add(err)
	for _, key := range ship.TLSOptions {
		if s.Options[key] != "" && !o.tls && err == nil {
			add(fmt.Errorf("option %s needs option tls: true", key))
		}
	}
	add(s.CheckTLS())
	return o, cli.Join(slices.DeleteFunc(errs, func(err error) bool { return err == nil })...)
}

// parseBroker returns host:port of a host with or without a port.
func parseBroker(text string) (string, error) {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		host, port = strings.Trim(text, "[]"), defaultPort
	}
	if host == "" || port == "" {
		return "", fmt.Errorf("%q is no broker: use HOST:PORT, more brokers after commas", text)
	}
	return net.JoinHostPort(host, port), nil
}

// isTopic reports whether a topic can have a name (class Topic of Kafka: at most 249 characters).
func isTopic(name string) bool {
	isOther := func(c rune) bool {
		isLetter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		return !isLetter && (c < '0' || c > '9') && !strings.ContainsRune("._-", c)
	}
	return name != "" && name != "." && name != ".." && len(name) <= 249 &&
		!strings.ContainsFunc(name, isOther)
}
