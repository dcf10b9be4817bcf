package ship

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/udpshard/udpshard/internal/cli"
)

// reference is a reference to a secret in the value of an option, with the literal text before it.
type reference struct {
	before     string
	kind, name string // file and a path, env and a variable; "": the end of the value
}

// parseReferences splits the value of an option at ${file:PATH} and ${env:NAME}.
func parseReferences(value string) (all []reference, err error) {
	for {
		before, rest, found := strings.Cut(value, "${")
		if !found {
			return append(all, reference{before: before}), nil
		}
		inner, after, ended := strings.Cut(rest, "}")
		kind, name, _ := strings.Cut(inner, ":")
		if !ended || name == "" || kind != "file" && kind != "env" {
			return nil, errors.New("${ must begin ${file:PATH} or ${env:NAME}")
		}
		all, value = append(all, reference{before, kind, name}), after
	}
}

// CheckSecrets returns the errors in the form of references in SecretOptions. CheckSecrets reads no
// file and no variable.
func (s *Settings) CheckSecrets() error {
	var errs []error
	for _, key := range s.secretOptions() {
		if _, err := parseReferences(s.Options[key]); err != nil {
			errs = append(errs, fmt.Errorf("option %s: %w", key, err))
		}
	}
	return cli.Join(errs...)
}

// LiteralSecrets returns the SecretOptions with a value that is more than references. CheckSecrets
// has the errors of other values.
func (s *Settings) LiteralSecrets() (keys []string) {
	for _, key := range s.secretOptions() {
		parts, err := parseReferences(s.Options[key])
		isLiteral := func(r reference) bool { return r.before != "" }
		if name, isHeader := strings.CutPrefix(key, HeaderPrefix); isHeader && !namesSecret(name) {
			continue
		}
		if err == nil && slices.ContainsFunc(parts, isLiteral) {
			keys = append(keys, key)
		}
	}
	return keys
}

// HeaderPrefix begins the names of options with header fields of HTTP: header.NAME. Any header
// field may have a secret.
const HeaderPrefix = "header."

// IsSecret reports whether the value of an option is never shown.
func IsSecret(key string) bool {
	return slices.Contains(SecretOptions, key) || strings.HasPrefix(key, HeaderPrefix)
}

// secretOptions returns the options for which IsSecret holds, sorted.
func (s *Settings) secretOptions() (keys []string) {
	for key := range s.Options {
		if IsSecret(key) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// namesSecret reports whether the name of a header field is the name of a secret, such as
// Authorization, X-API-Key and Api-Token: such a value must be a reference on the command line.
func namesSecret(name string) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc([]string{"auth", "cookie", "key", "password", "secret", "token"},
		func(word string) bool { return strings.Contains(name, word) })
}

// CheckQuery returns an error if a parameter in the query of a URL is a secret by its name: the URL
// of a target is in logs, status and metrics. The error has the name only.
func CheckQuery(u *url.URL) error {
	for pair := range strings.FieldsFuncSeq(u.RawQuery, func(c rune) bool { return c == '&' || c == ';' }) {
		name, _, _ := strings.Cut(pair, "=")
		plain := strings.NewReplacer("-", "", "_", "", ".", "").Replace(strings.ToLower(name))
		isSecret := slices.Contains([]string{"auth", "key", "pass", "pwd", "token", "accesstoken",
			"authtoken"}, plain)
		for _, word := range []string{"password", "passwd", "secret", "apikey", "accesskey", "licensekey",
			"authorization"} {
			isSecret = isSecret || strings.Contains(plain, word)
		}
		if isSecret {
			err := fmt.Errorf("%s in the query of the URL: the URL of a target is in logs and status", name)
			return cli.WithHint(err, "the options user and password, token or header.NAME")
		}
	}
	return nil
}
