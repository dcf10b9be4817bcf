package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leodido/go-syslog/v4/rfc5424"

	"github.com/udpshard/udpshard/internal/ship/shiptest"
)

// The tests of this file bring records to real collectors of syslog.

// heavy returns how many datagrams a test sends: few, or many with UDPSHARD_TRIALS set.
func heavy(few, many int) int {
	if os.Getenv("UDPSHARD_TRIALS") != "" {
		return many
	}
	return few
}

// loadedArgs are the arguments of serve for a test with a target and without losses in the kernel.
func loadedArgs(t *testing.T, to string, more ...string) (address string, args []string) {
	t.Helper()
	address = freePort(t)
	return address, append([]string{"--listen", address, "--shards", "2", "--receive-buffer", "32MiB",
		"--to", to, "--spool", filepath.Join(t.TempDir(), "spool")}, more...)
}

// anyBytes returns datagram number i of a sender: any bytes, with newlines and 0xff, one of 100 of 8
// KiB, one of 4 with NULs. Each ends in a point, because collectors cut some bytes off the end.
func anyBytes(sender, i int) []byte {
	const longest = 8192 // the default of max_datagram
	random := rand.New(rand.NewPCG(uint64(sender), uint64(i)))
	datagram := fmt.Appendf(nil, "<13>%d %d ", sender, i)
	size := random.IntN(150)
	if i%100 == 0 {
		size = longest - len(datagram) - 1
	}
	least := 1 // a NUL for i%4 == 0 alone
	if i%4 == 0 {
		least = 0
	}
	for range size {
		c := "\x00\n\xff\r\x7f#\tx"[least+random.IntN(8-least)]
		if i%2 == 0 {
			c = byte(least + random.IntN(256-least))
		}
		datagram = append(datagram, c)
	}
	return append(datagram, '.')
}

// sendAnyBytes sends total datagrams of anyBytes from four sockets, at 20,000 a second.
func sendAnyBytes(t *testing.T, address string, total int) {
	t.Helper()
	var conns [4]net.Conn
	for i := range conns {
		conn, err := net.Dial("udp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conns[i] = conn
	}
	began := time.Now()
	for n := range total {
		if _, err := conns[n%4].Write(anyBytes(n%4, n/4)); err != nil {
			t.Fatal(err)
		}
		if n%25 == 24 {
			time.Sleep(time.Until(began.Add(time.Duration(n+1) * time.Second / 20_000)))
		}
	}
}

// wantAnyBytes waits until the file of a collector has n records. The records are the datagrams of
// anyBytes, each at most once, in the order of each sender. kept says what the collector keeps.
func wantAnyBytes(t *testing.T, file string, n int, kept func([]byte) []byte) {
	t.Helper()
	next := make(map[int]int) // number of the next datagram by sender
	faults := 0
	got := followRecords(t, file, n, func(record []byte) {
		var sender, i int
		if _, err := fmt.Sscanf(string(record), "<13>%d %d", &sender, &i); err != nil {
			t.Fatalf("record %.100q: %v", record, err)
		}
		want := anyBytes(sender, i)
		switch isRaw := i%4 != 0; {
		case faults > 10:
			return
		case i < next[sender]:
			faults++
			t.Errorf("datagram %d of sender %d comes after %d", i, sender, next[sender]-1)
		case isRaw && !bytes.Equal(record, want), !bytes.Equal(record, kept(want)):
			faults++
			t.Errorf("datagram %d of sender %d: %.300q\nwant %.300q", i, sender, record, want)
		}
		next[sender] = i + 1
	})
	if got != n {
		t.Errorf("%d records in the file, want %d", got, n)
	}
}

// followRecords calls each with the records of a collector's file, as these are written, until the
// file has n records, and returns the number of records.
func followRecords(t *testing.T, file string, n int, each func(record []byte)) (got int) {
	t.Helper()
	end := []byte(shiptest.EndOfRecord)
	var open *os.File
	eventually(t, "the collector has made "+file, func() (ok bool) {
		var err error
		open, err = os.Open(file)
		return err == nil
	})
	defer open.Close()
	var rest []byte
	chunk := make([]byte, 1<<20)
	for deadline := time.Now().Add(time.Minute); ; {
		size, _ := open.Read(chunk) // 0 at the end of what is written
		rest = append(rest, chunk[:size]...)
		for {
			record, after, found := bytes.Cut(rest, end)
			if !found {
				break
			}
			each(record)
			rest = after
			got++
		}
		switch {
		case size > 0:
			deadline = time.Now().Add(time.Minute)
		case got >= n:
			return got
		case time.Now().After(deadline):
			t.Fatalf("%d of %d records are in the file of the collector", got, n)
		default:
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// syslogCollector is a real collector with octet counting over TCP or TLS.
type syslogCollector struct {
	name  string
	start func(t *testing.T, address string) (to, file string)
	kept  func([]byte) []byte // of a datagram with NULs
}

var syslogCollectors = []syslogCollector{
	{"rsyslog", startRsyslogTCP, shiptest.KeptByRsyslog},
	{"rsyslog-tls", startRsyslogTLS, shiptest.KeptByRsyslog},
	{"syslog-ng", func(t *testing.T, address string) (to, file string) {
		return "tcp://" + address + "#framing=octet-counting",
			shiptest.StartSyslogNGFile(t, address, "transport(tcp)")
	}, shiptest.KeptBySyslogNG},
	{"syslog-ng-tls", func(t *testing.T, address string) (to, file string) {
		ca := shiptest.NewCA(t)
		cert, key := ca.Server(t, "127.0.0.1")
		file = shiptest.StartSyslogNGFile(t, address, fmt.Sprintf(
			`transport(tls) tls(key-file("%s") cert-file("%s") peer-verify(optional-untrusted))`, key, cert))
		return "tls://" + address + "#framing=octet-counting&ca=" + ca.File, file
	}, shiptest.KeptBySyslogNG},
}

func startRsyslogTCP(t *testing.T, address string) (to, file string) {
	t.Helper()
	_, port, _ := net.SplitHostPort(address)
	r := shiptest.StartRsyslog(t, address, fmt.Sprintf(`global(%s) module(load="imtcp")
input(type="imtcp" address="127.0.0.1" port="%s")`, shiptest.RsyslogLiteral, port))
	return "tcp://" + address + "#framing=octet-counting", r.File
}

func startRsyslogTLS(t *testing.T, address string) (to, file string) {
	t.Helper()
	shiptest.RequireRsyslogModule(t, "lmnsd_ossl", "rsyslog-openssl")
	ca := shiptest.NewCA(t)
	cert, key := ca.Server(t, "127.0.0.1")
	clientCert, clientKey := ca.Client(t, "front-door.example.org")
	_, port, _ := net.SplitHostPort(address)
	r := shiptest.StartRsyslog(t, address, fmt.Sprintf(`global(%s defaultNetstreamDriver="ossl"
 defaultNetstreamDriverCAFile="%s" defaultNetstreamDriverCertFile="%s"
 defaultNetstreamDriverKeyFile="%s")
module(load="imtcp" streamDriver.name="ossl" streamDriver.mode="1"
 streamDriver.authMode="x509/name" permittedPeer="front-door.example.org")
input(type="imtcp" address="127.0.0.1" port="%s")`,
		shiptest.RsyslogLiteral, ca.File, cert, key, port))
	return fmt.Sprintf("tls://%s#framing=octet-counting&ca=%s&cert=%s&key=%s",
		address, ca.File, clientCert, clientKey), r.File
}

// Datagrams of any bytes are at rsyslog and syslog-ng as they came, over TCP and TLS. Only datagrams
// with NULs are at rsyslog as rsyslog keeps them.
func TestCollectorsHaveTheDatagrams(t *testing.T) {
	t.Parallel()
	for _, collector := range syslogCollectors {
		t.Run(collector.name, func(t *testing.T) {
			to, file := collector.start(t, shiptest.FreeTCP(t))
			address, args := loadedArgs(t, to, "--format", "original")
			p := startServe(t, nil, args...)
			defer watchTarget(t, p.http)()
			total := heavy(20_000, 300_000)
			sendAnyBytes(t, address, total)
			p.waitForLedger(total)
			p.waitForShipped()
			sum := p.total()
			p.wantNoDrops(sum.Dropped.Kernel)
			wantAnyBytes(t, file, total-int(sum.Dropped.Kernel), collector.kept)
			p.wantStop()
		})
	}
}

// Lines in the format rfc5424 that come over TCP are syslog messages for a strict parser.
func TestRFC5424LinesOverTCPAreStrict(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	address, args := loadedArgs(t, "tcp://"+l.Addr().String(), "--format", "rfc5424")
	p := startServe(t, nil, args...)
	var reading sync.WaitGroup
	lines, messages := 0, 0
	reading.Go(func() {
		conn, err := l.Accept() // one connection: the sink never fails
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		parser := rfc5424.NewParser(rfc5424.WithCompliantMsg())
		for scanner := bufio.NewScanner(conn); scanner.Scan(); lines++ {
			parsed, err := parser.Parse(scanner.Bytes())
			if err != nil {
				t.Errorf("%.300q: %v", scanner.Bytes(), err)
				continue
			}
			m := parsed.(*rfc5424.SyslogMessage)
			if m.Message != nil && strings.HasPrefix(*m.Message, "number ") {
				messages++
			}
		}
	})
	every := anyDatagrams()
	p.sendAll(address, every)
	s := newSenders(t, address, 4)
	s.send(20_000, 20_000)
	random := heavy(20_000, 300_000)
	sendAnyBytes(t, address, random)
	total := len(every) + s.sent + random
	p.waitForLedger(total)
	p.waitForShipped()
	sum := p.total()
	p.wantNoDrops(sum.Dropped.Kernel)
	p.wantStop() // closes the connection
	reading.Wait()
	if want := total - int(sum.Dropped.Kernel); lines != want {
		t.Errorf("%d lines of %d datagrams", lines, want)
	}
	if sum.Dropped.Kernel == 0 && messages != s.sent {
		t.Errorf("%d messages of %d", messages, s.sent)
	}
}

// rsyslog is killed and started again under load. All records are there at least once, and in order
// but for what is sent again.
func TestRELPCollectorIsKilled(t *testing.T) {
	t.Parallel()
	shiptest.RequireRsyslogModule(t, "imrelp", "rsyslog-relp")
	collector := shiptest.FreeTCP(t)
	_, port, _ := net.SplitHostPort(collector)
	// Without queues, rsyslog answers when a record is in the file.
	r := shiptest.StartRsyslog(t, collector, fmt.Sprintf(`main_queue(queue.type="direct")
module(load="imrelp") input(type="imrelp" address="127.0.0.1" port="%s")`, port))
	address, args := loadedArgs(t, "relp://"+collector)
	p := startServe(t, nil, args...)
	defer watchTarget(t, p.http)()
	s := newSenders(t, address, 4)
	kills := trials(5)
	for range kills {
		acknowledged := p.target().Acknowledged
		var killing sync.WaitGroup
		killing.Go(func() {
			poll(func() bool { // records are on their way
				status, err := statusAt(p.http)
				return err == nil && status.Listeners[0].Outputs[0].Acknowledged > acknowledged+5_000
			})
			r.Kill()
		})
		s.send(s.sent+20_000, 20_000)
		killing.Wait()
		r.Restart(t)
	}
	s.send(s.sent+10_000, 20_000)
	p.waitForLedger(s.sent)
	ledger := p.waitForShipped()
	sum := p.total()
	p.wantNoDrops(sum.Dropped.Kernel)
	p.wantStop()
	wantAtLeastOnce(t, r.File, s.next, int(sum.Dropped.Kernel), kills)
	t.Logf("%d failures, %d records sent again", ledger.Retries, ledger.Resent)
}

// wantAtLeastOnce checks that the file of a collector has all messages of senders but for the lost
// ones. sent has the number of messages by sender. A message follows the message before, or begins
// a part that is sent again: at most once a sender and failure of the target. A message that the
// collector was writing when it was killed may be in the file in part.
func wantAtLeastOnce(t *testing.T, file string, sent []int, lost, kills int) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	seen := make([]map[int]bool, len(sent))
	previous, again := make([]int, len(sent)), make([]int, len(sent))
	for i := range sent {
		seen[i], previous[i] = make(map[int]bool), -1
	}
	parts := 0
	for text := range bytes.SplitSeq(bytes.TrimSuffix(text, []byte(shiptest.EndOfRecord)),
		[]byte(shiptest.EndOfRecord)) {
		if begin := bytes.LastIndex(text, []byte(`{"timestamp"`)); begin > 0 {
			parts++
			text = text[begin:]
		}
		var record struct{ Hostname, Message string }
		var sender, n int
		if err := json.Unmarshal(text, &record); err != nil {
			t.Fatalf("record %.300q: %v", text, err)
		}
		_, err1 := fmt.Sscanf(record.Hostname, "host%d", &sender)
		_, err2 := fmt.Sscanf(record.Message, "number %d", &n)
		if err1 != nil || err2 != nil || sender >= len(sent) {
			t.Fatalf("record %.300q: %v, %v", text, err1, err2)
		}
		switch {
		case n <= previous[sender]:
			again[sender]++
		case n != previous[sender]+1 && lost == 0:
			t.Fatalf("sender %d: message %d follows message %d", sender, n, previous[sender])
		}
		seen[sender][n], previous[sender] = true, n
	}
	missing := 0
	for i, n := range sent {
		missing += n - len(seen[i])
		if again[i] > kills {
			t.Errorf("sender %d: the order is broken %d times by %d kills", i, again[i], kills)
		}
	}
	if missing != lost || parts > kills {
		t.Errorf("%d messages are not in the file, want %d; %d parts of messages", missing, lost, parts)
	}
}
