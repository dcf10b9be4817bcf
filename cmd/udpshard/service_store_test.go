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

// A store that was damaged, or is not to be understood, keeps no service from
// starting: it says what is the matter, and serves.
func TestDamagedStore(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(t *testing.T, passed []systemdtest.Descriptor) []systemdtest.Descriptor
		words  string
		counts bool // goes on counting
		waited bool // what had waited is read
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
					if _, err := d.File.WriteAt([]byte{99}, 8); err == nil { // behind its first eight letters
						written++
					} else if !errors.Is(err, unix.EPERM) {
						t.Fatal(err)
					}
				}
			}
			if written != 1 {
				t.Fatalf("%d of the counters' files can be written to, want the control memory alone", written)
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
		"another's descriptor": {func(t *testing.T, passed []systemdtest.Descriptor) []systemdtest.Descriptor {
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
			if c.waited {
				s.send(2000, 0)
			}

			old := svc
			svc = &service{Manager: systemdtest.New(t, filepath.Join(svc.dir, "again")), t: t, dir: svc.dir, address: svc.address, http: svc.http, records: svc.records, change: asNobody}
			svc.activated = c.damage(t, old.Descriptors())
			old.EmptyStore()
			p = svc.start("--shards", "2")
			for _, d := range svc.activated {
				d.File.Close()
			}
			p.waitForLog(c.words)
			first := s.sent
			s.send(first+1000, 0)
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
				t.Error("the damage is still there")
			}
		})
	}
}

// A store that is too small is told of once, with what helps; it serves all the
// same, and drains at its end as if there were none.
func TestStoreTooSmall(t *testing.T) {
	svc := newService(t)
	svc.Limit(3, -1)
	p := svc.start("--shards", "2")
	newSenders(t, svc.address, 16).send(1000, 0)
	p.waitForDelivered(1000)
	p.waitForLog("set FileDescriptorStoreMax=5 or more in the unit")
	if n := strings.Count(p.logs.String(), "descriptor store failed"); n != 1 {
		t.Errorf("that is told %d times", n)
	}
	p.wantStop()
}

// Descriptors that were passed are closed when they are of no more use, start
// after start.
func TestServiceLeaksNoDescriptors(t *testing.T) {
	svc := newService(t)
	svc.bindSockets(2, nil)
	var counts []int
	for range 4 {
		p := svc.start("--shards", "2", "--http", "")
		p.waitForLog(`"message":"listening"`)
		var has int
		eventually(t, "it is at rest", func() bool {
			files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.pid()))
			if err != nil {
				t.Fatal(err)
			}
			was := has
			has = len(files)
			return was == has
		})
		counts = append(counts, has)
		environment, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p.pid()))
		if err != nil || !strings.Contains(string(environment), "NOTIFY_SOCKET") {
			t.Errorf("it was not started as a service: %v", err)
		}
		p.terminate()
	}
	if slices.Max(counts[1:]) > slices.Min(counts[1:])+1 {
		t.Errorf("descriptors: %d", counts)
	}
}
