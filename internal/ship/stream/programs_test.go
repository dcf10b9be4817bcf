package stream

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"testing"
	"time"

	"github.com/udpshard/udpshard/internal/ship"
	"github.com/udpshard/udpshard/internal/ship/shiptest"
)

// originals returns datagrams of any bytes, with newlines, NULs and 0xff, some of 8 KiB.
func originals(n int) (records [][]byte) {
	random := rand.New(rand.NewPCG(1, 2))
	for i := range n {
		record := fmt.Appendf(nil, "<13>%d ", i)
		size := random.IntN(200)
		if i%100 == 0 {
			size = 8<<10 - len(record)
		}
		for range size {
			c := byte(random.IntN(256))
			if i%2 == 0 {
				c = "\n\x00\xff\r\x7f#\tx"[c%8]
			}
			record = append(record, c)
		}
		records = append(records, record)
	}
	return records
}

// bring sends records in batches, and waits until a collector has written the records to a file.
// kept says which bytes of a record the collector keeps.
func bring(t *testing.T, to ship.Target, file string, records [][]byte, kept func([]byte) []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for i := 0; i < len(records); i += 1000 {
		b := shiptest.Batch(i)
		b.Records = records[i : i+1000]
		if err := to.Send(ctx, b); err != nil {
			t.Fatal(err)
		}
	}
	var got []byte
	await(t, "all records in the file of the collector", func() bool {
		got, _ = os.ReadFile(file) // made by the collector some time
		return bytes.Count(got, []byte(shiptest.EndOfRecord)) >= len(records)
	})
	for i, record := range bytes.SplitAfter(got, []byte(shiptest.EndOfRecord)) {
		if i == len(records) {
			break
		}
		if want := string(kept(records[i])) + shiptest.EndOfRecord; string(record) != want {
			t.Fatalf("record %d: %.300q\nwant %.300q", i, record, want)
		}
	}
	if want := len(records); bytes.Count(got, []byte(shiptest.EndOfRecord)) != want {
		t.Errorf("%d records, want %d", bytes.Count(got, []byte(shiptest.EndOfRecord)), want)
	}
}

// octets returns the settings of datagrams as they came, framed by octet counting.
func octets(t *testing.T, url string, options ...string) *ship.Settings {
	t.Helper()
	s := shiptest.Settings(t, url, append(options, "framing", "octet-counting")...)
	s.Format = ship.Original
	return s
}

// startRsyslog starts rsyslog with statements of a configuration, and returns the file of records.
func startRsyslog(t *testing.T, address, statements string) (file string) {
	t.Helper()
	_, port, _ := net.SplitHostPort(address)
	input := fmt.Sprintf("input(type=\"imtcp\" address=\"127.0.0.1\" port=\"%s\")", port)
	return shiptest.StartRsyslog(t, address, statements+"\n"+input).File
}

// keptByDefault is what rsyslog keeps by default: bytes below 0x20 become #ooo, but for a NUL at
// the end.
func keptByDefault(record []byte) (kept []byte) {
	for _, c := range bytes.TrimSuffix(record, []byte{0}) {
		if c < 0x20 {
			kept = fmt.Appendf(kept, "#%03o", c)
		} else {
			kept = append(kept, c)
		}
	}
	return kept
}

func TestRsyslog(t *testing.T) {
	address := shiptest.FreeTCP(t)
	file := startRsyslog(t, address, "global("+shiptest.RsyslogLiteral+`) module(load="imtcp")`)
	bring(t, open(t, octets(t, "tcp://"+address)), file, originals(20_000), shiptest.KeptByRsyslog)
}

func TestRsyslogEscapes(t *testing.T) {
	address := shiptest.FreeTCP(t)
	file := startRsyslog(t, address, `module(load="imtcp")`)
	bring(t, open(t, octets(t, "tcp://"+address)), file, originals(20_000), keptByDefault)
}

func TestRsyslogLines(t *testing.T) {
	address := shiptest.FreeTCP(t)
	file := startRsyslog(t, address, "global("+shiptest.RsyslogLiteral+`) module(load="imtcp")`)
	s := shiptest.Settings(t, "tcp://"+address)
	s.Format = ship.Original
	bring(t, open(t, s), file, originals(20_000), escapeSlowly)
}

// Both libraries of TLS that rsyslog has; the certificate of the client is checked.
func TestRsyslogTLS(t *testing.T) {
	for _, driver := range []struct{ name, library, pkg string }{
		{"gtls", "lmnsd_gtls", "rsyslog-gnutls"}, {"ossl", "lmnsd_ossl", "rsyslog-openssl"},
	} {
		t.Run(driver.name, func(t *testing.T) {
			shiptest.RequireRsyslogModule(t, driver.library, driver.pkg)
			ca := shiptest.NewCA(t)
			cert, key := ca.Server(t, "127.0.0.1")
			clientCert, clientKey := ca.Client(t, "udpshard.example.org")
			address := shiptest.FreeTCP(t)
			file := startRsyslog(t, address, "global("+shiptest.RsyslogLiteral+fmt.Sprintf(`
 defaultNetstreamDriver="%s"
 defaultNetstreamDriverCAFile="%s" defaultNetstreamDriverCertFile="%s"
 defaultNetstreamDriverKeyFile="%s")
module(load="imtcp" streamDriver.name="%[1]s" streamDriver.mode="1"
 streamDriver.authMode="x509/name" permittedPeer="udpshard.example.org")`, driver.name, ca.File, cert, key))
			to := open(t, octets(t, "tls://"+address, "ca", ca.File, "cert", clientCert, "key", clientKey))
			bring(t, to, file, originals(20_000), shiptest.KeptByRsyslog)
		})
	}
}

func TestSyslogNG(t *testing.T) {
	address := shiptest.FreeTCP(t)
	file := shiptest.StartSyslogNGFile(t, address, "transport(tcp)")
	bring(t, open(t, octets(t, "tcp://"+address)), file, originals(20_000), shiptest.KeptBySyslogNG)
}

func TestSyslogNGTLS(t *testing.T) {
	ca := shiptest.NewCA(t)
	cert, key := ca.Server(t, "127.0.0.1")
	clientCert, clientKey := ca.Client(t, "udpshard.example.org")
	address := shiptest.FreeTCP(t)
	file := shiptest.StartSyslogNGFile(t, address, fmt.Sprintf(
		`transport(tls) tls(key-file("%s") cert-file("%s") ca-file("%s")
 peer-verify(required-trusted))`, key, cert, ca.File))
	to := open(t, octets(t, "tls://"+address, "ca", ca.File, "cert", clientCert, "key", clientKey))
	bring(t, to, file, originals(20_000), shiptest.KeptBySyslogNG)
}
