package relp

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/udpshard/udpshard/internal/ship/shiptest"
)

// rsyslog is an rsyslogd with imrelp, and its output file.
type rsyslog struct {
	t       *testing.T
	path    string // of the program
	folder  string
	address string
	*shiptest.Process
}

const separator = "|end of record|"

// newRsyslog prepares a rsyslogd that writes each record to a file before its response: without
// queues, and without buffers of omfile. separator ends each record in the file. Records stay as they
// are, but for NULs: rsyslog can't have them.
func newRsyslog(t *testing.T, input string) *rsyslog {
	t.Helper()
	path, err := exec.LookPath("rsyslogd")
	if err != nil {
		if path, err = exec.LookPath("/usr/sbin/rsyslogd"); err != nil {
			t.Skip("needs rsyslogd: apt-get install rsyslog")
		}
	}
	plugins, _ := filepath.Glob("/usr/lib*/rsyslog/imrelp.so")
	multiarch, _ := filepath.Glob("/usr/lib/*/rsyslog/imrelp.so")
	if len(plugins)+len(multiarch) == 0 {
		t.Skip("needs imrelp: apt-get install rsyslog-relp")
	}
	r := &rsyslog{t: t, path: path, folder: t.TempDir(), address: shiptest.FreeTCP(t)}
	_, port, _ := net.SplitHostPort(r.address)
	config := fmt.Sprintf(`
global(workDirectory="%[1]s" maxMessageSize="64k" parser.dropTrailingLFOnReception="off"
  parser.escapeControlCharactersOnReceive="off")
module(load="imrelp" tls.tlslib="openssl")
template(name="record" type="list") { property(name="rawmsg") constant(value="%[4]s") }
ruleset(name="record" queue.type="direct") {
  action(type="omfile" file="%[1]s/records" template="record" asyncWriting="off" flushOnTXEnd="on")
}
input(type="imrelp" address="127.0.0.1" port="%[2]s" ruleset="record" %[3]s)
`, r.folder, port, input, separator)
	if err := os.WriteFile(r.folder+"/rsyslog.conf", []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	r.start()
	return r
}

// start starts rsyslogd, and waits until it listens.
func (r *rsyslog) start() {
	r.t.Helper()
	os.Remove(r.folder + "/pid")
	r.Process = shiptest.Start(r.t, r.path, "-n", "-f", r.folder+"/rsyslog.conf", "-i", r.folder+"/pid")
	r.AwaitTCP(r.t, r.address)
}

// records returns the records that the file has.
func (r *rsyslog) records() []string {
	r.t.Helper()
	text, err := os.ReadFile(r.folder + "/records")
	if err != nil {
		r.t.Fatal(err)
	}
	all := strings.Split(string(text), separator)
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
