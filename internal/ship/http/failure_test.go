package http

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/udpshard/udpshard/internal/ship/shiptest"
)

var errTest = errors.New("test")

// prompt is how long a call may take that must return at once; the machine may be busy.
const prompt = 10 * time.Second

// A hanging server, and one that hangs within the answer, hold Send only until the end of its
// context, or until the timeout.
func TestHangs(t *testing.T) {
	hang := make(chan struct{})
	answering := make(chan struct{}, 1)
	s := serve(t, func(http.ResponseWriter, *http.Request) {
		answering <- struct{}{}
		<-hang
	})
	defer close(hang)
	to := open(t, s.URL)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-answering
		cancel()
	}()
	start := time.Now()
	if err := to.Send(ctx, shiptest.Numbered(0, 10)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	to = open(t, s.URL, "timeout", "50ms")
	e := send(t, to, shiptest.Numbered(0, 10))
	if e.Permanent || !strings.Contains(e.Error(), "no answer within 50ms") {
		t.Error(e.Err)
	}
	<-answering
	if d := time.Since(start); d > prompt {
		t.Errorf("%v", d)
	}
}

// A peer that accepts the connection, and reads nothing, holds Send only until the end of its context.
func TestPeerReadsNothing(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		c.Read(make([]byte, 1))
		cancel()
		<-t.Context().Done()
	}()
	to := open(t, "http://"+l.Addr().String(), "compress", "none")
	b := shiptest.Batch(0, strings.Repeat("x", 32<<20)) // more than the buffers of TCP
	start := time.Now()
	if err := to.Send(ctx, b); !errors.Is(err, context.Canceled) || time.Since(start) > prompt {
		t.Errorf("%v after %v", err, time.Since(start))
	}
}

// A thousand connections leave no goroutine and no connection.
func TestReconnects(t *testing.T) {
	s := new(store)
	s.Server = unstarted(t, s.handler(t, nil))
	var connections atomic.Int64
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			connections.Add(1)
		case http.StateClosed:
			connections.Add(-1)
		}
	}
	s.Start()
	to := open(t, s.URL)
	b := shiptest.Numbered(0, 1)
	send(t, to, b)
	before := runtime.NumGoroutine()
	for range 1000 {
		s.CloseClientConnections()
		send(t, to, b) // may fail
	}
	for deadline := time.Now().Add(prompt); ; time.Sleep(time.Millisecond) {
		if after := runtime.NumGoroutine(); after <= before+2 && connections.Load() <= 1 {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, then %d; %d connections", before, after, connections.Load())
		}
	}
	to.Close()
	for deadline := time.Now().Add(prompt); connections.Load() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d connections after Close", connections.Load())
		}
	}
}

// A body of an answer that never ends does not hold an acknowledgement.
func TestHangAfterAnswer(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang)
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte("x"))
		http.NewResponseController(w).Flush()
		<-hang
	})
	start := time.Now()
	if e := send(t, open(t, s.URL), shiptest.Numbered(0, 10)); e.Err != nil {
		t.Error(e.Err)
	}
	if d := time.Since(start); d > prompt {
		t.Errorf("%v", d)
	}
}

// A server that resets the connection amid the request is a temporary failure.
func TestResets(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var s *store
	go func() {
		for i := 0; ; i++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Read(make([]byte, 100*i)) // none, a part of the head, a part of the body
			c.(*net.TCPConn).SetLinger(0)
			c.Close()
		}
	}()
	to := open(t, "http://"+l.Addr().String(), "compress", "none")
	b := shiptest.Numbered(0, 5000)
	for range 10 {
		if e := send(t, to, b); e.Err == nil || e.Permanent || e.Acknowledged != 0 {
			t.Fatalf("%+v", e)
		}
	}

	// A server in the same place is used at once.
	s = newStore(t, nil)
	to.endpoints[0].url.Host = strings.TrimPrefix(s.URL, "http://")
	if e := send(t, to, b); e.Err != nil {
		t.Error(e.Err)
	}
	wantKept(t, s, texts(b))
}

// The next URL is used when one fails, and the first again after a pause.
func TestSeveralURLs(t *testing.T) {
	fails := 503
	answer := func(s *store, w http.ResponseWriter, r *request) {
		if fails != 0 {
			w.WriteHeader(fails)
			return
		}
		s.keep(r)
	}
	first, second := newStore(t, answer), newStore(t, nil)
	third := newStore(t, nil)
	third.Close()
	to := open(t, first.URL+"/x", "also", third.URL+"/y, "+second.URL+"/z")
	b := shiptest.Numbered(0, 10)
	use := func(requests int) {
		t.Helper()
		second.forget()
		if e := send(t, to, b); e.Err != nil {
			t.Fatal(e.Err)
		}
		wantKept(t, second, texts(b))
		if n := first.forget(); n != requests {
			t.Fatalf("%d requests to the first URL, want %d", n, requests)
		}
	}
	for _, fails = range []int{503, 429, 401, 302} {
		to.endpoints[0].downUntil = time.Time{}
		use(1)
		use(0)
	}
	to.endpoints[0].downUntil = time.Now().Add(-time.Second)
	use(1) // not well yet
	use(0)
	to.endpoints[0].downUntil = time.Now().Add(-time.Second)
	fails = 0
	second.forget()
	send(t, to, b)
	wantKept(t, first, texts(b))
	send(t, to, b)
	if n := first.forget(); n != 2 || second.forget() != 0 {
		t.Errorf("%d requests to the first URL", n)
	}

	// A refused record is refused by one URL, and no failure of the URL.
	fails = 400
	bad := shiptest.Numbered(0, 1)
	bad.Note = noteProven
	if e := send(t, to, bad); len(e.Rejected) != 1 || second.forget() != 0 {
		t.Errorf("%+v", e)
	}

	// All fail: each is tried, also those that failed lately.
	fails = 503
	second.Close()
	for range 2 {
		first.forget()
		e := send(t, to, b)
		if e.Err == nil || e.Permanent || first.forget() != 1 || strings.Count(e.Error(), "; ") != 2 {
			t.Errorf("%+v", e)
		}
	}
}

func TestTLS(t *testing.T) {
	ca, stranger := shiptest.NewCA(t), shiptest.NewCA(t)
	cert, key := ca.Server(t, "127.0.0.1")
	clientCert, clientKey := ca.Client(t, "udpshard")
	s := new(store)
	s.Server = unstarted(t, s.handler(t, nil))
	s.Listener = tls.NewListener(s.Listener, shiptest.ServerConfig(cert, key, ca))
	s.Start()
	s.URL = "https" + strings.TrimPrefix(s.URL, "http")
	b := shiptest.Numbered(0, 10)

	trusted := t.TempDir() + "/ca.pem"
	copyFile(t, stranger.File, trusted)
	to := open(t, s.URL, "ca", trusted, "cert", clientCert, "key", clientKey)
	if e := send(t, to, b); e.Err == nil || e.Permanent || !strings.Contains(e.Error(), "certificate") {
		t.Fatalf("stranger: %v", e.Err)
	}
	copyFile(t, ca.File, trusted)
	if e := send(t, to, b); e.Err != nil {
		t.Fatalf("with the replaced file: %v", e.Err)
	}
	wantKept(t, s, texts(b))

	e := send(t, open(t, s.URL, "ca", t.TempDir()+"/none"), b)
	if !e.Permanent || !strings.Contains(e.Error(), "no such file") {
		t.Errorf("without a file: %+v", e)
	}
	if e := send(t, open(t, s.URL, "ca", ca.File), b); e.Err == nil {
		t.Error("without a client certificate: no error")
	}
	e = send(t, open(t, s.URL, "ca", ca.File, "server_name", "other", "cert", clientCert, "key", clientKey), b)
	if e.Err == nil || !strings.Contains(e.Error(), "other") {
		t.Errorf("other name: %v", e.Err)
	}
	if e := send(t, open(t, s.URL, "verify", "false", "cert", clientCert, "key", clientKey), b); e.Err != nil {
		t.Errorf("without verification: %v", e.Err)
	}

	// An expired certificate is an error until there is a new one.
	expired, expiredKey := ca.ExpiredServer(t, "127.0.0.1")
	good, goodKey := readFile(t, cert), readFile(t, key)
	copyFile(t, expired, cert)
	copyFile(t, expiredKey, key)
	to = open(t, s.URL, "ca", ca.File, "cert", clientCert, "key", clientKey)
	if e := send(t, to, b); e.Err == nil || e.Permanent || !strings.Contains(e.Error(), "expired") {
		t.Errorf("expired: %v", e.Err)
	}
	writeFile(t, cert, good)
	writeFile(t, key, goodKey)
	if e := send(t, to, b); e.Err != nil {
		t.Errorf("after the expiry: %v", e.Err)
	}
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func writeFile(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	writeFile(t, to, readFile(t, from))
}
