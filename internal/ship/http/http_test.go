package http

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/udpshard/udpshard/internal/ship"
	"github.com/udpshard/udpshard/internal/ship/shiptest"
)

func TestSend(t *testing.T) {
	for _, compress := range []string{"gzip", "zstd", "none"} {
		t.Run(compress, func(t *testing.T) {
			s := newStore(t, nil)
			to := open(t, s.URL+"/insert/jsonline?_stream_fields=host&x=%2F", "compress", compress,
				"header.X-Extra", "a", "header.content-type", "application/json", "id_parameter", "insert_deduplication_token")
			b := shiptest.Numbered(7, 1000)
			for range 3 { // buffers and compressors are used again
				s.forget()
				if e := send(t, to, b); e.Err != nil || len(e.Rejected) > 0 {
					t.Fatal(e.Err, e.Rejected)
				}
				wantKept(t, s, texts(b))
			}
			r := s.requests[0]
			id := b.ID()
			if want := "/insert/jsonline?_stream_fields=host&x=%2F&insert_deduplication_token=" + id; r.Method != "POST" || r.RequestURI != want {
				t.Errorf("%s %s, want %s", r.Method, r.RequestURI, want)
			}
			for key, want := range map[string]string{"Content-Type": "application/json",
				"Idempotency-Key": id, "X-Extra": "a", "User-Agent": "udpshard"} {
				if got := r.Header.Get(key); got != want {
					t.Errorf("%s is %q, want %q", key, got, want)
				}
			}
		})
	}
}

// Records that are no JSON become the member message.
func TestSendOriginal(t *testing.T) {
	s := newStore(t, nil)
	to := open(t, s.URL)
	b := shiptest.Batch(0, "<13>a \"b\"\n\xff", "<14>c")
	b.Format = ship.Original
	send(t, to, b)
	if got := s.requests[0].Header.Get("Content-Type"); got != "application/x-ndjson" {
		t.Errorf("content type %q", got)
	}
	wantKept(t, s, []string{`{"message":"<13>a \"b\"\n` + "\uFFFD" + `"}`, `{"message":"<14>c"}`})
}

// TestStatuses sends a record to servers that answer with each status.
func TestStatuses(t *testing.T) {
	const temporary, permanent, rejects = "temporary", "permanent", "rejects"
	for code, want := range map[int]string{
		301: permanent, 302: permanent, 303: permanent, 304: permanent, 307: permanent, 308: permanent,
		400: rejects, 401: permanent, 403: permanent, 404: permanent, 405: permanent, 406: permanent,
		408: temporary, 409: rejects, 410: permanent, 411: permanent, 412: rejects, 413: rejects,
		414: permanent, 415: permanent, 418: rejects, 421: permanent, 422: rejects, 425: temporary,
		426: permanent, 429: temporary, 431: permanent, 499: rejects,
		500: temporary, 501: temporary, 502: temporary, 503: temporary, 504: temporary, 507: temporary,
	} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			s := newStore(t, func(_ *store, w http.ResponseWriter, _ *request) {
				w.WriteHeader(code)
				fmt.Fprintf(w, "because\n\tof  it%s", strings.Repeat("x", 1000))
			})
			b := shiptest.Numbered(0, 1)
			b.Note = noteProven
			e := send(t, open(t, s.URL), b)
			got := temporary
			switch {
			case e.Err == nil && len(e.Rejected) == 1:
				got = rejects
			case e.Permanent:
				got = permanent
			}
			if got != want {
				t.Errorf("%s, want %s: %+v", got, want, e)
			}
			text := e.Error()
			if !strings.Contains(text, fmt.Sprint(code)) || len(text) > 500 || code >= 400 && code != 304 && !strings.Contains(text, "because of it") {
				t.Errorf("error %s", text)
			}
		})
	}
	for _, code := range []int{200, 201, 202, 204} {
		s := newStore(t, func(_ *store, w http.ResponseWriter, _ *request) { w.WriteHeader(code) })
		if err := open(t, s.URL).Send(context.Background(), shiptest.Numbered(0, 1)); err != nil {
			t.Error(code, err)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "0": 0, "7": 7 * time.Second, "-1": 0, "soon": 0, "999999999999": time.Hour,
		"Sun, 29 Nov 2026 12:00:30 GMT": 30 * time.Second,
		"Sun, 29 Nov 2026 11:59:30 GMT": 0,
		"Mon, 29 Nov 2027 12:00:00 GMT": time.Hour,
	} {
		if got := parseRetryAfter(http.Header{"Retry-After": {text}}, now); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
	for _, code := range []int{408, 429, 503} {
		s := newStore(t, func(_ *store, w http.ResponseWriter, _ *request) {
			w.Header().Set("Retry-After", "12")
			w.WriteHeader(code)
		})
		if e := send(t, open(t, s.URL), shiptest.Numbered(0, 1)); e.RetryAfter != 12*time.Second {
			t.Errorf("%d: %v", code, e.RetryAfter)
		}
	}
}

func TestRedirects(t *testing.T) {
	other := newStore(t, nil)
	s := newStore(t, func(s *store, w http.ResponseWriter, r *request) {
		switch r.URL.Path {
		case "/307", "/308":
			w.Header().Set("Location", "/end")
		case "/301":
			w.Header().Set("Location", "/end?secret=x")
		case "/loop":
			w.Header().Set("Location", "/loop")
			w.WriteHeader(307)
			return
		case "/away":
			w.Header().Set("Location", strings.Replace(other.URL, "127.0.0.1", "localhost", 1)+"/away")
			w.WriteHeader(307)
			return
		case "/end":
			s.keep(r)
			return
		}
		var code int
		fmt.Sscanf(r.URL.Path, "/%d", &code)
		w.WriteHeader(code)
	})
	b := shiptest.Numbered(0, 3)
	for _, path := range []string{"/307", "/308"} {
		s.forget()
		if e := send(t, open(t, s.URL+path), b); e.Err != nil {
			t.Error(path, e.Err)
		}
		wantKept(t, s, texts(b))
	}
	for path, want := range map[string]string{
		"/301": "301 Moved Permanently to " + s.URL + "/end:", "/loop": "307", "/away": "/away: only 307 and 308 to the same host",
	} {
		e := send(t, open(t, s.URL+path, "token", "x"), b)
		if !e.Permanent || !strings.Contains(e.Error(), want) {
			t.Errorf("%s: %+v", path, e)
		}
	}
	if n := other.forget(); n != 0 {
		t.Errorf("the other host got %d requests", n)
	}
}

// A server that repeats a secret does not bring the secret into an error, and a changed secret is
// used by the next request.
func TestSecrets(t *testing.T) {
	s := newStore(t, func(_ *store, w http.ResponseWriter, r *request) {
		w.WriteHeader(401)
		fmt.Fprintf(w, "not %s %s %s", r.Header.Get("Authorization"), r.Header.Get("X-Key"), r.URL.RawQuery)
	})
	file := filepath.Join(t.TempDir(), "secret")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name, sent string
		options    []string
	}{
		{"bearer", "Bearer SECRET1", []string{"token", "${file:" + file + "}"}},
		{"basic", "Basic dTpTRUNSRVQx", []string{"user", "u", "password", "${file:" + file + "}"}},
		{"field", "SECRET1", []string{"header.X-Key", "${file:" + file + "}"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			write("SECRET1")
			s.forget()
			to := open(t, s.URL+"/?q=SECRET1", tt.options...)
			e := send(t, to, shiptest.Numbered(0, 1))
			h := s.requests[0].Header
			if got := h.Get("Authorization") + h.Get("X-Key"); got != tt.sent {
				t.Errorf("sent %q, want %q", got, tt.sent)
			}
			text := e.Error()
			if !e.Permanent || strings.Contains(text, "SECRET") || strings.Contains(text, "dTpTRUNSRVQx") || !strings.Contains(text, "***") {
				t.Errorf("error %s", text)
			}
			write("changed")
			send(t, to, shiptest.Numbered(0, 1))
			h = s.requests[1].Header
			if got := h.Get("Authorization") + h.Get("X-Key"); got == tt.sent {
				t.Errorf("sent %q again", got)
			}
			os.Remove(file)
			if e := send(t, to, shiptest.Numbered(0, 1)); !e.Permanent || !strings.Contains(e.Error(), "no such file") {
				t.Errorf("without the file: %+v", e)
			}
		})
	}
	s.Close()
	e := send(t, open(t, s.URL+"/?q=SECRET1"), shiptest.Numbered(0, 1))
	if text := e.Error(); e.Permanent || strings.Contains(text, "SECRET") || !strings.Contains(text, "refused") {
		t.Errorf("without a server: %s", text)
	}
}

func TestSettings(t *testing.T) {
	for _, tt := range []struct {
		url     string
		options []string
		want    string
	}{
		{"http://h/", []string{"format", "ndjosn"}, "ndjosn"},
		{"http://h/", []string{"compress", "lz4"}, "option compress"},
		{"http://h/", []string{"timeout", "0"}, "option timeout"},
		{"http://h/", []string{"token", "a", "user", "b"}, "option token"},
		{"http://h/", []string{"password", "b"}, "option user"},
		{"http://h/", []string{"tokem", "a"}, "unknown option tokem"},
		{"http://h/", []string{"header.", "a"}, "needs the name"},
		{"http://h/", []string{"header.content-encoding", "a"}, "itself sets"},
		{"http://h/", []string{"also", "ftp://x"}, "http:// or https://"},
		{"http://h/", []string{"also", "http://u:SECRET@x"}, "neither user"},
		{"http://h/", []string{"also", "http://u:SECRET@x%zz"}, "not a list of URLs"},
		{"http://h/", []string{"also", "http://b/?a=b&Access-Token=SECRET"}, "Access-Token in the query"},
		{"http://h,i/", nil, "needs one host"},
		{"http:///x", nil, "needs one host"},
		{"https://h/", []string{"cert", "x"}, "cert and key"},
		{"https://h/", []string{"verify", "maybe"}, "option verify"},
	} {
		_, err := New(shiptest.Settings(t, tt.url, tt.options...))
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%s %q: %v, want %s", tt.url, tt.options, err, tt.want)
		}
	}
	all := []string{"format", "ndjson", "compress", "zstd", "user", "u", "password", "p", "also", "http://b/, https://c/",
		"timeout", "5s", "id_parameter", "t", "header.X-A", "b", "ca", "/none", "server_name", "x", "verify", "false"}
	if _, err := New(shiptest.Settings(t, "https://h/", all...)); err != nil {
		t.Error(err)
	}
}

// A batch allocates little once the buffers are large enough.
func TestBodyAllocatesNothing(t *testing.T) {
	for _, compress := range []string{"gzip", "zstd", "none"} {
		b := shiptest.Numbered(0, 1000)
		to := open(t, "http://127.0.0.1:1", "compress", compress)
		part := slices.Collect(func(yield func(int) bool) {
			for i := range b.Records {
				yield(i)
			}
		})
		if n := testing.AllocsPerRun(20, func() { to.body.write(to.format, b, part) }); n > 2 {
			t.Errorf("%s: %v allocations for 1000 records", compress, n)
		}
	}
}
