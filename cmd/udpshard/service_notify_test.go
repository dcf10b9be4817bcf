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

// A service notifies READY=1 after all descriptors are in the store, and STOPPING=1 at SIGTERM. The
// next process reads the datagrams that were queued meanwhile.
func TestServiceIsReadyAfterStore(t *testing.T) {
	svc := newService(t)
	p := svc.start("--shards", "2")
	notified := svc.notifications(p)
	ready := slices.Index(notified, "READY=1\nSTATUS=serving 1 listeners with 2 shards")
	if ready < 0 {
		t.Fatalf("got notifications %q, want READY=1", notified)
	}
	stores := 0
	for i, text := range notified {
		if strings.HasPrefix(text, "FDSTORE=1\n") {
			if stores++; i > ready {
				t.Errorf("got %q after %q, want before", text, notified[ready])
			}
		}
	}
	if stores != 5 {
		t.Errorf("got %d stored descriptors, want 5", stores)
	}
	svc.wantStored(2)
	k := svc.restored()
	if len(k.Listeners) != 1 || k.Listeners[0].Address != svc.address || k.Listeners[0].Name != "syslog" || k.Dropped != nil || k.Surplus != nil {
		t.Errorf("got stored state %+v, want listener syslog at %s", k, svc.address)
	}
	p.wantStop()
	if !slices.Contains(svc.notifications(p), "STOPPING=1\nSTATUS=draining") {
		t.Errorf("got notifications %q, want STOPPING=1", svc.notifications(p))
	}
	svc.wantStored(2)
	newSenders(t, svc.address, 16).send(1000, 0) // queued in the kernel
	p = svc.start("--shards", "2")
	eventually(t, "queued datagrams are delivered", func() bool { r := p.total(); return r.Delivered == 1000 && r.Dropped.Kernel == 0 })
}

// A service with a watchdog timeout keeps notifying WATCHDOG=1.
func TestServiceSendsWatchdog(t *testing.T) {
	svc := newService(t)
	svc.SetWatchdog(200 * time.Millisecond)
	p := svc.start("--shards", "2")
	count := func() int {
		return len(slices.DeleteFunc(svc.notifications(p), func(text string) bool { return text != "WATCHDOG=1" }))
	}
	eventually(t, "the service has notified WATCHDOG=1 ten times", func() bool { return count() >= 10 })
	p.terminate()
}

var reloading = regexp.MustCompile(`^RELOADING=1\nMONOTONIC_USEC=[0-9]+$`)

func isReloading(text string) bool { return reloading.MatchString(text) }

// SIGHUP makes a service notify RELOADING=1, then READY=1.
func TestServiceReload(t *testing.T) {
	svc := newService(t)
	p := svc.start("--shards", "2")
	before := len(svc.notifications(p))
	p.signal(syscall.SIGHUP)
	eventually(t, "the service has notified twice", func() bool { return len(svc.notifications(p)) >= before+2 })
	if notified := svc.notifications(p)[before:]; !isReloading(notified[0]) || notified[1] != "READY=1\nSTATUS=serving 1 listeners with 2 shards" {
		t.Errorf("got notifications %q, want RELOADING=1 and READY=1", notified)
	}
	svc.wantStored(2)
}

// The service manager is paused: the service reads all the same. A process that dies meanwhile
// leaves its state in the store.
func TestSlowServiceManager(t *testing.T) {
	svc := newService(t)
	p := svc.launchServe("--shards", "2")
	resume := svc.Pause()
	p.waitForLog(`"message":"listening"`)
	newSenders(t, svc.address, 16).send(1000, 0)
	eventually(t, "1000 datagrams are delivered", func() bool {
		status, err := statusAt(svc.http)
		return err == nil && metrics.Sum(status.Listeners[0].Shards).Delivered == 1000
	})
	p.kill()
	resume()
	eventually(t, "the store has all descriptors", func() bool { s, c, l, _ := svc.storedKinds(); return s == 2 && c == 2 && l == 1 })
	p = svc.start("--shards", "2")
	if total := p.total(); total.Received != 1000 || total.Delivered != 1000 {
		t.Errorf("got %+v, want 1000 received and delivered", total)
	}
}

// The service manager does not read notifications: at SIGHUP, output files are reopened first, and
// the failed notification is logged.
func TestReloadWithHangingServiceManager(t *testing.T) {
	t.Parallel() // waits more than it works
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
	<-ready // the manager reads no more
	conn, err := net.DialUnix("unixgram", nil, at)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	eventually(t, "the queue of the manager is full", func() bool {
		conn.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
		_, err := conn.Write([]byte("X=1"))
		return errors.Is(err, os.ErrDeadlineExceeded)
	})
	if err := os.Rename(records, records+".old"); err != nil {
		t.Fatal(err)
	}
	p.signal(unix.SIGHUP)
	eventually(t, "the output is opened again", func() bool {
		_, err := os.Stat(records)
		return err == nil
	})
	if p.hasLogged("notification of the service manager failed") {
		t.Error("the reload waited for the manager before the outputs")
	}
	p.waitForLog("notification of the service manager failed", "reload finished")
}
