package httpaccess

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

const token = "0123456789abcdef"

// serve returns the answer to a request with a host, for a path, with a value of Authorization.
func serve(h http.Handler, host, path, authorization string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Host = host
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

var page = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "page") })

func TestHosts(t *testing.T) {
	h := New(page)
	h.SetPolicy(Policy{Hosts: []string{"Logs.Example.org", "front."}})
	for host, code := range map[string]int{
		"127.0.0.1": 200, "127.0.0.1:9514": 200, "192.0.2.7:80": 200, "[::1]": 200, "[::1]:9514": 200, "::1": 200,
		"[fe80::1%25eth0]:9514": 200, "[::ffff:127.0.0.1]:9514": 200,
		"localhost": 200, "LocalHost.:9514": 200, "localhost:80": 200,
		"logs.example.org": 200, "LOGS.example.ORG.:443": 200, "front": 200, "front:9514": 200,
		"":            200,
		"example.org": 421, "evil.example:9514": 421, "a.logs.example.org": 421, "localhost.evil.example": 421,
		"127.0.0.1.evil.example": 421, "evil.localhost": 421, "2130706433": 421, "127.1": 421, "[evil.example]:80": 421, ".": 421, ":9514": 421,
	} {
		for _, path := range []string{"/metrics", "/healthz", "/readyz"} {
			w := serve(h, host, path, "")
			if w.Code != code {
				t.Errorf("%s for the host %q: %d, want %d", path, host, w.Code, code)
			}
			if body := w.Body.String(); code == 421 && !strings.Contains(body, "http_hosts") {
				t.Errorf("host %q: %s", host, body)
			}
		}
	}
}

func TestToken(t *testing.T) {
	basic := func(user, password string) string {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.SetBasicAuth(user, password)
		return r.Header.Get("Authorization")
	}
	h := New(page)
	h.SetPolicy(Policy{Token: token})
	for _, test := range []struct {
		path, authorization string
		code                int
	}{
		{"/", "", 401}, {"/metrics", "", 401}, {"/healthz", "", 200}, {"/readyz", "", 200}, {"/healthz/", "", 401}, {"//readyz", "", 401},
		{"/", "Bearer " + token, 200}, {"/", "bearer  " + token, 200}, {"/", "BEARER " + token, 200},
		{"/", token, 401}, {"/", "Bearer", 401}, {"/", "Bearer ", 401}, {"/", "Bearer " + token + "x", 401}, {"/", "Bearer " + token[1:], 401},
		{"/", "Token " + token, 401}, {"/", "Bearer " + token + " " + token, 401},
		{"/", basic("ann", token), 200}, {"/", basic("", token), 200}, {"/", basic(token, ""), 401}, {"/", basic("ann", "other"), 401}, {"/", "Basic " + token, 401},
		{"/readyz", "Bearer wrong", 200},
	} {
		w := serve(h, "localhost", test.path, test.authorization)
		if w.Code != test.code {
			t.Errorf("%s with %q: %d, want %d", test.path, test.authorization, w.Code, test.code)
		}
		challenges := fmt.Sprint(w.Header().Values("WWW-Authenticate"))
		if want := `[Bearer realm="udpshard" Basic realm="udpshard", charset="UTF-8"]`; test.code == 401 && challenges != want {
			t.Errorf("%s: challenges %s", test.path, challenges)
		}
		if strings.Contains(w.Body.String(), token) {
			t.Errorf("%s with %q: the answer has the token: %s", test.path, test.authorization, w.Body)
		}
	}
	// The host comes first: a page of another site learns nothing about the token.
	if w := serve(h, "evil.example", "/", ""); w.Code != 421 {
		t.Errorf("another host without a token: %d", w.Code)
	}
}

// A new policy is in force for the next request.
func TestSetPolicy(t *testing.T) {
	h := New(page)
	if w := serve(h, "localhost", "/", ""); w.Code != 200 {
		t.Errorf("without a token: %d", w.Code)
	}
	h.SetPolicy(Policy{Hosts: []string{"front"}, Token: token})
	if w := serve(h, "front", "/", ""); w.Code != 401 {
		t.Errorf("with a token: %d", w.Code)
	}
	h.SetPolicy(Policy{})
	if w := serve(h, "front", "/", ""); w.Code != 421 {
		t.Errorf("a host that is not configured any more: %d", w.Code)
	}
}

func TestCheckToken(t *testing.T) {
	for text, valid := range map[string]bool{
		token: true, token[1:]: false, strings.Repeat("x", 1024): true, strings.Repeat("x", 1025): false, "": false,
		"a token with spaces": false, token + "\n": false, token + "é": false, token + "\x7f": false, "!~+/=._-:" + token: true,
	} {
		if err := CheckToken(text); (err == nil) != valid {
			t.Errorf("%q: %v", text, err)
		} else if err != nil && len(text) > 1 && strings.Contains(err.Error(), text) {
			t.Errorf("the error has the token: %v", err)
		}
	}
}

// Answers of the policy have the header fields for browsers, too.
func TestWithHeaders(t *testing.T) {
	access := New(page)
	access.SetPolicy(Policy{Token: token})
	h := WithHeaders(access)
	for host, code := range map[string]int{"localhost": 401, "evil.example": 421} {
		w := serve(h, host, "/", "")
		if w.Code != code {
			t.Errorf("host %s: %d", host, w.Code)
		}
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cross-Origin-Resource-Policy": "same-origin",
			"Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
		} {
			if got := w.Header().Values(name); len(got) != 1 || got[0] != want {
				t.Errorf("%d: %s is %q", code, name, got)
			}
		}
	}
}
