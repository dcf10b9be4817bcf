package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// process is a child process that bench starts and ends.
type process struct {
	cmd            *exec.Cmd
	stdout, stderr bytes.Buffer
	children       []int // adopted: workers of the process
	ended          chan struct{}
	err            error // after the end
}

// start runs argv on the given CPUs alone.
func start(cpus []int, env []string, argv ...string) (*process, error) {
	p := &process{cmd: exec.Command(argv[0], argv[1:]...), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	p.cmd.WaitDelay = time.Second // for files that a child of the process keeps open
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL} // nothing stays behind
	if err := onCPUs(cpus, p.cmd.Start); err != nil {
		return nil, err
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// onCPUs calls f on a thread that may run only on the given CPUs. A child inherits the CPUs from
// the thread that forks.
func onCPUs(cpus []int, f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return os.NewSyscallError("sched_getaffinity", err)
	}
	for _, cpu := range cpus {
		set.Set(cpu)
	}
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return os.NewSyscallError("sched_setaffinity", err)
	}
	return errors.Join(f(), os.NewSyscallError("sched_setaffinity", unix.SchedSetaffinity(0, &before)))
}

// usableCPUs returns the CPUs of this process.
func usableCPUs() ([]int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, os.NewSyscallError("sched_getaffinity", err)
	}
	var cpus []int
	for cpu := 0; len(cpus) < set.Count(); cpu++ {
		if set.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	return cpus, nil
}

// cpu returns the CPU time of all threads of the process, also ended ones, and of adopted children.
func (p *process) cpu() (sum time.Duration, err error) {
	for _, pid := range append([]int{p.cmd.Process.Pid}, p.children...) {
		one, err := cpuOf(pid)
		if err != nil {
			return 0, fmt.Errorf("CPU clock of %s: %w", p.name(), err)
		}
		sum += one
	}
	return sum, nil
}

func cpuOf(pid int) (time.Duration, error) {
	// clock_getcpuclockid(3): the process in the upper bits, inverted, and CPUCLOCK_SCHED
	// (include/linux/posix-timers_types.h) in the lower bits.
	const cpuclockSched = 2
	var ts unix.Timespec
	err := unix.ClockGettime(int32(^pid<<3|cpuclockSched), &ts)
	return time.Duration(ts.Nano()), err
}

// adopt finds the present children of the process, and their children. Their CPU time counts from
// now on.
func (p *process) adopt() error {
	p.children = nil
	for next := []int{p.cmd.Process.Pid}; len(next) > 0; next = next[1:] {
		lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", next[0]))
		if err != nil {
			return err
		}
		for _, name := range lists {
			text, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			for word := range strings.FieldsSeq(string(text)) {
				pid, err := strconv.Atoi(word)
				if err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
				p.children = append(p.children, pid)
				next = append(next, pid)
			}
		}
	}
	return nil
}

func (p *process) name() string { return filepath.Base(p.cmd.Path) }

// waitQuiet waits until the process is idle, and returns the time of its last activity.
func (p *process) waitQuiet(ctx context.Context) (time.Time, error) {
	const (
		step   = 20 * time.Millisecond
		quiet  = 300 * time.Millisecond
		little = step / 20
		most   = time.Minute
	)
	began := time.Now()
	last := began
	was, err := p.cpu()
	for err == nil && time.Since(last) < quiet {
		if err = sleep(ctx, step); err != nil {
			break
		}
		var now time.Duration
		now, err = p.cpu()
		if now-was > little {
			last = time.Now()
		}
		if was = now; time.Since(began) > most {
			err = fmt.Errorf("%s is still busy %v after the load", p.name(), most)
		}
	}
	return last, err
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// listening waits until the process has bound sockets to a port.
func (p *process) listening(ctx context.Context, port, sockets int) error {
	for deadline := time.Now().Add(10 * time.Second); ; {
		if found, _, err := socketsAt(port); err != nil || found >= sockets {
			return err
		}
		select {
		case <-p.ended:
			return fmt.Errorf("%s ended at once: %v: %s", p.name(), p.err, p.said())
		default:
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s does not listen: %s", p.name(), p.said())
		}
		if err := sleep(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
}

// socketsAt returns the number of IPv4 sockets at a port, and the drops of these sockets (the last
// column of /proc/net/udp).
func socketsAt(port int) (sockets int, drops uint64, err error) {
	table, err := os.ReadFile("/proc/net/udp")
	if err != nil {
		return 0, 0, err
	}
	ending := fmt.Sprintf(":%04X", port)
	for line := range strings.Lines(string(table)) {
		fields := strings.Fields(line)
		if len(fields) < 13 || !strings.HasSuffix(fields[1], ending) {
			continue
		}
		n, err := strconv.ParseUint(fields[12], 10, 64)
		if err != nil {
			return 0, 0, fmt.Errorf("/proc/net/udp: %w", err)
		}
		sockets++
		drops += n
	}
	return sockets, drops, nil
}

// resident is the process's VmRSS, in bytes.
func (p *process) resident() (uint64, error) { return p.memory("VmRSS") }

// memory is a field of proc_pid_status(5), in bytes.
func (p *process) memory(field string) (uint64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(status), "\n"+field+":")
	number, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	kib, err := strconv.ParseUint(number, 10, 64)
	return kib << 10, err
}

// said returns the end of the process's output. Call said only after the end of the process, or
// before bench ends with an error.
func (p *process) said() string {
	_ = p.kill()
	text := strings.TrimSpace(p.stderr.String() + p.stdout.String())
	const most = 2000
	return text[max(0, len(text)-most):]
}

func (p *process) kill() error {
	_ = p.cmd.Process.Kill() // the process may have ended
	<-p.ended
	return p.err
}

// stop ends the process with SIGTERM, and then with SIGKILL if necessary. stop may be called again.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(unix.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.ended:
	case <-time.After(20 * time.Second):
		return fmt.Errorf("%s does not end at SIGTERM: %w", p.name(), p.kill())
	}
	if p.err != nil {
		return fmt.Errorf("%s: %w: %s", p.name(), p.err, p.said())
	}
	return nil
}

// wait waits for a process that ends by itself.
func (p *process) wait(ctx context.Context) error {
	select {
	case <-p.ended:
	case <-ctx.Done():
		_ = p.kill()
		return ctx.Err()
	}
	if p.err != nil {
		return fmt.Errorf("%s: %w: %s", p.name(), p.err, p.said())
	}
	return nil
}
