package client

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/udpshard/udpshard/internal/cli"
)

const token = "0123456789abcdef"

// The token is sent for the status of an instance, and neither for the readiness nor to another
// address, to which an answer redirects.
func TestTokenIsForTheInstance(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the redirect is followed, with the fields %v", r.Header)
	}))
	defer elsewhere.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/readyz":
			if r.Header.Get("Authorization") != "" {
				t.Error("the readiness is asked with a token")
			}
		case "/moved":
			http.Redirect(w, r, elsewhere.URL+"/status", http.StatusTemporaryRedirect)
		case "/421":
			w.WriteHeader(http.StatusMisdirectedRequest)
		default:
			if r.Header.Get("Authorization") != "Bearer "+token {
				w.WriteHeader(http.StatusUnauthorized)
			}
			io.WriteString(w, `{"pid":7}`)
		}
	}))
	defer server.Close()
	file := filepath.Join(t.TempDir(), "token")
	at := func(path string) Instance {
		i, err := NewURL(server.URL+path, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		return i
	}
	instance := at("").WithTokenFile(file)
	for text, want := range map[string]string{token: "", " " + token + "\r\n": "", "another-token-012": "does not accept the token: 401", "short": "the token has 5 characters"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := instance.Status(context.Background())
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), text)) {
			t.Errorf("token %q: error %v, want %q", text, err, want)
		}
	}
	if _, err := instance.Ready(context.Background()); err != nil {
		t.Error(err)
	}
	if _, err := at("").WithToken(token).Status(context.Background()); err != nil {
		t.Error(err)
	}
	for _, test := range []struct {
		instance    Instance
		error, hint string
	}{
		{at(""), "the instance at " + server.URL + " asks for a token: 401 Unauthorized", "--http-token-file FILE, or $UDPSHARD_HTTP_TOKEN_FILE: a file with the token of http_token of the instance"},
		{at("/421").WithToken(token), "does not answer requests for the host 127.0.0.1: 421 Misdirected Request", "add 127.0.0.1 to http_hosts of the instance"},
		{at("/moved").WithToken(token), "has another address: 307 Temporary Redirect", `ask at "` + elsewhere.URL + `/status"`},
		{at("").WithTokenFile("/nonexistent/token"), "token: open /nonexistent/token: no such file or directory", ""},
	} {
		_, err := test.instance.Status(context.Background())
		if err == nil || !strings.Contains(err.Error(), test.error) || !strings.Contains(cli.Hint(err), test.hint) {
			t.Errorf("error %v, hint %q, want %s, hint %q", err, cli.Hint(err), test.error, test.hint)
		}
	}
}

// The flag overrides the variable.
func TestTokenFlag(t *testing.T) {
	t.Setenv(TokenFileVariable, "of-variable")
	for _, test := range []struct {
		args []string
		want string
	}{{nil, "of-variable"}, {[]string{"--http-token-file", "of-flag"}, "of-flag"}} {
		var file string
		set := pflag.NewFlagSet("", pflag.ContinueOnError)
		AddTokenFlag(set, &file)
		if err := set.Parse(test.args); err != nil || file != test.want {
			t.Errorf("%q: file %q, %v, want %q", test.args, file, err, test.want)
		}
	}
}
