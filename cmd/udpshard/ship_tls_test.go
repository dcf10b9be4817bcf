package main

import (
	"bufio"
	"crypto/tls"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/udpshard/udpshard/internal/ship/shiptest"
)

// tlsCollector is a server with the certificate that its files have at each handshake.
type tlsCollector struct {
	address string
	lines   atomic.Int64
	clients chan string    // names of client certificates, one for each connection
	conns   chan *tls.Conn // likewise
}

// startTLSCollector starts a server that demands a certificate of the authority.
func startTLSCollector(t *testing.T, cert, key string, clients *shiptest.CA) *tlsCollector {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	c := &tlsCollector{address: l.Addr().String(), clients: make(chan string, 10),
		conns: make(chan *tls.Conn, 10)}
	go func() {
		for {
			raw, err := l.Accept()
			if err != nil {
				return
			}
			go c.serve(tls.Server(raw, shiptest.ServerConfig(cert, key, clients)))
		}
	}()
	return c
}

func (c *tlsCollector) serve(conn *tls.Conn) {
	defer conn.Close()
	if conn.Handshake() != nil {
		return // an attempt that the client refuses
	}
	c.clients <- conn.ConnectionState().PeerCertificates[0].Subject.CommonName
	c.conns <- conn
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		c.lines.Add(1)
	}
}

// replaceFiles replaces files by others, as a program does that renews certificates.
func replaceFiles(t *testing.T, pairs ...string) {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if err := os.Rename(pairs[i+1], pairs[i]); err != nil {
			t.Fatal(err)
		}
	}
}

// A target whose certificate has expired recovers when the certificate is renewed, and a renewed
// client certificate is used by the next connection, without a restart.
func TestRenewedCertificates(t *testing.T) {
	t.Parallel()
	ca := shiptest.NewCA(t)
	cert, key := ca.ExpiredServer(t, "127.0.0.1")
	clientCert, clientKey := ca.Client(t, "first")
	c := startTLSCollector(t, cert, key, ca)
	options := []string{"ca=" + ca.File, "cert=" + clientCert, "key=" + clientKey}
	address, args := targetArgs(t, "tls://"+c.address+"#"+strings.Join(options, "&"))
	p := startServe(t, nil, args...)
	s := newSenders(t, address, 1)
	s.send(100, 0)
	p.waitForLog("certificate has expired")
	newCert, newKey := ca.Server(t, "127.0.0.1")
	replaceFiles(t, key, newKey, cert, newCert)
	eventually(t, "the records are shipped", func() bool { return c.lines.Load() == 100 })
	if name := <-c.clients; name != "first" {
		t.Errorf("the client is %s", name)
	}
	newCert, newKey = ca.Client(t, "second")
	replaceFiles(t, clientKey, newKey, clientCert, newCert)
	(<-c.conns).Close()
	eventually(t, "the next records are shipped", func() bool {
		s.send(s.sent+1, 100)
		return c.lines.Load() > 100
	})
	if name := <-c.clients; name != "second" {
		t.Errorf("the client is %s", name)
	}
	p.waitForLog(`"message":"target recovered`)
	if n := len(p.logLines("target failing")); n != 1 {
		t.Errorf("%d log lines about the target", n)
	}
	p.wantStop()
}
