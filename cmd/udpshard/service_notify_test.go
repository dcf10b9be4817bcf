package main

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/metrics"
)

func TestServiceIsReadyAfterStore(t *testing.T) {
	svc := newService(t)
	p := svc.start("--shards", "2")
	said := svc.notifications(p)
	ready := slices.Index(said, "READY=1\nSTATUS=serving 1 listeners with 2 shards")
	if ready < 0 {
		t.Fatalf("%q", said)
	}
	stores := 0
	for i, text := range said {
		if strings.HasPrefix(text, "FDSTORE=1\n") {
			if stores++; i > ready {
				t.Errorf("%q comes after %q", text, said[ready])
			}
		}
	}
	if stores != 5 {
		t.Errorf("%d descriptors were stored", stores)
	}
	svc.wantStored(2)
	k := svc.restored()
	if len(k.Listeners) != 1 || k.Listeners[0].Address != svc.address || k.Listeners[0].Name != "syslog" || k.Dropped != nil || k.Surplus != nil {
		t.Errorf("%+v", k)
	}
	p.wantStop()
	if !slices.Contains(svc.notifications(p), "STOPPING=1\nSTATUS=draining") {
		t.Errorf("%q", svc.notifications(p))
	}
	svc.wantStored(2)
	newSenders(t, svc.address, 16).send(1000, 0) // nobody reads
	p = svc.start("--shards", "2")
	eventually(t, "what waited is read", func() bool { r := p.total(); return r.Delivered == 1000 && r.Dropped.Kernel == 0 })
}

func TestServiceSendsWatchdog(t *testing.T) {
	svc := newService(t)
	svc.SetWatchdog(200 * time.Millisecond)
	p := svc.start("--shards", "2")
	count := func() int {
		return len(slices.DeleteFunc(svc.notifications(p), func(text string) bool { return text != "WATCHDOG=1" }))
	}
	eventually(t, "it has said so ten times", func() bool { return count() >= 10 })
	p.terminate()
}

var reloading = regexp.MustCompile(`^RELOADING=1\nMONOTONIC_USEC=[0-9]+$`)

func isReloading(text string) bool { return reloading.MatchString(text) }

func TestServiceReload(t *testing.T) {
	svc := newService(t)
	p := svc.start("--shards", "2")
	before := len(svc.notifications(p))
	p.signal(syscall.SIGHUP)
	eventually(t, "it is ready again", func() bool { return len(svc.notifications(p)) >= before+2 })
	if said := svc.notifications(p)[before:]; !isReloading(said[0]) || said[1] != "READY=1\nSTATUS=serving 1 listeners with 2 shards" {
		t.Errorf("%q", said)
	}
	svc.wantStored(2)
}

// A manager that is slow keeps nobody from reading.
func TestSlowServiceManager(t *testing.T) {
	svc := newService(t)
	p := svc.launchServe("--shards", "2")
	resume := svc.Pause()
	p.waitForLog(`"message":"listening"`)
	newSenders(t, svc.address, 16).send(1000, 0)
	eventually(t, "all is delivered", func() bool {
		status, err := statusAt(svc.http)
		return err == nil && metrics.Sum(status.Listeners[0].Shards).Delivered == 1000
	})
	p.kill()
	resume()
	eventually(t, "the manager has all", func() bool { s, c, l, _ := svc.storedKinds(); return s == 2 && c == 2 && l == 1 })
	p = svc.start("--shards", "2")
	if total := p.total(); total.Received != 1000 || total.Delivered != 1000 {
		t.Errorf("%+v", total)
	}
}

// A service manager that does not read keeps nobody from rotating files.
func TestReloadWithHangingServiceManager(t *testing.T) {
	dir := publicDir(t)
	at, records := &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"}, filepath.Join(dir, "records")
	manager, err := net.ListenUnixgram("unixgram", at)
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	if err := os.Chmod(at.Name, 0o777); err != nil {
		t.Fatal(err)
	}
	ready := make(chan struct{})
	go func() {
		defer close(ready)
		message := make([]byte, 4096)
		for n := 0; !strings.Contains(string(message[:n]), "READY=1"); {
			var err error
			if n, err = manager.Read(message); err != nil {
				return
			}
		}
	}()
	p := startServe(t, func(cmd *exec.Cmd) {
		asNobody(cmd)
		cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+at.Name)
	}, "--listen", freePort(t), "--shards", "1", "--output", "file:"+records)
	<-ready // and from now on it reads nothing
	conn, err := net.DialUnix("unixgram", nil, at)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	eventually(t, "the manager's queue is full", func() bool {
		conn.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
		_, err := conn.Write([]byte("X=1"))
		return errors.Is(err, os.ErrDeadlineExceeded)
	})
	if err := os.Rename(records, records+".old"); err != nil {
		t.Fatal(err)
	}
	p.signal(unix.SIGHUP)
	eventually(t, "the output is opened anew", func() bool {
		_, err := os.Stat(records)
		return err == nil
	})
	if p.hasLogged("notification of the service manager failed") {
		t.Error("the manager was waited for first")
	}
	p.waitForLog("notification of the service manager failed", "reload finished")
}
