package doctor

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/procfs"

	"github.com/udpshard/udpshard/internal/sys"
)

// process is the one whose limits count: the instance that has the port, or
// where none has, the one that examines, for what is started from the same
// place gets the same.
type process struct {
	procfs.Proc
	dir     string // in procfs
	running bool   // it is an instance
}

// of names the process in findings.
func (p process) of() string {
	if p.running {
		return fmt.Sprintf("pid %d", p.PID)
	}
	return "processes here"
}

// orRestart returns a remedy that only counts from a start on: a command
// before it, and for an instance that runs how to start it again. How its
// service is told is the manager's business.
func (e *examination) orRestart(command, how string) string {
	if !e.process.running {
		return command
	}
	m := managerOf(e.fs, e.process.PID)
	switch {
	case m.service():
		return "restart " + m.name + " " + how
	case m.stop() != "":
		return "restart container " + m.name + " " + how
	}
	return fmt.Sprintf("restart pid %d %s", e.process.PID, how)
}

// subject returns the process with a number, or this one for 0.
func (h Host) subject(fs procfs.FS, pid int) (process, error) {
	if pid == 0 {
		self, err := fs.Self()
		return process{Proc: self, dir: h.Proc + "/self"}, err
	}
	proc, err := fs.Proc(pid)
	return process{Proc: proc, dir: h.Proc + "/" + strconv.Itoa(pid), running: true}, err
}

// limit is a resource limit; ^0 is none.
type limit struct{ soft, hard uint64 }

const unlimited = ^uint64(0)

// limit reads a line of limits, such as "Max open files". procfs.Proc.Limits
// leaves the hard ones out.
func (p process) limit(name string) (limit, error) {
	content, err := text(p.dir, "limits")
	if err != nil {
		return limit{}, err
	}
	for line := range strings.Lines(content) {
		rest, found := strings.CutPrefix(line, name)
		if !found {
			continue
		}
		fields := strings.Fields(rest)
		if len(fields) < 2 {
			break
		}
		var l limit
		for i, to := range []*uint64{&l.soft, &l.hard} {
			if fields[i] == "unlimited" {
				*to = unlimited
			} else if *to, err = strconv.ParseUint(fields[i], 10, 64); err != nil {
				return limit{}, err
			}
		}
		return l, nil
	}
	return limit{}, fmt.Errorf("no line %q in %s/limits", name, p.dir)
}

// environment returns a variable of the process.
func (p process) environment(name string) (value string, set bool, err error) {
	variables, err := p.Environ()
	for _, v := range variables {
		if key, value, ok := strings.Cut(v, "="); ok && key == name {
			return value, true, nil
		}
	}
	return "", false, err
}

// affinity returns the CPUs that any of the process's threads may use: shards
// are threads of their own.
func (e *examination) affinity() (sys.CPUs, error) {
	p := e.process
	status, err := p.NewStatus()
	if err != nil {
		return nil, err
	}
	allowed := status.CpusAllowedList
	threads, _ := e.fs.AllThreads(p.PID)
	for _, thread := range threads {
		if status, err := thread.NewStatus(); err == nil { // else it has ended
			allowed = append(allowed, status.CpusAllowedList...)
		}
	}
	cpus := make(sys.CPUs, 0, len(allowed))
	for _, cpu := range allowed {
		cpus = append(cpus, int(cpu))
	}
	slices.Sort(cpus)
	cpus = slices.Compact(cpus)
	if len(cpus) == 0 {
		return nil, errors.New("no Cpus_allowed_list in " + p.dir + "/status")
	}
	return cpus, nil
}

// why shortens an error of reading a file for a finding.
func why(err error) string {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Path + ": " + path.Err.Error()
	}
	return err.Error()
}
