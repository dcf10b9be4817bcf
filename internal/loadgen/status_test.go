package loadgen

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/udpshard/udpshard/metrics"
)

const none = "none"

func process(pid int) metrics.ProcessStatus { return metrics.ProcessStatus{PID: pid} }

// instance answers each request with the status for the number of the request, and not at all where
// its CountersID is none.
func instance(t *testing.T, status func(request int) metrics.Status) string {
	t.Helper()
	var requests atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v1/status" {
			http.NotFound(w, r)
			return
		}
		now := status(int(requests.Add(1)))
		if now.CountersID == none {
			panic(http.ErrAbortHandler) // closes the connection, as the end of a process does
		}
		now.CountersID, now.PID = cmp.Or(now.CountersID, "1"), cmp.Or(now.PID, 1)
		json.NewEncoder(w).Encode(now)
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
		n := uint64(request-1) * 20 // arrived so far
		return metrics.Status{Listeners: []metrics.ListenerStatus{
			listening("127.0.0.2:5514"),
			listening(":5514", reading(1000+n, 5, n%40), reading(50+n, 5+n/20, 0)),
		}}
	})
	for _, address := range []string{url, url + "/", url + "/api/v1/status"} {
		r, err := NewReceiver(context.Background(), address, "", to)
		if err != nil {
			t.Fatal(err)
		}
		a, err := r.WaitDelivered(context.Background(), 80, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if a.Listener != "n:5514" || a.Received < 80 || a.Dropped.Kernel != a.Received/40 || a.Lost != 0 || a.InFlight != 0 || a.More != a.Received+a.Dropped.Kernel-80 || a.Complete() {
			t.Errorf("%+v", a)
		}
	}
}

func TestReceiverGivesUp(t *testing.T) {
	url := instance(t, func(request int) metrics.Status {
		return metrics.Status{Listeners: []metrics.ListenerStatus{listening("127.0.0.1:5514", reading(uint64(min(request, 3)), 0, 0))}}
	})
	r, err := NewReceiver(context.Background(), url, "", to)
	if err != nil {
		t.Fatal(err)
	}
	a, err := r.WaitDelivered(context.Background(), 10, 500*time.Millisecond)
	if err != nil || a.Received != 2 || a.Lost != 8 || a.Complete() {
		t.Errorf("%+v, %v", a, err)
	}
}

// After a moment without answers, another process has the counters, with fewer shards and another
// name of the listener.
func TestReceiverAcrossAnUpgrade(t *testing.T) {
	at := "127.0.0.1:5514"
	url := instance(t, func(request int) metrics.Status {
		switch {
		case request == 1:
			return metrics.Status{ProcessStatus: process(1), StartedAt: time.Unix(1, 0), Listeners: []metrics.ListenerStatus{
				listening(at, reading(1000, 7, 0), reading(200, 0, 0), reading(30, 1, 0))}}
		case request < 5:
			return metrics.Status{CountersID: none}
		}
		renamed := listening(at, reading(1030+40, 8, 0), reading(200+57, 3, 0))
		renamed.Name = "other"
		return metrics.Status{ProcessStatus: process(9), StartedAt: time.Unix(9, 0), Listeners: []metrics.ListenerStatus{
			listening("127.0.0.2:5514", reading(1, 1, 1)), renamed}}
	})
	r, err := NewReceiver(context.Background(), url, "", to)
	if err != nil {
		t.Fatal(err)
	}
	a, err := r.WaitDelivered(context.Background(), 100, time.Minute)
	if err != nil || a.Received != 97 || a.Dropped.Kernel != 3 || a.Missing() != 3 || a.Listener != "other" {
		t.Errorf("%+v, %v", a, err)
	}
	if len(a.Shards) != 2 || a.Shards[0].Received != 40 || a.Shards[0].Dropped.Kernel != 0 || a.Shards[1].Received != 57 || a.Shards[1].Dropped.Kernel != 3 {
		t.Errorf("%+v", a.Shards)
	}
}

// A silent instance is an error at the end of the wait.
func TestReceiverOfAnInstanceThatEnds(t *testing.T) {
	url := instance(t, func(request int) metrics.Status {
		if request > 1 {
			return metrics.Status{CountersID: none}
		}
		return metrics.Status{Listeners: []metrics.ListenerStatus{listening("127.0.0.1:5514")}}
	})
	r, err := NewReceiver(context.Background(), url, "", to)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = r.WaitDelivered(context.Background(), 1, 50*time.Millisecond); err == nil || !strings.Contains(err.Error(), "no instance answers") {
		t.Error(err)
	}
}

// Datagrams that may be in a receive queue do not count as lost.
func TestReceiverTellsWhatWaits(t *testing.T) {
	queued := reading(60, 5, 2)
	queued.QueueBytes = 2304
	url := instance(t, func(request int) metrics.Status {
		if request == 1 {
			return metrics.Status{Listeners: []metrics.ListenerStatus{listening("127.0.0.1:5514", reading(0, 0, 0))}}
		}
		return metrics.Status{Listeners: []metrics.ListenerStatus{listening("127.0.0.1:5514", queued)}}
	})
	r, err := NewReceiver(context.Background(), url, "", to)
	if err != nil {
		t.Fatal(err)
	}
	a, err := r.WaitDelivered(context.Background(), 68, 50*time.Millisecond)
	if err != nil || a.Waiting != 3 || a.Lost != 0 || a.QueueBytes != 2304 || a.Missing() != 10 || a.Complete() {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestReceiverErrors(t *testing.T) {
	other := instance(t, func(request int) metrics.Status {
		return metrics.Status{ProcessStatus: process(7), CountersID: fmt.Sprint("c", request), Listeners: []metrics.ListenerStatus{listening("127.0.0.1:5514")}}
	})
	standby := instance(t, func(request int) metrics.Status {
		return metrics.Status{Role: metrics.Standby, Listeners: []metrics.ListenerStatus{listening("127.0.0.1:5514")}}
	})
	gone := instance(t, func(int) metrics.Status { return metrics.Status{} })
	for address, want := range map[string]string{
		"http://127.0.0.1:1":    "no instance answers",
		"127.0.0.1:9514":        "is not a URL",
		"http://":               "is not a URL",
		other + "/nothing/here": "404",
		standby:                 "the instance is a standby",
		gone:                    "no listener at 127.0.0.1:5514",
	} {
		if _, err := NewReceiver(context.Background(), address, "", to); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", address, err)
		}
	}
	r, err := NewReceiver(context.Background(), other, "", to)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.WaitDelivered(context.Background(), 1, time.Minute); err == nil || !strings.Contains(err.Error(), "the counters of the instance are c2, and were c1 before the run") {
		t.Error(err)
	}
}
