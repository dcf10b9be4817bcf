package shiptest

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// StartSyslogNG starts syslog-ng with the text of a configuration file without the version line. On
// Debian syslog-ng and rsyslog exclude each other, so an absent syslog-ng is unpacked from its
// packages into a temporary folder. The test is skipped if the packages can't be had.
func StartSyslogNG(t testing.TB, configuration string) *Process {
	t.Helper()
	folder := t.TempDir()
	file := filepath.Join(folder, "syslog-ng.conf")
	if err := os.WriteFile(file, []byte("@version: 3.38\n"+configuration), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"-F", "--no-caps", "-f", file, "-p", filepath.Join(folder, "pid"),
		"-c", filepath.Join(folder, "control"), "-R", filepath.Join(folder, "persist")}
	if installed, err := exec.LookPath("syslog-ng"); err == nil {
		return Start(t, installed, args...)
	}
	root := unpackSyslogNG(t)
	under := func(pattern string) []string {
		found, _ := filepath.Glob(filepath.Join(root, pattern)) // the pattern is well formed
		return found
	}
	if modules := under("usr/lib/syslog-ng/[0-9]*"); len(modules) > 0 {
		args = append(args, "--module-path", modules[0])
	}
	libraries := append(under("usr/lib/syslog-ng"), under("usr/lib/*-linux-gnu")...)
	libraries = append(libraries, under("lib/*-linux-gnu")...)
	args = append([]string{"LD_LIBRARY_PATH=" + strings.Join(libraries, ":"),
		filepath.Join(root, "usr/sbin/syslog-ng")}, args...)
	return Start(t, "env", args...)
}

// StartSyslogNGFile starts syslog-ng with a source that listens at a TCP address, and returns the
// file to which syslog-ng writes each record.
func StartSyslogNGFile(t testing.TB, address, transport string) (file string) {
	t.Helper()
	_, port, _ := net.SplitHostPort(address)
	file = filepath.Join(t.TempDir(), "records")
	p := StartSyslogNG(t, fmt.Sprintf(`options { stats-freq(0); log-msg-size(65536); };
source s { syslog(ip(127.0.0.1) port(%s) flags(no-parse) log-iw-size(10000) %s); };
destination d { file("%s" template("$MSG%s\n") template-escape(no) log-fifo-size(100000)); };
log { source(s); destination(d); flags(flow-control); };
`, port, transport, file, strings.TrimSuffix(EndOfRecord, "\n")))
	p.AwaitTCP(t, address)
	return file
}

// KeptBySyslogNG is what syslog-ng keeps of a record: all but newlines and NULs at the end.
func KeptBySyslogNG(record []byte) []byte { return bytes.TrimRight(record, "\n\x00") }

// syslogNGPackages are syslog-ng and the libraries that a host without syslog-ng often lacks.
var syslogNGPackages = []string{"syslog-ng-core", "libivykis0", "libnet1", "libpcre3", "libwrap0"}

// unpackSyslogNG returns a folder with the content of the packages, which later runs use again.
func unpackSyslogNG(t testing.TB) string {
	t.Helper()
	building.Lock()
	defer building.Unlock()
	parent := filepath.Join(os.TempDir(), "udpshard-test-servers-"+os.Getenv("USER"))
	root := filepath.Join(parent, "syslog-ng")
	if _, err := os.Stat(root); err == nil {
		return root
	}
	if err := os.MkdirAll(parent, 0o700); err != nil {
		t.Fatal(err)
	}
	folder, err := os.MkdirTemp(parent, "unpacking-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(folder)
	const script = `set -e; cd "$1"; shift; apt-get download "$@"
for f in *.deb; do dpkg -x "$f" root; done`
	args := append([]string{"-c", script, "sh", folder}, syslogNGPackages...)
	download := exec.Command("sh", args...)
	if out, err := download.CombinedOutput(); err != nil {
		t.Skipf("needs syslog-ng: apt-get install syslog-ng-core, or on Debian beside rsyslog, "+
			"apt-get update, so that this succeeds: apt-get download %s: %v\n%s",
			strings.Join(syslogNGPackages, " "), err, out)
	}
	// Another process may have been faster.
	if err := os.Rename(filepath.Join(folder, "root"), root); err != nil && !os.IsExist(err) {
		t.Fatal(err)
	}
	return root
}
