package nats

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// proxy stands between the target and a server, and loses what the test wants.
type proxy struct {
	address    string
	requests   atomic.Int64 // bytes that still reach the server
	deaf       atomic.Bool  // answers of the server are lost
	mu         sync.Mutex
	connection []net.Conn
}

// startProxy starts a proxy that loses nothing.
func startProxy(t testing.TB, server string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{address: l.Addr().String()}
	p.requests.Store(1 << 40)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", server)
			if err != nil {
				client.Close()
				continue
			}
			p.mu.Lock()
			p.connection = append(p.connection, client, server)
			p.mu.Unlock()
			running.Go(func() {
				io.Copy(writer(func(b []byte) (int, error) {
					if left := p.requests.Add(-int64(len(b))); left < 0 {
						b = b[:max(0, len(b)+int(left))]
					}
					return server.Write(b)
				}), client)
				server.Close()
			})
			running.Go(func() {
				io.Copy(writer(func(b []byte) (int, error) {
					if p.deaf.Load() {
						return len(b), nil
					}
					return client.Write(b)
				}), server)
				client.Close()
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		p.cut()
		running.Wait()
	})
	return p
}

// cut closes all connections, and loses nothing afterwards.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.connection {
		c.Close()
	}
	p.connection = nil
	p.requests.Store(1 << 40)
	p.deaf.Store(false)
}

type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) {
	n, err := w(b)
	if err == nil {
		n = len(b)
	}
	return n, err
}
