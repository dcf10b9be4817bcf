package load

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/udpshard/udpshard/metrics"
)

// instance answers with a status that each request moves on.
func instance(t *testing.T, status func(request int) metrics.Status) string {
	t.Helper()
	var requests atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v1/status" {
			http.NotFound(w, r)
			return
		}
		json.NewEncoder(w).Encode(status(int(requests.Add(1))))
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func listening(at string, shards ...metrics.Reading) metrics.ListenerStatus {
	return metrics.ListenerStatus{Name: "n" + at, Address: at, Shards: shards}
}

func reading(received, kernel, inFlight uint64) metrics.Reading {
	return metrics.Reading{Received: received, Delivered: received - inFlight, InFlight: inFlight, Dropped: metrics.Drops{Kernel: kernel}}
}

var to = netip.MustParseAddrPort("127.0.0.1:5514")

func TestReceiver(t *testing.T) {
	url := instance(t, func(request int) metrics.Status {
		n := uint64(request-1) * 20 // what has arrived by then
		return metrics.Status{PID: 7, Listeners: []metrics.ListenerStatus{
			listening("127.0.0.2:5514"),
			listening(":5514", reading(1000+n, 5, n%40), reading(50+n, 5+n/20, 0)),
		}}
	})
	for _, address := range []string{url, url + "/", url + "/api/v1/status"} {
		r, err := NewReceiver(context.Background(), address, to)
		if err != nil {
			t.Fatal(err)
		}
		a, err := r.Settle(context.Background(), 80, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if a.Listener != "n:5514" || a.Received < 80 || a.Kernel != a.Received/40 || a.Lost != 0 || a.InFlight != 0 || a.More != a.Received+a.Kernel-80 || a.Complete() {
			t.Errorf("%+v", a)
		}
	}
}

func TestReceiverGivesUp(t *testing.T) {
	url := instance(t, func(request int) metrics.Status {
		return metrics.Status{Listeners: []metrics.ListenerStatus{listening("127.0.0.1:5514", reading(uint64(min(request, 3)), 0, 0))}}
	})
	r, err := NewReceiver(context.Background(), url, to)
	if err != nil {
		t.Fatal(err)
	}
	a, err := r.Settle(context.Background(), 10, 500*time.Millisecond)
	if err != nil || a.Received != 2 || a.Lost != 8 || a.Complete() {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestReceiverErrors(t *testing.T) {
	other := instance(t, func(request int) metrics.Status {
		return metrics.Status{PID: request, Listeners: []metrics.ListenerStatus{listening("127.0.0.1:5514")}}
	})
	gone := instance(t, func(int) metrics.Status { return metrics.Status{} })
	for address, want := range map[string]string{
		"http://127.0.0.1:1":    "no instance answers",
		"127.0.0.1:9514":        "is not a URL",
		"http://":               "is not a URL",
		other + "/nothing/here": "404",
		gone:                    "no listener at 127.0.0.1:5514",
	} {
		if _, err := NewReceiver(context.Background(), address, to); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", address, err)
		}
	}
	r, err := NewReceiver(context.Background(), other, to)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Settle(context.Background(), 1, time.Minute); err == nil || !strings.Contains(err.Error(), "another instance") {
		t.Error(err)
	}
}
