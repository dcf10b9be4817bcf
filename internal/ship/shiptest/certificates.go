package shiptest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// CA is a certificate authority. Its files are gone at the end of the test.
type CA struct {
	File string // the certificate of the authority, for the option ca

	folder      string
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	issued      int
}

// NewCA makes an authority with a key and a name of its own.
func NewCA(t testing.TB) *CA {
	t.Helper()
	ca := &CA{folder: t.TempDir()}
	name := fmt.Sprintf("test authority %d", time.Now().UnixNano())
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	ca.certificate, ca.key = template, newKey(t)
	der := ca.sign(t, template, ca.key)
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	ca.certificate = parsed
	ca.File = filepath.Join(ca.folder, "ca.pem")
	writePEM(t, ca.File, "CERTIFICATE", der)
	return ca
}

// Server returns the files of a certificate for host names and addresses, and of its key.
func (ca *CA) Server(t testing.TB, hosts ...string) (cert, key string) {
	t.Helper()
	return ca.issue(t, time.Hour, x509.ExtKeyUsageServerAuth, hosts)
}

// ExpiredServer is Server with a certificate that expired a minute ago.
func (ca *CA) ExpiredServer(t testing.TB, hosts ...string) (cert, key string) {
	t.Helper()
	return ca.issue(t, -time.Minute, x509.ExtKeyUsageServerAuth, hosts)
}

// Client returns the files of a client certificate for a name, and of its key.
func (ca *CA) Client(t testing.TB, name string) (cert, key string) {
	t.Helper()
	return ca.issue(t, time.Hour, x509.ExtKeyUsageClientAuth, []string{name})
}

// ServerConfig returns the configuration of a server with the certificate that the files have at
// each handshake. With clients set, the server demands a certificate of that authority.
func ServerConfig(cert, key string, clients *CA) *tls.Config {
	c := &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(cert, key)
		return &pair, err
	}}
	if clients != nil {
		c.ClientCAs = x509.NewCertPool()
		c.ClientCAs.AddCert(clients.certificate)
		c.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return c
}

// issue makes a certificate that is valid from two hours ago until a time from now.
func (ca *CA) issue(t testing.TB, valid time.Duration, usage x509.ExtKeyUsage,
	hosts []string) (cert, key string) {
	t.Helper()
	ca.issued++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(int64(1 + ca.issued)), Subject: pkix.Name{CommonName: hosts[0]},
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(valid),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{usage},
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	secret := newKey(t)
	cert = filepath.Join(ca.folder, fmt.Sprintf("%d.pem", ca.issued))
	key = filepath.Join(ca.folder, fmt.Sprintf("%d.key", ca.issued))
	writePEM(t, cert, "CERTIFICATE", ca.sign(t, template, secret))
	der, err := x509.MarshalPKCS8PrivateKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, key, "PRIVATE KEY", der)
	return cert, key
}

func (ca *CA) sign(t testing.TB, template *x509.Certificate, key *ecdsa.PrivateKey) (der []byte) {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, ca.certificate, &key.PublicKey, ca.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func writePEM(t testing.TB, path, kind string, der []byte) {
	t.Helper()
	text := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
