package client

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/metrics"
)

// Two processes that both have PID 1, as in two containers, are told apart.
func TestRoleIn(t *testing.T) {
	process := func(pid int, namespace uint64) metrics.ProcessStatus {
		return metrics.ProcessStatus{PID: pid, PIDNamespace: namespace}
	}
	status := metrics.Status{ProcessStatus: process(1, 10), Role: metrics.Active,
		Standbys: []metrics.StandbyStatus{{ProcessStatus: process(1, 20)}, {ProcessStatus: process(7, 30)}, {ProcessStatus: process(8, 10)}}}
	for of, want := range map[metrics.ProcessStatus]string{
		process(1, 10): "active", process(0, 10): "active", process(8, 10): "standby", process(7, 10): "",
		process(1, 20): "standby", process(0, 20): "standby", process(7, 30): "standby", process(1, 30): "", process(0, 40): "",
	} {
		if got := RoleIn(status, of.PID, of.PIDNamespace); got != want {
			t.Errorf("%+v is %q, want %q", of, got, want)
		}
	}
}

func TestInstance(t *testing.T) {
	ready := true
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/readyz" && !ready:
			http.Error(w, "shard 0\nshard 1", http.StatusServiceUnavailable)
		case r.URL.Path == "/readyz":
			fmt.Fprintln(w, "ready")
		case r.URL.Path == "/slow/status":
			<-r.Context().Done()
		case r.URL.Path == "/api/v1/status", r.URL.Path == "/proxied/status":
			fmt.Fprintf(w, `{"pid":7,"pid_namespace":%d,"role":"active"}`, metrics.ThisProcess().PIDNamespace)
		case r.URL.Path == "/text":
			fmt.Fprintln(w, "no status")
		case r.URL.Path == "/json":
			fmt.Fprintln(w, "{}")
		case r.URL.Path == "/half":
			io.WriteString(w, `{"pid":`)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	ctx := context.Background()
	at, err := New("--http", server.Listener.Addr().String(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if answer, err := at.Ready(ctx); answer != "ready" || err != nil {
		t.Error(answer, err)
	}
	ready = false
	if _, err := at.Ready(ctx); err == nil || err.Error() != "not ready: shard 0; shard 1" {
		t.Error(err)
	}
	if pid, err := at.PID(ctx); pid != 7 || err != nil {
		t.Error(pid, err)
	}
	for pid, want := range map[int]string{7: "", 0: "", 8: "pid 8 of this PID namespace is neither the instance"} {
		if role, err := at.Role(ctx, pid); want == "" && (role != "active" || err != nil) || want != "" && !strings.HasPrefix(fmt.Sprint(err), want) {
			t.Errorf("role of pid %d: %q, %v", pid, role, err)
		}
	}
	for path, want := range map[string]string{
		"": "", "/": "", "/proxied/status": "", "/nothing": "404 Not Found", "/text": "invalid character", "/slow/status": "no answer within 100ms",
		"/half": "no answer within 100ms", "/json": "the answer is not the status of udpshard",
	} {
		i, err := NewURL(server.URL+path, 100*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		if status, err := i.Status(ctx); want == "" && (status.PID != 7 || err != nil) || want != "" && !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%s: %+v, %v", i, status, err)
		}
	}
}

func TestInstanceErrors(t *testing.T) {
	for _, text := range []string{"127.0.0.1:9514", "http://", "ftp://127.0.0.1", "http://%"} {
		if i, err := NewURL(text, time.Minute); err == nil {
			t.Errorf("%q is taken for the URL of an instance: %s", text, i)
		}
	}
	if _, err := New("--http", "9514", time.Minute); !cli.IsUsage(err) || cli.Hint(err) != "--http 127.0.0.1:9514" {
		t.Errorf("%v, hint %q", err, cli.Hint(err))
	}
	unused, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	unused.Close()
	i, err := New("--http", unused.Addr().String(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := i.Status(context.Background()); !strings.HasPrefix(cli.Hint(err), "udpshard serve --http "+i.String()) {
		t.Errorf("%v, hint %q", err, cli.Hint(err))
	}
}
