package relp

import (
	"crypto/tls"
	"errors"
	"os"
	"testing"

	"github.com/udpshard/udpshard/internal/ship"
	"github.com/udpshard/udpshard/internal/ship/shiptest"
)

// newTLSFake returns a server with TLS that acknowledges all records, one connection after the other.
func newTLSFake(t *testing.T, cert, key string, clients *shiptest.CA) *fake {
	t.Helper()
	f := newFake(t)
	f.l = tls.NewListener(f.l, shiptest.ServerConfig(cert, key, clients))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := f.l.Accept()
			if err != nil {
				return
			}
			p := newPeer(t, conn)
			if _, err := p.receive(); err == nil {
				p.respond(1, "200 OK\nrelp_version=0\ncommands=syslog")
				p.serve()
			}
			conn.Close()
		}
	}()
	t.Cleanup(func() { f.l.Close(); <-done })
	return f
}

func (f *fake) tlsURL() string { return "relp+tls://" + f.l.Addr().String() }

func TestTLS(t *testing.T) {
	descriptors(t)
	ca, other := shiptest.NewCA(t), shiptest.NewCA(t)
	cert, key := ca.Server(t, "127.0.0.1", "collector.test")
	clientCert, clientKey := ca.Client(t, "sender")
	otherCert, otherKey := other.Client(t, "sender") // not sent: the server names its authorities
	f := newTLSFake(t, cert, key, ca)
	for _, c := range []struct {
		options []string
		want    string
	}{
		{[]string{"ca", ca.File, "cert", clientCert, "key", clientKey}, ""},
		{[]string{"ca", ca.File, "cert", clientCert, "key", clientKey, "server_name", "collector.test"}, ""},
		{[]string{"verify", "false", "cert", clientCert, "key", clientKey}, ""},
		{[]string{"cert", clientCert, "key", clientKey}, "certificate signed by unknown authority"},
		{[]string{"ca", other.File, "cert", clientCert, "key", clientKey}, "certificate signed by unknown authority"},
		{[]string{"ca", ca.File, "cert", clientCert, "key", clientKey, "server_name", "x.test"}, "not x.test"},
		{[]string{"ca", ca.File}, "certificate required"},
		{[]string{"ca", ca.File, "cert", otherCert, "key", otherKey}, "certificate required"},
		{[]string{"ca", ca.File + ".missing"}, "option ca: open "},
	} {
		target := open(t, f.tlsURL(), c.options...)
		for range 2 { // with a session, and the same error again
			err := await(t, send(t, target, "a", "b"))
			if c.want == "" {
				if err != nil {
					t.Errorf("%v: %v", c.options, err)
				}
				continue
			}
			check(t, err, c.want, 0)
			if err.(*ship.Error).Permanent {
				t.Errorf("%v is permanent", err)
			}
		}
		target.Close()
	}
}

// An expired certificate is an error until the certificate is replaced.
func TestCertificateIsReplaced(t *testing.T) {
	ca := shiptest.NewCA(t)
	cert, key := ca.ExpiredServer(t, "127.0.0.1")
	f := newTLSFake(t, cert, key, nil)
	target := open(t, f.tlsURL(), "ca", ca.File)
	check(t, await(t, send(t, target, "a")), "certificate has expired", 0)
	newCert, newKey := ca.Server(t, "127.0.0.1")
	if err := errors.Join(os.Rename(newCert, cert), os.Rename(newKey, key)); err != nil {
		t.Fatal(err)
	}
	if err := await(t, send(t, target, "a")); err != nil {
		t.Error(err)
	}
}

// TLS to a server without TLS, and the other way round, are errors that name TLS.
func TestTLSOnOneSide(t *testing.T) {
	f := newFake(t)
	result := send(t, open(t, f.tlsURL()), "a")
	f.accept().send("HTTP/1.1 400 Bad Request\r\n\r\n")
	check(t, await(t, result), "TLS handshake with "+f.l.Addr().String()+": tls: first record does not look like", 0)

	ca := shiptest.NewCA(t)
	cert, key := ca.Server(t, "127.0.0.1")
	f = newTLSFake(t, cert, key, nil)
	check(t, await(t, send(t, open(t, f.url()), "a")), "(a server with TLS needs relp+tls://)", 0)
}

// The end of a session by close_notify is noticed before the next batch is written.
func TestTLSSessionEnds(t *testing.T) {
	ca := shiptest.NewCA(t)
	cert, key := ca.Server(t, "127.0.0.1")
	f := newFake(t)
	f.l = tls.NewListener(f.l, shiptest.ServerConfig(cert, key, nil))
	target := open(t, f.tlsURL(), "ca", ca.File)
	for range 3 {
		result := send(t, target, "a")
		p := f.acceptOpen()
		p.syslog(2)
		p.respond(2, "200 OK")
		if err := await(t, result); err != nil {
			t.Fatal(err)
		}
		p.conn.(*tls.Conn).CloseWrite()
		awaitEnd(t, target)
		if c, err := p.receive(); err == nil {
			t.Errorf("%v after the end", c)
		}
	}
}
