package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/loadgen"
)

// previousCommit is the previous version in the tests of this file: the last commit before the
// renames in internal/handoff.
const previousCommit = "c7ae2f4f9de12cf0ea98aaac07aeefd8e88ea38e"

// errNoHistory is the error of a source tree without previousCommit.
var errNoHistory = errors.New("needs git and a clone with the commit " + previousCommit + ": git fetch --unshallow")

// previousProgram builds the program of previousCommit, once for all tests.
var previousProgram = sync.OnceValues(func() (string, error) {
	current, err := program()
	if err != nil {
		return "", err
	}
	root, err := exec.Command("git", "rev-parse", "--show-toplevel").Output()
	if err != nil {
		return "", fmt.Errorf("%w (%w)", errNoHistory, err)
	}
	archive := exec.Command("git", "archive", previousCommit)
	archive.Dir = strings.TrimSpace(string(root))
	source := filepath.Join(filepath.Dir(current), "previous") // TestMain removes the folder
	if err := os.Mkdir(source, 0o755); err != nil {
		return "", err
	}
	unpack := exec.Command("tar", "-x", "-C", source)
	if unpack.Stdin, err = archive.StdoutPipe(); err != nil {
		return "", err
	}
	if err := unpack.Start(); err != nil {
		return "", fmt.Errorf("needs tar: %w", err)
	}
	archived := archive.Run()
	if err := unpack.Wait(); err != nil {
		return "", err
	}
	if archived != nil {
		return "", fmt.Errorf("%w (git archive: %w)", errNoHistory, archived)
	}
	path := filepath.Join(source, "udpshard")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", path, "./cmd/udpshard")
	build.Dir, build.Env = source, append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build of %s: %w\n%s", previousCommit, err, out)
	}
	return path, nil
})

// previousVersion returns a change for launch: the process runs the program of previousCommit.
func previousVersion(t *testing.T) func(*exec.Cmd) {
	t.Helper()
	path, err := previousProgram()
	if errors.Is(err, errNoHistory) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	current, _ := program()
	return func(cmd *exec.Cmd) {
		asNobody(cmd)
		if cmd.Path == current {
			cmd.Path = path
		}
		for i, arg := range cmd.Args { // systemdtest starts the program by a shell
			if arg == current {
				cmd.Args[i] = path
			}
		}
	}
}

// mixedVersions is a port that processes of two versions read in turn, under load.
type mixedVersions struct {
	t        *testing.T
	previous func(*exec.Cmd)
	args     []string
	records  string // file of the output
	report   func() loadgen.Summary
	names    map[string]bool // of the counters that the previous version has
}

// counters returns the counters of a process that the previous version has too.
func (v *mixedVersions) counters(p *process) map[string]float64 {
	v.t.Helper()
	counters := p.counters()
	maps.DeleteFunc(counters, func(series string, _ float64) bool { return !v.names[metricName(series)] })
	return counters
}

func metricName(series string) string {
	name, _, _ := strings.Cut(series, "{")
	return name
}

// startPrevious starts a process of the previous version, and load.
func startPrevious(t *testing.T) (v *mixedVersions, active *process) {
	t.Helper()
	v = &mixedVersions{t: t, previous: previousVersion(t)}
	dir, address := publicDir(t), freePort(t)
	v.records = filepath.Join(dir, "records.json")
	v.args = takeoverArgs(dir, address, "--shards", "2", "--steer", "hash", "--output", "file:"+v.records, "--standby-after", "10s")
	active = startServe(t, v.previous, v.args...)
	v.names = make(map[string]bool)
	for series := range active.counters() {
		v.names[metricName(series)] = true
	}
	v.report = active.startLoad(address, "--rate", "80000", "--flows", "16", "--verify", v.records)
	return v, active
}

// launch starts a process of the given version beside the active process.
func (v *mixedVersions) launch(version func(*exec.Cmd), active *process, more ...string) *process {
	return active.launchBeside(version, slices.Concat(v.args, more)...)
}

// upgrade replaces the active process by a successor of the given version.
func (v *mixedVersions) upgrade(version func(*exec.Cmd), active *process) *process {
	v.t.Helper()
	before := v.counters(active)
	next := v.launch(version, active)
	active.wantExit(cli.ExitDone)
	next.waitUntilReading()
	wantCountersGrow(v.t, before, v.counters(next))
	return next
}

// standby starts a standby of the given version, and returns when the standby is in the queue of
// the active process.
func (v *mixedVersions) standby(version func(*exec.Cmd), active *process) *process {
	v.t.Helper()
	next := v.launch(version, active, "--standby")
	v.waitForStandbys(active, 1)
	return next
}

func (v *mixedVersions) waitForStandbys(active *process, n int) {
	v.t.Helper()
	eventually(v.t, fmt.Sprintf("%d standbys wait", n), func() bool { return len(active.status().Standbys) == n })
}

// end ends the active process, and waits until the standby reads.
func (v *mixedVersions) end(active, standby *process, signal syscall.Signal) {
	v.t.Helper()
	before := v.counters(active)
	active.signal(signal)
	if signal == syscall.SIGTERM {
		active.wantExit(cli.ExitDone)
	}
	standby.waitUntilReading()
	wantCountersGrow(v.t, before, v.counters(standby))
}

// account ends the load and the active process, and checks that all datagrams are accounted for.
func (v *mixedVersions) account(active *process, crashes bool) {
	v.t.Helper()
	total := active.wantAccounted(v.report(), true)
	if lost := total.Dropped.LostInCrash; lost > 0 && !crashes || total.Dropped.Output > 0 {
		v.t.Errorf("got %d lost in a crash and %d at the output, want none", lost, total.Dropped.Output)
	}
	active.wantStop()
}

// Old active process, new successor, new standby after SIGTERM, old successor: no datagram is
// lost.
func TestUpgradeFromThePreviousVersionAndBack(t *testing.T) {
	t.Parallel() // waits more than it works
	v, active := startPrevious(t)
	active = v.upgrade(asNobody, active)
	standby := v.standby(asNobody, active)
	v.end(active, standby, syscall.SIGTERM)
	v.account(v.upgrade(v.previous, standby), false)
}

// A new standby takes over from an old process that stops, or that is killed.
func TestStandbyOfThePreviousVersion(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		t.Run(signal.String(), func(t *testing.T) {
			v, active := startPrevious(t)
			standby := v.standby(asNobody, active)
			v.end(active, standby, signal)
			v.account(standby, signal == syscall.SIGKILL)
		})
	}
}

// An old standby, redirected from an old process to its new successor, takes over when the
// successor is killed.
func TestStandbyOfThePreviousVersionIsRedirected(t *testing.T) {
	v, active := startPrevious(t)
	standby := v.standby(v.previous, active)
	active = v.upgrade(asNobody, active)
	v.waitForStandbys(active, 1)
	v.end(active, standby, syscall.SIGKILL)
	v.account(standby, true)
}

// Old and new processes restore the stored state of each other, after a stop and after a kill.
func TestServiceOfThePreviousVersion(t *testing.T) {
	svc := newService(t)
	svc.change = previousVersion(t)
	p := svc.start("--shards", "2")
	report := svc.startLoad(p)
	for i, version := range []func(*exec.Cmd){asNobody, svc.change, asNobody} {
		before := p.total()
		if i == 0 {
			p.wantStop()
		} else {
			p.kill()
		}
		svc.change = version
		p = svc.start("--shards", "2")
		wantTotalsGrow(t, before, p.total())
		svc.wantStored(2)
		p.waitUntilReading()
	}
	p.wantAccounted(report(), true)
	p.wantStop()
}
