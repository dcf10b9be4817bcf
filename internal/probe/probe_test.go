package probe

import (
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTable(t *testing.T) {
	version := regexp.MustCompile(`^[2-9]\.\d+(\.\d+)?$`)
	names := make(map[string]bool)
	for _, f := range Features() {
		if f.Name == "" || f.For == "" || !version.MatchString(f.Since) || names[f.Name] {
			t.Errorf("%+v", f)
		}
		names[f.Name] = true
	}
}

// All required features work wherever the tests of serve run.
func TestRequiredWork(t *testing.T) {
	for _, f := range Features() {
		err := f.Probe()
		if err != nil && f.Required {
			t.Error(err)
		} else if err != nil {
			t.Logf("not here: %v", err)
		}
	}
}

func TestProbesLeaveNoDescriptors(t *testing.T) {
	count := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skipf("needs procfs: %v", err)
		}
		return len(entries)
	}
	for _, f := range Features() {
		f.Probe() // opens what the runtime opens once
		before := count()
		f.Probe()
		if after := count(); after != before {
			t.Errorf("%s: %d descriptors before, %d after", f.Name, before, after)
		}
	}
}

func TestForbidden(t *testing.T) {
	for err, want := range map[error]bool{unix.EPERM: true, unix.EACCES: true, unix.ENOSYS: false, unix.ENOPROTOOPT: false} {
		if got := Forbidden(fmt.Errorf("x: %w", err)); got != want {
			t.Errorf("%v: %v", err, got)
		}
	}
}

// With all free ports in use by other sockets, probes leave these sockets alone.
func TestProbesJoinNobody(t *testing.T) {
	runtime.LockOSThread() // and never unlocked: the thread ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skipf("needs CAP_SYS_ADMIN for a network namespace: %v", err)
	}
	const port = 40000
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", []byte("40000 40000"), 0); err != nil {
		t.Skipf("needs net.ipv4.ip_local_port_range: %v", err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: port}); err != nil {
		t.Fatal(err)
	}
	for _, f := range Features() {
		if f.Name == "SO_REUSEPORT" || strings.HasSuffix(f.Name, "REUSEPORT_CBPF") || strings.HasSuffix(f.Name, "REUSEPORT_BPF") {
			if err := f.Probe(); !Untried(err) {
				t.Errorf("%s: %v, though all ports are taken", f.Name, err)
			}
		}
	}
}
