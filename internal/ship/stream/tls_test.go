package stream

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/ship"
	"github.com/udpshard/udpshard/internal/ship/shiptest"
)

// openTLS returns a target for a listener.
func openTLS(t *testing.T, l net.Listener, options ...string) *target {
	t.Helper()
	return open(t, shiptest.Settings(t, "tls://"+l.Addr().String(), options...)).(*target)
}

// shake accepts connections until one is a TLS connection, with the handshake done.
func shake(l net.Listener, c *tls.Config) <-chan *tls.Conn {
	found := make(chan *tls.Conn, 1)
	go func() {
		defer close(found)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			secure := tls.Server(conn, c)
			if secure.Handshake() == nil {
				found <- secure
				return
			}
			conn.Close()
		}
	}()
	return found
}

// fails sends a batch, which must fail with a temporary error that has some words.
func fails(t *testing.T, to ship.Target, words string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := to.Send(ctx, shiptest.Numbered(0, 3))
	var partial *ship.Error
	if errors.As(err, &partial) && (partial.Permanent || partial.Acknowledged > 0) {
		t.Errorf("%+v", partial)
	}
	if err == nil || !strings.Contains(err.Error(), words) {
		t.Errorf("%v, want %s", err, words)
	}
}

// arrives sends a batch, which must arrive at a server.
func arrives(t *testing.T, to ship.Target, server <-chan *tls.Conn) *tls.Conn {
	t.Helper()
	b := shiptest.Numbered(0, 3)
	result := begin(context.Background(), to, b)
	conn := <-server
	if conn == nil {
		t.Fatal("no connection")
	}
	t.Cleanup(func() { conn.Close() })
	if got := readLines(t, bufio.NewReader(conn), 3); !slices.Equal(got, text(b.Records)) {
		t.Error("records differ")
	}
	if err := <-result; err != nil {
		t.Error(err)
	}
	return conn
}

// replace puts the content of another file in the place of a file.
func replace(t *testing.T, file, by string) {
	t.Helper()
	content, err := os.ReadFile(by)
	if err == nil {
		err = os.WriteFile(file+".new", content, 0o600)
	}
	if err == nil {
		err = os.Rename(file+".new", file)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A bad certificate is an error that says why. Files are read again at each connect: a replaced
// certificate needs no restart.
func TestCertificateOfServer(t *testing.T) {
	good, other := shiptest.NewCA(t), shiptest.NewCA(t)
	cert, key := good.ExpiredServer(t, "127.0.0.1")
	l := listen(t, 0)
	server := shake(l, shiptest.ServerConfig(cert, key, nil))
	to := openTLS(t, l, "ca", good.File)
	fails(t, to, "certificate has expired")
	newCert, newKey := good.Server(t, "collector.example.org")
	replace(t, key, newKey)
	replace(t, cert, newCert)
	fails(t, to, "cannot validate certificate for 127.0.0.1")
	elsewhere := openTLS(t, l, "ca", good.File, "server_name", "other.example.org")
	fails(t, elsewhere, "not other.example.org")
	newCert, newKey = good.Server(t, "127.0.0.1")
	replace(t, key, newKey)
	replace(t, cert, newCert)
	fails(t, openTLS(t, l, "ca", other.File), "unknown authority")
	fails(t, openTLS(t, l), "certificate signed by unknown authority")
	arrives(t, to, server)
}

func TestServerName(t *testing.T) {
	ca := shiptest.NewCA(t)
	cert, key := ca.Server(t, "collector.example.org")
	l := listen(t, 0)
	config := shiptest.ServerConfig(cert, key, nil)
	arrives(t, openTLS(t, l, "ca", ca.File, "server_name", "collector.example.org"), shake(l, config))
	arrives(t, openTLS(t, l, "verify", "false"), shake(l, config))
}

// A replaced file of authorities is used by the next connection, a missing file is a temporary
// error.
func TestAuthorityReplaced(t *testing.T) {
	ca, other := shiptest.NewCA(t), shiptest.NewCA(t)
	cert, key := ca.Server(t, "127.0.0.1")
	l := listen(t, 0)
	server := shake(l, shiptest.ServerConfig(cert, key, nil))
	file := t.TempDir() + "/ca.pem"
	to := openTLS(t, l, "ca", file)
	fails(t, to, "no such file")
	replace(t, file, other.File)
	fails(t, to, "unknown authority")
	replace(t, file, ca.File)
	arrives(t, to, server)
}

// A server that refuses the certificate of the client has acknowledged nothing, although the
// handshake of TLS 1.3 is complete for the client before.
func TestClientCertificate(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			ca, other := shiptest.NewCA(t), shiptest.NewCA(t)
			cert, key := ca.Server(t, "127.0.0.1")
			l := listen(t, 0)
			config := shiptest.ServerConfig(cert, key, ca)
			config.MinVersion, config.MaxVersion = version, version
			server := shake(l, config)
			refusal := "certificate required"
			if version == tls.VersionTLS12 {
				refusal = "handshake failure" // as Go's servers say
			}
			fails(t, openTLS(t, l, "ca", ca.File), refusal)
			wrongCert, wrongKey := other.Client(t, "udpshard")
			to := openTLS(t, l, "ca", ca.File, "cert", wrongCert, "key", wrongKey)
			fails(t, to, "unknown certificate authority")
			goodCert, goodKey := ca.Client(t, "udpshard")
			replace(t, wrongKey, goodKey)
			replace(t, wrongCert, goodCert)
			arrives(t, to, server)
		})
	}
}

func TestOldTLS(t *testing.T) {
	ca := shiptest.NewCA(t)
	cert, key := ca.Server(t, "127.0.0.1")
	l := listen(t, 0)
	config := shiptest.ServerConfig(cert, key, nil)
	config.MinVersion, config.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	shake(l, config)
	fails(t, openTLS(t, l, "ca", ca.File), "protocol version")
	l.Close()
}

// A server that closes only TLS (close_notify) gets no batch more.
func TestCloseNotify(t *testing.T) {
	ca := shiptest.NewCA(t)
	cert, key := ca.Server(t, "127.0.0.1")
	l := listen(t, 0)
	config := shiptest.ServerConfig(cert, key, nil)
	to := openTLS(t, l, "ca", ca.File)
	first := arrives(t, to, shake(l, config))
	before := waiting(t, to.conn.socket.rawConn.(*net.TCPConn))
	if err := first.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	await(t, "close_notify", func() bool { return waiting(t, to.conn.socket.rawConn.(*net.TCPConn)) > before })
	arrives(t, to, shake(l, config))
	if more := readLines(t, bufio.NewReader(first), -1); len(more) > 0 {
		t.Errorf("%d records on the first connection", len(more))
	}
}

// The acknowledgements of TCP count for whole records of TLS: see TestResetInBatch.
func TestResetInBatchTLS(t *testing.T) {
	ca := shiptest.NewCA(t)
	cert, key := ca.Server(t, "127.0.0.1")
	l := listen(t, 64<<10)
	config := shiptest.ServerConfig(cert, key, nil)
	to := openTLS(t, l, "ca", ca.File)
	server := shake(l, config)
	b := shiptest.Numbered(0, 3500)
	result := begin(context.Background(), to, b)
	peer := (<-server).NetConn().(*net.TCPConn)
	awaitFull(t, peer)
	reset(t, peer)
	acknowledged := partly(t, <-result, unix.ECONNRESET)
	if acknowledged == 0 || acknowledged >= len(b.Records) {
		t.Fatalf("%d of %d records acknowledged", acknowledged, len(b.Records))
	}
	server = shake(l, config)
	result = begin(context.Background(), to, rest(b, acknowledged))
	again := <-server
	defer again.Close()
	got := readLines(t, bufio.NewReader(again), len(b.Records)-acknowledged)
	if err := <-result; err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, text(b.Records)[acknowledged:]) {
		t.Error("the rest of the batch differs")
	}
}

// A connection to a server without TLS is an error that names TLS.
func TestNoTLS(t *testing.T) {
	l := listen(t, 0)
	serve(t, l, func(peer *net.TCPConn) { peer.Write([]byte("220 welcome\r\n")) })
	fails(t, openTLS(t, l), "TLS handshake with "+l.Addr().String())
}
