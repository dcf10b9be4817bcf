package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/regular"
	"github.com/udpshard/udpshard/packet/dns/cookie"
)

const secretFileKey = "cookie_secret_file"

// cookieSettings are the settings of the secrets of DNS cookies, which all listeners share.
var cookieSettings = []setting[Config]{
	{flag: "cookie-secret-file", key: secretFileKey,
		usage: "dns: make cookies with the first secret in `FILE`, and accept the second too: 32 hexadecimal digits a line",
		offer: cli.Files,
		field: bind(cli.ParseText, func(c *Config) *string { return &c.secretFile })},
	{flag: "cookie-rotate", key: "cookie_rotate", init: "24h",
		usage: "dns: make a new secret of cookies each `DURATION`, 1h to 864h (36 days)",
		field: bind(parseCookieRotate, func(c *Config) *time.Duration { return &c.CookieRotate })},
}

// Limits of cookie_rotate. A cookie is valid for an hour (RFC 9018 4.3), and a secret is accepted for
// a period after its own. RFC 7873 7.1 limits the use of a secret to 36 days.
const (
	minCookieRotate = time.Hour
	maxCookieRotate = 36 * 24 * time.Hour
)

func parseCookieRotate(text string) (time.Duration, error) {
	d, err := cli.ParseDuration(text)
	if err == nil && (d < minCookieRotate || d > maxCookieRotate) {
		err = fmt.Errorf("%s is not between 1h and 864h, which are 36 days", text)
	}
	return d, err
}

// CookieState returns the path of the file in which secrets that rotate outlive the process, in the
// state folder; "" if there is none.
func (c *Config) CookieState() string {
	folder, ofService := stateFolder()
	switch {
	case folder == "" || len(c.CookieSecrets) > 0 || !c.hasCookies():
		return ""
	case ofService:
		return filepath.Join(folder, "cookie-secrets")
	}
	return filepath.Join(folder, "udpshard-cookie-secrets") // the folder udpshard is the spool
}

func (c *Config) hasCookies() bool {
	return slices.ContainsFunc(c.Listeners, func(l *Listener) bool { return l.Protocol == "dns" && l.Cookies })
}

// checkCookies reads the secrets of the file. The errors do not have the secrets.
func (c *Config) checkCookies() error {
	var errs []error
	for _, s := range cookieSettings {
		if c.IsSet(s.key) && !c.hasCookies() {
			errs = append(errs, c.ErrorAt(s.key, errors.New("without effect: no listener has DNS cookies")))
		}
	}
	if !c.IsSet(secretFileKey) || len(errs) > 0 {
		return cli.Join(errs...)
	}
	if c.IsSet("cookie_rotate") {
		errs = append(errs, c.ErrorAt("cookie_rotate", errors.New("without effect: the secrets of "+secretFileKey+" do not rotate")))
	}
	var err error
	if c.CookieSecrets, err = readSecrets(c.secretFile); err != nil {
		const hint = "openssl rand -hex 16 makes a secret"
		errs = append(errs, c.ErrorAt(secretFileKey, cli.WithHint(err, hint)))
	}
	return cli.Join(errs...)
}

// maxSecretFile is the largest size of a file of secrets in bytes: two lines, and room for spaces.
const maxSecretFile = 4096

// readSecrets reads one or two secrets, one a line, as NSD does.
func readSecrets(path string) (secrets []cookie.Secret, err error) {
	data, err := regular.Read(path, maxSecretFile, fileTimeout)
	if err != nil {
		return nil, err
	}
	number := 0
	for line := range strings.Lines(string(data)) {
		number++
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		secret, err := cookie.ParseSecret(line)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, number, err)
		}
		secrets = append(secrets, secret)
	}
	if len(secrets) == 0 || len(secrets) > 2 {
		return nil, fmt.Errorf("%s: has %d secrets, not one or two", path, len(secrets))
	}
	return secrets, nil
}
