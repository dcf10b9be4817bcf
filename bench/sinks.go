package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// sink is where contenders ship records to. A sink counts what arrives, and its work is in no
// figure.
type sink interface {
	port() int
	// count returns the records that have arrived since the start of the sink.
	count() (uint64, error)
	stop()
}

// lineSink accepts connections, and counts lines.
type lineSink struct {
	listener net.Listener
	lines    atomic.Uint64
	began    atomic.Int64 // when the first byte came, in nanoseconds
}

// listenLines starts a lineSink on a port of 127.0.0.1, 0: any port. With a certificate, clients
// must use TLS.
func listenLines(port int, certificate *tls.Certificate) (*lineSink, error) {
	l, err := net.Listen("tcp4", at(port))
	if err != nil {
		return nil, err
	}
	if certificate != nil {
		l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{*certificate}})
	}
	s := &lineSink{listener: l}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go s.read(conn)
		}
	}()
	return s, nil
}

func (s *lineSink) read(conn net.Conn) {
	defer conn.Close()
	buf := make([]byte, 256<<10)
	for {
		n, err := conn.Read(buf)
		if n > 0 {
			s.began.CompareAndSwap(0, time.Now().UnixNano())
			s.lines.Add(uint64(bytes.Count(buf[:n], []byte{'\n'})))
		}
		if err != nil {
			return
		}
	}
}

func (s *lineSink) port() int { return s.listener.Addr().(*net.TCPAddr).Port }

func (s *lineSink) count() (uint64, error) { return s.lines.Load(), nil }

func (s *lineSink) stop() { s.listener.Close() }

// newCertificate makes a certificate for 127.0.0.1, and writes it to a file.
func newCertificate(file string) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, os.WriteFile(file, text, 0o600)
}

// server is a sink that is a process.
type server struct {
	*process
	at      int
	counted func() (uint64, error)
}

func (s *server) port() int { return s.at }

func (s *server) count() (uint64, error) { return s.counted() }

func (s *server) stop() { _ = s.kill() }

// startServer starts a process, and waits until the process listens at a port.
func (l *lab) startServer(port int, counted func() (uint64, error), argv ...string) (*server, error) {
	p, err := start(l.cpus, nil, argv...)
	if err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("tcp4", at(port))
		if err == nil {
			return &server{p, port, counted}, conn.Close()
		}
		if time.Now().After(deadline) {
			return nil, errors.Join(err, errors.New(p.said()))
		}
	}
}
