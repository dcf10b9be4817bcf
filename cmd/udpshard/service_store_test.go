package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/handoff/systemd"
	"github.com/udpshard/udpshard/internal/handoff/systemd/systemdtest"
)

func isKind(kind systemd.Kind) func(systemdtest.Descriptor) bool {
	return func(d systemdtest.Descriptor) bool {
		name, _ := systemd.ParseName(d.Name)
		return name.Kind == kind
	}
}

// A service starts with a damaged or unreadable store: it logs the damage, serves, and stores a
// complete state again.
func TestDamagedStore(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(t *testing.T, passed []systemdtest.Descriptor) []systemdtest.Descriptor
		log    string
		counts bool // counters continue
		queued bool // queued datagrams are read
	}{
		"no list": {func(t *testing.T, passed []systemdtest.Descriptor) []systemdtest.Descriptor {
			return slices.DeleteFunc(passed, isKind(systemd.ManifestKind))
		}, "2 stored sockets without a manifest", false, true},
		"a socket less": {func(t *testing.T, passed []systemdtest.Descriptor) []systemdtest.Descriptor {
			i := slices.IndexFunc(passed, isKind(systemd.SocketKind))
			passed[i].File.Close()
			return slices.Delete(passed, i, i+1)
		}, "missing", false, false},
		"no counters": {func(t *testing.T, passed []systemdtest.Descriptor) []systemdtest.Descriptor {
			return slices.DeleteFunc(passed, isKind(systemd.CountersKind))
		}, "counters missing", false, true},
		"counters of another version": {func(t *testing.T, passed []systemdtest.Descriptor) []systemdtest.Descriptor {
			written := 0
			for _, d := range passed {
				if isKind(systemd.CountersKind)(d) {
					if _, err := d.File.WriteAt([]byte{99}, 8); err == nil { // behind the magic of 8 bytes
						written++
					} else if !errors.Is(err, unix.EPERM) {
						t.Fatal(err)
					}
				}
			}
			if written != 1 {
				t.Fatalf("got %d writable files of counters, want 1: the control memory", written)
			}
			return passed
		}, "and this program needs version", false, true},
		"no socket": {func(t *testing.T, passed []systemdtest.Descriptor) []systemdtest.Descriptor {
			i := slices.IndexFunc(passed, isKind(systemd.SocketKind))
			null, err := os.Open(os.DevNull)
			if err != nil {
				t.Fatal(err)
			}
			passed[i].File.Close()
			passed[i].File = null
			return passed
		}, "missing", false, false},
		"foreign descriptor": {func(t *testing.T, passed []systemdtest.Descriptor) []systemdtest.Descriptor {
			null, err := os.Open(os.DevNull)
			if err != nil {
				t.Fatal(err)
			}
			return append(passed, systemdtest.Descriptor{Name: "web", File: null})
		}, "socket of the service manager unused", true, true},
	} {
		t.Run(name, func(t *testing.T) {
			svc := newService(t)
			p := svc.start("--shards", "2")
			s := newSenders(t, svc.address, 16)
			s.send(1000, 0)
			p.waitForDelivered(1000)
			p.terminate()
			if c.queued {
				s.send(2000, 0)
			}

			previous := svc
			svc = &service{Manager: systemdtest.New(t, filepath.Join(svc.dir, "again")), t: t, dir: svc.dir, address: svc.address, http: svc.http, records: svc.records, change: asNobody}
			svc.activated = c.damage(t, previous.Descriptors())
			previous.EmptyStore()
			p = svc.start("--shards", "2")
			for _, d := range svc.activated {
				d.File.Close()
			}
			p.waitForLog(c.log)
			s.send(s.sent+1000, 0)
			want := s.sent
			if !c.counts {
				want -= 1000
			}
			p.waitForDelivered(want)
			svc.wantStored(2)
			p.terminate()
			svc.activated = nil
			p = svc.start("--shards", "2")
			p.waitForDelivered(want)
			if p.hasLogged("stored descriptor unusable") || p.hasLogged("socket of the service manager unused") {
				t.Error("the damage remains after a restart")
			}
		})
	}
}

// The store is too small: the service logs the problem once, with the needed limit, serves, and
// drains at SIGTERM as without a store.
func TestStoreTooSmall(t *testing.T) {
	svc := newService(t)
	svc.Limit(3, -1)
	p := svc.start("--shards", "2")
	newSenders(t, svc.address, 16).send(1000, 0)
	p.waitForDelivered(1000)
	p.waitForLog("set FileDescriptorStoreMax=5 or more in the unit")
	if n := strings.Count(p.logs.String(), "descriptor store failed"); n != 1 {
		t.Errorf("got %d log lines, want 1", n)
	}
	p.wantStop()
}

// A service closes passed descriptors that it does not use: the number of descriptors does not grow
// with restarts.
func TestServiceLeaksNoDescriptors(t *testing.T) {
	svc := newService(t)
	svc.bindSockets(2, nil)
	var counts []int
	for range 4 {
		p := svc.start("--shards", "2", "--http", "")
		p.waitForLog(`"message":"listening"`)
		var count int
		eventually(t, "the number of descriptors is stable", func() bool {
			files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.pid()))
			if err != nil {
				t.Fatal(err)
			}
			previous := count
			count = len(files)
			return previous == count
		})
		counts = append(counts, count)
		environment, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p.pid()))
		if err != nil || !strings.Contains(string(environment), "NOTIFY_SOCKET") {
			t.Errorf("no NOTIFY_SOCKET in the environment: %v", err)
		}
		p.terminate()
	}
	if slices.Max(counts[1:]) > slices.Min(counts[1:])+1 {
		t.Errorf("got %d descriptors, want equal numbers", counts)
	}
}
