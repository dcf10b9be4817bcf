package http

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/udpshard/udpshard/internal/ship"
	"github.com/udpshard/udpshard/internal/ship/shiptest"
)

// largeBatch returns a batch of a MiB.
func largeBatch() *ship.Batch {
	b := shiptest.Numbered(0, 1024)
	for i := range b.Records {
		b.Records[i] = []byte(`{"message":"` + strings.Repeat("x", 1000) + `"}`)
	}
	return b
}

// deliverAll sends a batch as the shipper does, at most tries times.
func deliverAll(t *testing.T, to *target, b *ship.Batch, tries int) {
	t.Helper()
	for range tries {
		e := send(t, to, b)
		if len(e.Rejected) > 0 {
			t.Fatalf("rejected %v", e.Rejected)
		}
		if e.Err == nil {
			return
		}
		if text := e.Error(); strings.Contains(text, "->") {
			t.Errorf("an error with ports that change: %s", text)
		}
		b.First, b.Records = b.First+uint64(e.Acknowledged), b.Records[e.Acknowledged:]
	}
	t.Fatalf("%d records are not delivered after %d tries", len(b.Records), tries)
}

// A server that takes longer for a batch than the timeout gets smaller requests in the end.
func TestSlowServer(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if n := bytes.Count(body, []byte("\n")); n > 100 {
			<-r.Context().Done()
		}
	})
	deliverAll(t, open(t, s.URL, "timeout", "100ms", "compress", "none"), largeBatch(), 30)
}

// A server that closes the connection amid a request that is too large for it, so that the client
// may not see the answer, gets smaller requests in the end.
func TestResetOfLargeRequest(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			r := bufio.NewReader(c)
			for {
				request, err := http.ReadRequest(r)
				if err != nil {
					break
				}
				if request.ContentLength > 100<<10 {
					c.(*net.TCPConn).SetLinger(0)
					break
				}
				io.Copy(io.Discard, request.Body)
				io.WriteString(c, "HTTP/1.1 204 No Content\r\n\r\n")
			}
			c.Close()
		}
	}()
	deliverAll(t, open(t, "http://"+l.Addr().String(), "compress", "none", "timeout", "10s"), largeBatch(), 30)
}

// A server that is away does not make later requests small.
func TestOutageKeepsSize(t *testing.T) {
	s := newStore(t, nil)
	to := open(t, s.URL, "timeout", time.Minute.String())
	s.Close()
	for range 10 {
		send(t, to, shiptest.Numbered(0, 1000))
	}
	if to.limit.bytes != 0 {
		t.Errorf("the limit is %d", to.limit.bytes)
	}
}
