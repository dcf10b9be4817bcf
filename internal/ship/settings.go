package ship

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/udpshard/udpshard/internal/cli"
)

// Settings are the configuration of a target. Constructors of targets check all settings, and make
// no connection.
type Settings struct {
	URL      *url.URL          // without user and fragment
	Options  map[string]string // ${file:PATH} and ${env:NAME} in values stand for secrets
	Listener string
	Format   Format
}

// SecretOptions are the options with secrets: their values are never shown, and must be references
// on the command line. Header fields may have secrets, too: see IsSecret.
var SecretOptions = []string{"password", "token", "nkey"}

// TLSOptions are the options of TLSConfig.
var TLSOptions = []string{"ca", "cert", "key", "server_name", "verify"}

// Name returns the URL, for logs, status and metrics. Braces of {shard} are not escaped.
func (s *Settings) Name() string {
	return strings.NewReplacer("%7B", "{", "%7D", "}").Replace(s.URL.String())
}

// CheckOptions returns an error for each option that is not known.
func (s *Settings) CheckOptions(known ...string) error {
	var errs []error
	for key := range s.Options {
		if slices.Contains(known, key) {
			continue
		}
		err := fmt.Errorf("unknown option %s: use one of %s", key, strings.Join(known, ", "))
		if len(known) == 0 {
			err = fmt.Errorf("unknown option %s: %s has no options", key, s.URL.Scheme)
		}
		if nearest := cli.NearestWord(key, known); nearest != "" {
			err = cli.WithHint(err, cli.DidYouMean(nearest))
		}
		errs = append(errs, err)
	}
	return cli.Join(errs...)
}

// CheckHost returns an error if the URL has no host, no port, or more than a host and a port.
func (s *Settings) CheckHost() error {
	example := s.URL.Scheme + "://collector.example.org:6514"
	switch u := s.URL; {
	case u.Hostname() == "" || u.Port() == "":
		return fmt.Errorf("%s: needs a host and a port: %s", s.Name(), example)
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "":
		return fmt.Errorf("%s: has no path and no query: %s", s.Name(), example)
	}
	return nil
}

// Value returns the value of an option, "" if the option is absent. The files and variables of
// references are read at each call, so that a changed secret is used by the next connection.
func (s *Settings) Value(key string) (string, error) {
	value, err := ExpandSecrets(s.Options[key])
	if err != nil {
		return "", fmt.Errorf("option %s: %w", key, err)
	}
	return value, nil
}

// Redact replaces the values of secrets in the text of an error.
func (s *Settings) Redact(err error) error {
	text := err.Error()
	for _, key := range s.secretOptions() {
		if secret, err := s.Value(key); err == nil && secret != "" {
			text = strings.ReplaceAll(text, secret, "***")
		}
	}
	if text == err.Error() {
		return err
	}
	return errors.New(text)
}

// ExpandSecrets replaces ${file:PATH} by the content of a file without spaces around, and ${env:NAME} by
// the value of a variable.
func ExpandSecrets(value string) (string, error) {
	parts, err := parseReferences(value)
	if err != nil {
		return "", err
	}
	var expanded strings.Builder
	for _, part := range parts {
		expanded.WriteString(part.before)
		switch part.kind {
		case "env":
			content, set := os.LookupEnv(part.name)
			if !set {
				return "", fmt.Errorf("environment variable %s is not set", part.name)
			}
			expanded.WriteString(content)
		case "file":
			content, err := os.ReadFile(part.name)
			if err != nil {
				return "", err
			}
			expanded.WriteString(strings.TrimSpace(string(content)))
		}
	}
	return expanded.String(), nil
}

// Choice returns the value of an option with a fixed set of values; the first is the default.
func (s *Settings) Choice(key string, values ...string) (string, error) {
	value, set := s.Options[key]
	switch {
	case !set:
		return values[0], nil
	case slices.Contains(values, value):
		return value, nil
	}
	err := fmt.Errorf("%q is not one of %s", value, strings.Join(values, ", "))
	return "", cli.OptionError(key, cli.SuggestChoice(err, value, values))
}

// option returns the parsed value of an option, or the default.
func option[T any](s *Settings, key string, absent T, parse func(string) (T, error)) (T, error) {
	text, set := s.Options[key]
	if !set {
		return absent, nil
	}
	value, err := parse(text)
	if err != nil {
		return absent, cli.OptionError(key, err)
	}
	return value, nil
}

// Bool returns the value of an option that is true or false.
func (s *Settings) Bool(key string, absent bool) (bool, error) {
	return option(s, key, absent, cli.ParseBool)
}

// Count returns the value of an option that is a whole number from 1 to most.
func (s *Settings) Count(key string, absent, most int) (int, error) {
	return option(s, key, absent, func(text string) (int, error) {
		n, err := cli.ParseCount(text)
		if err == nil && n > most {
			err = fmt.Errorf("at most %d", most)
		}
		return n, err
	})
}

// Size returns the value of an option in bytes, at most most.
func (s *Settings) Size(key string, absent, most int) (int, error) {
	return option(s, key, absent, func(text string) (int, error) {
		n, err := cli.ParseSize(text)
		if err == nil && n > most {
			err = fmt.Errorf("at most %s", cli.FormatSize(most))
		}
		return n, err
	})
}

// Duration returns the value of an option that is a duration.
func (s *Settings) Duration(key string, absent time.Duration) (time.Duration, error) {
	return option(s, key, absent, cli.ParseDuration)
}

// CheckTLS returns the errors of TLSOptions that need no file.
func (s *Settings) CheckTLS() error {
	_, err := s.Bool("verify", true)
	if (s.Options["cert"] == "") != (s.Options["key"] == "") {
		err = cli.Join(err, errors.New("options cert and key: a client certificate needs both"))
	}
	return err
}

// TLSConfig returns the configuration of a connection to a host, with TLS 1.2 or later. The files
// are read at each call, so that a replaced certificate is used by the next connection. The options
// are ca (a file of certificates; default those of the host), cert and key (files of a client
// certificate), server_name (default host), and verify (false: any certificate is accepted).
func (s *Settings) TLSConfig(host string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host}
	if name := s.Options["server_name"]; name != "" {
		c.ServerName = name
	}
	verify, err := s.Bool("verify", true)
	if err != nil {
		return nil, err
	}
	c.InsecureSkipVerify = !verify
	if path := s.Options["ca"]; path != "" {
		pem, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("option ca: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("option ca: %s: no certificate in PEM", path)
		}
	}
	if path := s.Options["cert"]; path != "" {
		pair, err := tls.LoadX509KeyPair(path, s.Options["key"])
		if err != nil {
			return nil, fmt.Errorf("options cert and key: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}
