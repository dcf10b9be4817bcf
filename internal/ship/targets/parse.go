package targets

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/ship"
)

// Parse returns the settings of a target: of a URL such as nats://H1:4222,H2:4222/SUBJECT, with
// options in the fragment: #per=batch&create_stream=true. A user and a password in the URL become
// the options user and password; a user without a password is the token for nats, as for the
// programs of NATS. In all parts %XX stands for a byte. Errors have no part of the text that may
// be a secret: at most the name of an option, or a text without user, password and options.
func Parse(text string) (*ship.Settings, error) {
	address, fragment, _ := strings.Cut(text, "#")
	name, rest, found := strings.Cut(address, "://")
	if !found {
		err := errors.New("a target is a URL")
		return nil, cli.WithHint(err, "SCHEME://HOST:PORT; the schemes are "+strings.Join(Schemes, ", "))
	}
	end := len(rest)
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		end = i
	}
	authority, path := rest[:end], rest[end:]
	if strings.Contains(path, "@") {
		return nil, errors.New("in the URL, write %40 for @ in a path, and %2F for / in a password")
	}
	user, hosts, hasUser := strings.Cut(authority, "@")
	if !hasUser {
		user, hosts = "", authority
	}
	if strings.Contains(hosts, "@") {
		return nil, errors.New("the URL has more than one @: write %40 for @ in a password")
	}
	u, err := parseHosts(name, hosts, path)
	if err != nil {
		return nil, err
	}
	s := &ship.Settings{URL: u, Options: make(map[string]string)}
	if hasUser {
		if err := addUser(s, user); err != nil {
			return nil, err
		}
	}
	return s, addOptions(s.Options, fragment)
}

// parseHosts returns the URL of several hosts, separated by commas.
func parseHosts(scheme, hosts, path string) (*url.URL, error) {
	var first *url.URL
	var all []string
	for host := range strings.SplitSeq(hosts, ",") {
		u, err := url.Parse(scheme + "://" + host + path)
		if wrapped := new(url.Error); errors.As(err, &wrapped) {
			return nil, fmt.Errorf("the URL: %w", wrapped.Err) // without the text, which may have a secret
		}
		if err != nil {
			return nil, err
		}
		if err := ship.CheckQuery(u); err != nil {
			return nil, err
		}
		isPath := strings.HasSuffix(u.Scheme, "+unix") && u.Path != "" // of a socket
		if u.Host == "" && !isPath {
			return nil, errors.New("the URL lacks a host")
		}
		if port := u.Port(); port != "" && !isPort(port) {
			return nil, fmt.Errorf("port %s of the URL is not a number from 1 to 65535", port)
		}
		first, all = cmp.Or(first, u), append(all, u.Host)
	}
	first.Host = strings.Join(all, ",")
	return first, nil
}

func isPort(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && n > 0
}

// addUser adds the options of user:password.
func addUser(s *ship.Settings, text string) error {
	user, password, hasPassword := strings.Cut(text, ":")
	user, userErr := url.PathUnescape(user)
	password, passwordErr := url.PathUnescape(password)
	switch {
	case userErr != nil || passwordErr != nil:
		return errors.New("in user:password of the URL, two hexadecimal digits must follow each %: " +
			"write %25 for %")
	case hasPassword:
		s.Options["user"], s.Options["password"] = user, password
	case s.URL.Scheme == "nats":
		s.Options["token"] = user
	default:
		s.Options["user"] = user
	}
	return nil
}

// addOptions adds the options of a fragment.
func addOptions(options map[string]string, fragment string) error {
	if fragment == "" {
		return nil
	}
	for part := range strings.SplitSeq(fragment, "&") {
		key, text, found := strings.Cut(part, "=")
		if !found || !isName(key) {
			return cli.WithHint(errors.New("options after # are NAME=VALUE, separated by &"),
				"write %26 for & in a value")
		}
		value, err := url.PathUnescape(text)
		if err != nil {
			return fmt.Errorf("option %s: two hexadecimal digits must follow each %%: "+
				"write %%25 for %%", key)
		}
		if err := AddOption(options, key, value); err != nil {
			return err
		}
	}
	return nil
}

// AddOption adds an option, or returns an error if the option is there or cannot have the name.
func AddOption(options map[string]string, key, value string) error {
	if !isName(key) {
		return errors.New("names of options have only letters, digits, and . _ -")
	}
	if _, repeated := options[key]; repeated {
		return fmt.Errorf("option %s is set twice", key)
	}
	options[key] = value
	return nil
}

// isName reports whether an option can have a name.
func isName(key string) bool {
	isOther := func(c rune) bool {
		isLetter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		return !isLetter && (c < '0' || c > '9') && !strings.ContainsRune("_.-", c)
	}
	return key != "" && !strings.ContainsFunc(key, isOther)
}

// Text returns a URL that Parse parses to equal settings: the options are in the fragment, sorted
// by name. Text has the secrets.
func Text(s *ship.Settings) string {
	text, before := s.Name(), "#"
	for _, key := range slices.Sorted(maps.Keys(s.Options)) {
		value := strings.ReplaceAll(url.QueryEscape(s.Options[key]), "+", "%20")
		text, before = text+before+key+"="+value, "&"
	}
	return text
}
