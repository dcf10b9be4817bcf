package stream

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/udpshard/udpshard/internal/ship"
	"github.com/udpshard/udpshard/internal/ship/shiptest"
)

// afterRecord follows each record in the files of collectors; records have it nowhere else.
const afterRecord = "@-end-of-record-@\n"

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
		return bytes.Count(got, []byte(afterRecord)) >= len(records)
	})
	for i, record := range bytes.SplitAfter(got, []byte(afterRecord)) {
		if i == len(records) {
			break
		}
		if want := string(kept(records[i])) + afterRecord; string(record) != want {
			t.Fatalf("record %d: %.300q\nwant %.300q", i, record, want)
		}
	}
	if want := len(records); bytes.Count(got, []byte(afterRecord)) != want {
		t.Errorf("%d records, want %d", bytes.Count(got, []byte(afterRecord)), want)
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
	program, err := exec.LookPath("rsyslogd")
	if err != nil {
		t.Skip("needs rsyslogd: apt-get install rsyslog")
	}
	folder := t.TempDir()
	file = filepath.Join(folder, "records")
	_, port, _ := net.SplitHostPort(address)
	configuration := fmt.Sprintf(`global(workDirectory="%s" maxMessageSize="64k"
 parser.dropTrailingLFOnReception="off")
%s
input(type="imtcp" address="127.0.0.1" port="%s")
template(name="raw" type="string" string="%%rawmsg%%%s\n")
action(type="omfile" file="%s" template="raw")
`, folder, statements, port, strings.TrimSuffix(afterRecord, "\n"), file)
	path := filepath.Join(folder, "rsyslog.conf")
	if err := os.WriteFile(path, []byte(configuration), 0o600); err != nil {
		t.Fatal(err)
	}
	p := shiptest.Start(t, program, "-n", "-C", "-i", filepath.Join(folder, "pid"), "-f", path)
	p.AwaitTCP(t, address)
	return file
}

// literal makes rsyslog keep control characters as they are.
const literal = `parser.escapeControlCharactersOnReceive="off"`

// keptLiteral is what rsyslog keeps of a message with literal: all bytes, but for a NUL at the end.
// A message with more NULs has #000 instead of them, and from the byte before the first NUL on loses
// all other bytes below 0x20 (SanitizeMsg, runtime/parser.c, rsyslog 8.2302).
func keptLiteral(record []byte) []byte {
	record = bytes.TrimSuffix(record, []byte{0})
	nul := bytes.IndexByte(record, 0)
	if nul < 1 { // records begin with a priority
		return record
	}
	kept := slices.Clone(record[:nul-1])
	for _, c := range record[nul-1:] {
		switch {
		case c == 0:
			kept = append(kept, "#000"...)
		case c >= 0x20:
			kept = append(kept, c)
		}
	}
	return kept
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
	file := startRsyslog(t, address, "global("+literal+`) module(load="imtcp")`)
	bring(t, open(t, octets(t, "tcp://"+address)), file, originals(20_000), keptLiteral)
}

func TestRsyslogEscapes(t *testing.T) {
	address := shiptest.FreeTCP(t)
	file := startRsyslog(t, address, `module(load="imtcp")`)
	bring(t, open(t, octets(t, "tcp://"+address)), file, originals(20_000), keptByDefault)
}

func TestRsyslogLines(t *testing.T) {
	address := shiptest.FreeTCP(t)
	file := startRsyslog(t, address, "global("+literal+`) module(load="imtcp")`)
	s := shiptest.Settings(t, "tcp://"+address)
	s.Format = ship.Original
	bring(t, open(t, s), file, originals(20_000), escapeSlowly)
}

// Both libraries of TLS that rsyslog has; the certificate of the client is checked.
func TestRsyslogTLS(t *testing.T) {
	for _, driver := range []struct{ name, library, pkg string }{
		{"gtls", "lmnsd_gtls.so", "rsyslog-gnutls"}, {"ossl", "lmnsd_ossl.so", "rsyslog-openssl"},
	} {
		t.Run(driver.name, func(t *testing.T) {
			if found, _ := filepath.Glob("/usr/lib/*/rsyslog/" + driver.library); len(found) == 0 {
				t.Skip("needs " + driver.library + ": apt-get install " + driver.pkg)
			}
			ca := shiptest.NewCA(t)
			cert, key := ca.Server(t, "127.0.0.1")
			clientCert, clientKey := ca.Client(t, "udpshard.example.org")
			address := shiptest.FreeTCP(t)
			file := startRsyslog(t, address, "global("+literal+fmt.Sprintf(` defaultNetstreamDriver="%s"
 defaultNetstreamDriverCAFile="%s" defaultNetstreamDriverCertFile="%s"
 defaultNetstreamDriverKeyFile="%s")
module(load="imtcp" streamDriver.name="%[1]s" streamDriver.mode="1"
 streamDriver.authMode="x509/name" permittedPeer="udpshard.example.org")`, driver.name, ca.File, cert, key))
			to := open(t, octets(t, "tls://"+address, "ca", ca.File, "cert", clientCert, "key", clientKey))
			bring(t, to, file, originals(20_000), keptLiteral)
		})
	}
}

// keptBySyslogNG: syslog-ng drops newlines and NULs at the end of a message.
func keptBySyslogNG(record []byte) []byte { return bytes.TrimRight(record, "\n\x00") }

// startSyslogNG starts syslog-ng with a source, and returns the file of records.
func startSyslogNG(t *testing.T, address, transport string) (file string) {
	t.Helper()
	_, port, _ := net.SplitHostPort(address)
	file = filepath.Join(t.TempDir(), "records")
	p := shiptest.StartSyslogNG(t, fmt.Sprintf(`options { stats-freq(0); log-msg-size(65536); };
source s { syslog(ip(127.0.0.1) port(%s) flags(no-parse) log-iw-size(10000) %s); };
destination d { file("%s" template("$MSG%s\n") template-escape(no) log-fifo-size(100000)); };
log { source(s); destination(d); flags(flow-control); };
`, port, transport, file, strings.TrimSuffix(afterRecord, "\n")))
	p.AwaitTCP(t, address)
	return file
}

func TestSyslogNG(t *testing.T) {
	address := shiptest.FreeTCP(t)
	file := startSyslogNG(t, address, "transport(tcp)")
	bring(t, open(t, octets(t, "tcp://"+address)), file, originals(20_000), keptBySyslogNG)
}

func TestSyslogNGTLS(t *testing.T) {
	ca := shiptest.NewCA(t)
	cert, key := ca.Server(t, "127.0.0.1")
	clientCert, clientKey := ca.Client(t, "udpshard.example.org")
	address := shiptest.FreeTCP(t)
	file := startSyslogNG(t, address, fmt.Sprintf(
		`transport(tls) tls(key-file("%s") cert-file("%s") ca-file("%s")
 peer-verify(required-trusted))`, key, cert, ca.File))
	to := open(t, octets(t, "tls://"+address, "ca", ca.File, "cert", clientCert, "key", clientKey))
	bring(t, to, file, originals(20_000), keptBySyslogNG)
}
