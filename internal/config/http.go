package config

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/hostport"
	"github.com/udpshard/udpshard/internal/httpaccess"
	"github.com/udpshard/udpshard/internal/regular"
	"github.com/udpshard/udpshard/internal/ship"
)

const tokenKey = "http_token"

// HTTPAccess returns which HTTP requests are answered. A host name in the HTTP address is a name of
// this host.
func (c *Config) HTTPAccess() httpaccess.Policy {
	hosts := slices.Clone(c.httpHosts)
	if at, err := hostport.Parse("tcp", c.HTTP); err == nil && at.IsName() {
		hosts = append(hosts, at.Host)
	}
	return httpaccess.Policy{Hosts: hosts, Token: c.HTTPToken}
}

// maxHostName is the largest length of a host name in bytes (RFC 1035 2.3.4).
const maxHostName = 253

func parseHosts(text string) ([]string, error) {
	names, err := parseList(text)
	for _, name := range names {
		if err := checkHost(name); err != nil {
			return nil, err
		}
	}
	return names, err
}

// checkHost returns the error of a name that no URL has as its host.
func checkHost(name string) error {
	isOther := func(c rune) bool {
		isLetter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		return !isLetter && (c < '0' || c > '9') && !strings.ContainsRune("-._", c)
	}
	_, noIP := netip.ParseAddr(strings.Trim(name, "[]"))
	switch {
	case noIP == nil:
		return fmt.Errorf("%q is an IP address, and IP addresses are always accepted: leave it out", name)
	case len(name) > maxHostName || name == "." || strings.ContainsFunc(name, isOther):
		err := fmt.Errorf("%q is not a host name such as logs.example.org", name)
		_, host, isURL := strings.Cut(name, "://")
		if !isURL {
			host = name
		}
		host, _, _ = strings.Cut(host, "/")
		if host, _, _ = strings.Cut(host, ":"); host != "" && host != name && checkHost(host) == nil {
			err = cli.Suggest(err, host)
		}
		return err
	}
	return nil
}

// tokenReference returns the text of the key http_token for a file with a token.
func tokenReference(file string) (string, error) {
	switch {
	case file == "":
		return "", errors.New("empty file name")
	case strings.Contains(file, "}"):
		return "", fmt.Errorf("%s: the name of the file must not have the character }", file)
	}
	return "${file:" + file + "}", nil
}

// readToken reads the token of HTTP. The errors do not have the token.
func (c *Config) readToken() error {
	if !c.IsSet(tokenKey) || c.keys[tokenKey].unusable {
		return nil
	}
	token, err := regular.WithTimeout(fileTimeout, "read the token",
		func() (string, error) { return ship.ExpandSecrets(c.tokenText) })
	if err == nil {
		if err = httpaccess.CheckToken(token); err != nil {
			err = cli.WithHint(err, "openssl rand -hex 32 makes a token")
		}
	}
	if err != nil {
		return c.ErrorAt(tokenKey, err)
	}
	c.HTTPToken = token
	return nil
}
