package client

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

func TestFlagsOfSeveralInstances(t *testing.T) {
	for _, c := range []struct {
		env  string
		args []string
		want string // addresses, or the error
	}{
		{"", nil, DefaultAddress},
		{"192.0.2.1:9514", nil, "192.0.2.1:9514"},
		{"192.0.2.1:9514", []string{"--http", "192.0.2.2:1", "--http=192.0.2.3:1"}, "192.0.2.2:1 192.0.2.3:1"},
		{"9514", nil, `$UDPSHARD_HTTP: "9514" is not host:port`},
		{"9514", []string{"--http", "192.0.2.2:1", "--http", "1"}, `--http: "1" is not host:port`},
	} {
		t.Setenv(AddressVariable, c.env)
		var f Flags
		set := pflag.NewFlagSet("", pflag.ContinueOnError)
		f.DefineSeveral(set)
		if err := set.Parse(c.args); err != nil {
			t.Fatal(err)
		}
		list, err := f.Instances()
		var got []string
		for _, i := range list {
			got = append(got, i.String())
		}
		if err != nil {
			got = []string{err.Error()}
		}
		if text := strings.Join(got, " "); !strings.HasPrefix(text, c.want) || err == nil && text != c.want {
			t.Errorf("%q, %q: got %q, want %q", c.env, c.args, text, c.want)
		}
	}
}

func TestHistory(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.String() == "/api/v1/history" {
			w.Write([]byte(`{"step_seconds":1,"listeners":[{"name":"a","received":[7]}]}`))
		}
	}))
	defer server.Close()
	i, err := NewURL(server.URL, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	h, err := i.History(context.Background())
	if err != nil || h.StepSeconds != 1 || len(h.Listeners) != 1 || h.Listeners[0].Received[0] != 7 {
		t.Errorf("got %+v, %v", h, err)
	}
	server.Config.Handler = http.NotFoundHandler()
	if _, err := i.History(context.Background()); err == nil || !strings.Contains(err.Error(), "history of the instance at "+server.URL+": 404") {
		t.Errorf("got error %v", err)
	}
}
