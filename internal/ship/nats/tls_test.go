package nats

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/udpshard/udpshard/internal/ship/shiptest"
)

func TestTLS(t *testing.T) {
	ca, other := shiptest.NewCA(t), shiptest.NewCA(t)
	cert, key := ca.Server(t, "127.0.0.1")
	s := start(t, fmt.Sprintf("tls { cert_file: '%s', key_file: '%s', ca_file: '%s', verify: true }",
		cert, key, ca.File))
	clientCert, clientKey := ca.Client(t, "udpshard")
	otherCert, otherKey := other.Client(t, "udpshard")
	url := "nats://" + s.address + "/logs"
	for _, c := range []struct{ ca, cert, key, name, want string }{
		{ca.File, clientCert, clientKey, "", ""},
		{other.File, clientCert, clientKey, "", "certificate signed by unknown authority"},
		{ca.File, clientCert, clientKey, "nats.example.org", "nats.example.org"},
		{ca.File, otherCert, otherKey, "", "tls"}, // the server's reason may come too late
		{ca.File + "x", clientCert, clientKey, "", "option ca: open "},
	} {
		options := []string{"tls", "true", "ca", c.ca, "cert", c.cert, "key", c.key, "create_stream", "true"}
		if c.name != "" {
			options = append(options, "server_name", c.name)
		}
		text, forever := permanent(open(t, url, options...).Send(t.Context(), shiptest.Numbered(0, 1)))
		if c.want == "" && text != "" || !strings.Contains(text, c.want) || forever {
			t.Errorf("%+v: %s (%v)", c, text, forever)
		}
	}
}

// A certificate and an authority that are replaced in their files are used by the next connection.
func TestReplacedCertificate(t *testing.T) {
	ca, other := shiptest.NewCA(t), shiptest.NewCA(t)
	cert, key := ca.Server(t, "127.0.0.1")
	s := start(t, fmt.Sprintf("tls { cert_file: '%s', key_file: '%s' }", cert, key))
	right, err := os.ReadFile(ca.File)
	if err != nil {
		t.Fatal(err)
	}
	n := open(t, "nats://"+s.address+"/logs", "tls", "true", "ca", other.File, "create_stream", "true")
	b := shiptest.Numbered(0, 3)
	if n.Send(t.Context(), b) == nil {
		t.Fatal("another authority is accepted")
	}
	if err := os.WriteFile(other.File, right, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := n.Send(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	n.disconnect()
	expiredCert, expiredKey := ca.ExpiredServer(t, "127.0.0.1")
	for from, to := range map[string]string{expiredCert: cert, expiredKey: key} {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	s.process.Kill()
	s.run()
	text, forever := permanent(n.Send(t.Context(), b))
	if !strings.Contains(text, "expired") || forever {
		t.Errorf("expired certificate: %s (%v)", text, forever)
	}
}

// The server has no TLS; the server has TLS and the target has none.
func TestTLSOfOneSide(t *testing.T) {
	plain := start(t)
	b := shiptest.Numbered(0, 1)
	n := open(t, "nats://"+plain.address+"/logs", "tls", "true")
	if text, forever := permanent(n.Send(t.Context(), b)); !strings.Contains(text, "secure connection not available") || !forever {
		t.Errorf("%s (%v)", text, forever)
	}
	cert, key := shiptest.NewCA(t).Server(t, "127.0.0.1")
	s := start(t, fmt.Sprintf("tls { cert_file: '%s', key_file: '%s' }", cert, key))
	n = open(t, "nats://"+s.address+"/logs")
	if text, _ := permanent(n.Send(t.Context(), b)); !strings.Contains(text, "unknown authority") {
		t.Error(text)
	}
}
