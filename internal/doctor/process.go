package doctor

import (
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/prometheus/procfs"

	"github.com/udpshard/udpshard/internal/sys"
)

// process is the process whose limits count: the instance that has the port, or without an
// instance this process, since a program that is started from here has the same limits.
type process struct {
	procfs.Proc
	dir     string // in procfs
	running bool   // an instance
}

// String names the process in findings.
func (p process) String() string {
	if p.running {
		return fmt.Sprintf("pid %d", p.PID)
	}
	return "processes here"
}

// process returns the process with a PID, or this process for 0.
func (h Host) process(fs procfs.FS, pid int) (process, error) {
	if pid == 0 {
		self, err := fs.Self()
		return process{Proc: self, dir: h.Proc + "/self"}, err
	}
	proc, err := fs.Proc(pid)
	return process{Proc: proc, dir: h.Proc + "/" + strconv.Itoa(pid), running: true}, err
}

// orRestart returns a remedy that takes effect at a start: command before the start, and for a
// running instance the restart, with or without a setting. How a service manager passes the
// setting on is not known here.
func (e *examination) orRestart(command, setting string) string {
	if !e.process.running {
		return command
	}
	m := managerOf(e.fs, e.process.PID)
	switch {
	case m.service():
		return "restart " + m.name + " " + setting
	case m.stop() != "":
		return "restart container " + m.name + " " + setting
	}
	return fmt.Sprintf("restart pid %d %s", e.process.PID, setting)
}

// program returns the name of a process's executable, or where that is not visible the name that
// the process gives itself.
func program(p procfs.Proc) string {
	if exe, err := p.Executable(); err == nil && exe != "" {
		return path.Base(strings.TrimSuffix(exe, " (deleted)")) // proc_pid_exe(5): replaced meanwhile
	}
	name, _ := p.Comm()
	return name
}

// limit is a resource limit.
type limit struct{ soft, hard uint64 }

const unlimited = ^uint64(0)

// limit reads a line of limits, such as "Max open files". procfs.Proc.Limits has no hard limits.
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

// affinity returns the CPUs that any thread of the process may use: each shard is a thread.
func (e *examination) affinity() (sys.CPUs, error) {
	p := e.process
	status, err := p.NewStatus()
	if err != nil {
		return nil, err
	}
	allowed := status.CpusAllowedList
	threads, _ := e.fs.AllThreads(p.PID)
	for _, thread := range threads {
		if status, err := thread.NewStatus(); err == nil { // else the thread has ended
			allowed = append(allowed, status.CpusAllowedList...)
		}
	}
	var cpus sys.CPUs
	for _, cpu := range unique(allowed) {
		cpus = append(cpus, int(cpu))
	}
	if len(cpus) == 0 {
		return nil, errors.New("no Cpus_allowed_list in " + p.dir + "/status")
	}
	return cpus, nil
}
