// Package httpaccess decides which HTTP requests are answered: by the host in the URL of a request,
// and by a token. The check of the host keeps pages of other sites from reading answers by DNS
// rebinding: the name of such a site has an address of this host, and the browser of a user on this
// host sends requests for the name. The check of the token is for clients that can reach the
// server, and are not allowed to read.
package httpaccess

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
)

// Policy says which requests are answered. The zero Policy answers all requests for IP addresses and
// localhost.
type Policy struct {
	Hosts []string // names that may be in a URL, beside localhost
	Token string   // of all paths but /healthz and /readyz; "": no token is needed
}

// Handler answers requests that a policy refuses, and passes all other requests on.
type Handler struct {
	next   http.Handler
	policy atomic.Pointer[Policy]
}

// New returns a Handler with the zero Policy.
func New(next http.Handler) *Handler {
	h := &Handler{next: next}
	h.SetPolicy(Policy{})
	return h
}

// SetPolicy replaces the policy, also while requests are served.
func (h *Handler) SetPolicy(p Policy) {
	hosts := []string{"localhost"}
	for _, name := range p.Hosts {
		hosts = append(hosts, hostOf(name))
	}
	h.policy.Store(&Policy{Hosts: hosts, Token: p.Token})
}

// ServeHTTP implements http.Handler. A request for the host of another site is answered with 421, a
// request without the token with 401.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p := h.policy.Load()
	switch {
	case !p.acceptsHost(r.Host):
		http.Error(w, fmt.Sprintf("no answer for the host %q: the key http_hosts (--http-hosts NAME) "+
			"sets names of this server; IP addresses and localhost need no key", hostOf(r.Host)),
			http.StatusMisdirectedRequest)
	case !p.acceptsToken(r):
		w.Header().Add("WWW-Authenticate", `Bearer realm="udpshard"`)
		w.Header().Add("WWW-Authenticate", `Basic realm="udpshard", charset="UTF-8"`)
		http.Error(w, "the token of the key http_token is needed: Authorization: Bearer TOKEN, "+
			"or any user with the token as password", http.StatusUnauthorized)
	default:
		h.next.ServeHTTP(w, r)
	}
}

// acceptsHost reports whether requests with a value of the field Host are answered. Requests without
// a host are not from a browser.
func (p *Policy) acceptsHost(field string) bool {
	host := hostOf(field)
	_, err := netip.ParseAddr(host)
	return field == "" || err == nil || slices.Contains(p.Hosts, host)
}

// hostOf returns the host of a field Host in lower case, without port, brackets and the dot at the
// end of a complete name.
func hostOf(field string) string {
	host := field
	if name, _, err := net.SplitHostPort(field); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// acceptsToken reports whether a request has the token, or needs none. The token is a bearer token
// (RFC 6750), or the password of any user (RFC 7617), for which a browser asks its user.
func (p *Policy) acceptsToken(r *http.Request) bool {
	if p.Token == "" || r.URL.Path == "/healthz" || r.URL.Path == "/readyz" {
		return true
	}
	if _, password, ok := r.BasicAuth(); ok {
		return isEqual(password, p.Token)
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.EqualFold(scheme, "Bearer") && isEqual(strings.TrimLeft(token, " "), p.Token)
}

// isEqual compares in a time that depends on the length of the first text only.
func isEqual(given, want string) bool {
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(want))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

const (
	// minToken is the least length of a token in bytes: 64 bits, if the token is in hexadecimal.
	minToken = 16
	// maxToken is the largest length of a token in bytes. The HTTP server reads header fields of 16
	// KiB, and a browser sends the token in base64.
	maxToken = 1024
)

// CheckToken returns the error of a token that is too short or too long, or has characters that a
// header field can't have. The error does not have the token.
func CheckToken(token string) error {
	isSpecial := func(c rune) bool { return c <= ' ' || c > '~' }
	switch {
	case token == "":
		return errors.New("the token is empty")
	case strings.ContainsFunc(token, isSpecial):
		return errors.New("the token has spaces, or characters that are not printable ASCII")
	case len(token) < minToken || len(token) > maxToken:
		return fmt.Errorf("the token has %d characters, and must have %d to %d",
			len(token), minToken, maxToken)
	}
	return nil
}

// WithHeaders returns a handler that adds header fields for browsers to each answer: a page loads
// nothing from other servers, is in no frame, and is not readable for pages of other sites.
func WithHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, value := range map[string]string{
			"X-Content-Type-Options": "nosniff", // senders choose texts in some answers
			"Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'none'; " +
				"frame-ancestors 'none'",
			"Referrer-Policy":              "no-referrer",
			"Cross-Origin-Resource-Policy": "same-origin",
		} {
			w.Header().Set(name, value)
		}
		next.ServeHTTP(w, r)
	})
}
