package relp

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/udpshard/udpshard/internal/ship/shiptest"
)

// rsyslog is an rsyslogd with imrelp.
type rsyslog struct {
	t       *testing.T
	address string
	*shiptest.Rsyslog
}

// newRsyslog starts a rsyslogd that writes each record to a file before its response: without queues,
// and without buffers of omfile. Records stay as they are, but for NULs: rsyslog can't have them.
func newRsyslog(t *testing.T, input string) *rsyslog {
	t.Helper()
	shiptest.RequireRsyslogModule(t, "imrelp", "rsyslog-relp")
	address := shiptest.FreeTCP(t)
	_, port, _ := net.SplitHostPort(address)
	return &rsyslog{t, address, shiptest.StartRsyslog(t, address, fmt.Sprintf(`
global(%s) main_queue(queue.type="direct") module(load="imrelp" tls.tlslib="openssl")
input(type="imrelp" address="127.0.0.1" port="%s" %s)`, shiptest.RsyslogLiteral, port, input))}
}

// records returns the records that the file has.
func (r *rsyslog) records() []string {
	r.t.Helper()
	text, err := os.ReadFile(r.File)
	if err != nil {
		r.t.Fatal(err)
	}
	all := strings.Split(string(text), shiptest.EndOfRecord)
	if last := len(all) - 1; all[last] == "" {
		all = all[:last]
	}
	return all
}

// All bytes but NUL, and records of all sizes, are in the file of rsyslog when Send returns.
func TestRsyslogStoresBytes(t *testing.T) {
	r := newRsyslog(t, "")
	target := open(t, "relp://"+r.address)
	var bytes []byte
	for c := 1; c < 256; c++ {
		bytes = append(bytes, byte(c))
	}
	all := []string{"<13>Oct 11 22:14:15 host app: text", string(bytes), "", "\n", " ", "two\nlines\n",
		strings.Repeat("x", 8<<10), strings.Repeat("y", 60<<10), "no syslog"}
	if err := target.Send(t.Context(), shiptest.Batch(0, all...)); err != nil {
		t.Fatal(err)
	}
	if got := r.records(); !slices.Equal(got, all) {
		t.Errorf("%.300q", got)
	}
}
