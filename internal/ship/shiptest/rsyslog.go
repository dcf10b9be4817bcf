package shiptest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// EndOfRecord follows each record in the files of collectors; records have it nowhere else.
const EndOfRecord = "@-end-of-record-@\n"

// Rsyslog is an rsyslogd that writes each record to a file.
type Rsyslog struct {
	*Process
	File string

	program, folder, address string
}

// StartRsyslog starts an rsyslogd with statements of a configuration; one is an input that listens at
// a TCP address. The test is skipped if the host has no rsyslogd.
func StartRsyslog(t testing.TB, address, statements string) *Rsyslog {
	t.Helper()
	program, err := exec.LookPath("rsyslogd")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/rsyslogd"); err != nil {
			t.Skip("needs rsyslogd: apt-get install rsyslog")
		}
	}
	r := &Rsyslog{program: program, folder: t.TempDir(), address: address}
	r.File = filepath.Join(r.folder, "records")
	configuration := fmt.Sprintf(`global(workDirectory="%s" maxMessageSize="64k"
 parser.dropTrailingLFOnReception="off")
%s
template(name="record" type="string" string="%%rawmsg%%%s\n")
action(type="omfile" file="%s" template="record")
`, r.folder, statements, strings.TrimSuffix(EndOfRecord, "\n"), r.File)
	path := filepath.Join(r.folder, "rsyslog.conf")
	if err := os.WriteFile(path, []byte(configuration), 0o600); err != nil {
		t.Fatal(err)
	}
	r.Restart(t)
	return r
}

// Restart starts an rsyslogd that was killed, and waits until it listens.
func (r *Rsyslog) Restart(t testing.TB) {
	t.Helper()
	os.Remove(filepath.Join(r.folder, "pid"))
	r.Process = Start(t, r.program, "-n", "-C", "-i", filepath.Join(r.folder, "pid"),
		"-f", filepath.Join(r.folder, "rsyslog.conf"))
	r.AwaitTCP(t, r.address)
}

// RequireRsyslogModule skips the test if rsyslog lacks a module of a package.
func RequireRsyslogModule(t testing.TB, module, pkg string) {
	t.Helper()
	for _, pattern := range []string{"/usr/lib*/rsyslog/", "/usr/lib/*/rsyslog/"} {
		if found, _ := filepath.Glob(pattern + module + ".so"); len(found) > 0 {
			return
		}
	}
	t.Skipf("needs %s of rsyslog: apt-get install %s", module, pkg)
}

// RsyslogLiteral makes rsyslog keep control characters as they are: see KeptByRsyslog.
const RsyslogLiteral = `parser.escapeControlCharactersOnReceive="off"`

// KeptByRsyslog is what rsyslog keeps of a record with RsyslogLiteral: all bytes, but for a NUL at
// the end. A record with more NULs has #000 instead of them, and from the byte before the first NUL
// on loses all other bytes below 0x20 (SanitizeMsg, runtime/parser.c, rsyslog 8.2302).
func KeptByRsyslog(record []byte) []byte {
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
