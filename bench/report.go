package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// section is the Markdown of a comparison.
type section struct {
	title string
	text  string
	goals []goal
}

// goal is a target, with the result.
type goal struct {
	what, target, measured string
	met                    bool
}

// goal adds a ratio whose median is to be at most a target.
func (s *section) goal(what string, most float64, measured spread) {
	s.goals = append(s.goals, goal{what, fmt.Sprintf("at most %.2f", most), measured.String(), measured.median <= most})
}

func (s section) String() string { return "## " + s.title + "\n\n" + s.text }

// thousands writes 1234567 as 1,234,567.
func thousands(n int) string {
	text := strconv.Itoa(n)
	for at := len(text) - 3; at > 0; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}

// percent shows any loss as more than none.
func percent(share float64) string {
	switch {
	case share == 0:
		return "0"
	case share < 0.0001:
		return "under 0.01%"
	}
	return fmt.Sprintf("%.2f%%", 100*share)
}

// table is a Markdown table; the first column is left-aligned.
func table(head []string, rows [][]string) string {
	var b strings.Builder
	line := func(cells []string) { b.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	line(head)
	b.WriteString("|---" + strings.Repeat("|--:", len(head)-1) + "|\n")
	for _, row := range rows {
		line(row)
	}
	return b.String()
}

// report is docs/benchmarks.md.
func (l *lab) report(ctx context.Context, args []string, sections []section) string {
	var b strings.Builder
	fmt.Fprintf(&b, `# Benchmarks

<!-- Written by bench/run: change that, not this. -->

After this page you can compare what a datagram costs udpshard and others, and measure it on your machine:

`+"```console skip takes many minutes\n$ bench/run%[2]s\n```"+`

Measured on %[1]s.

## How to read it

| figure | what it is |
|---|---|
| CPU of a datagram | user and system time of the whole receiving process and its children, divided by the datagrams that it received. The load generator is another process, and is not in it |
| ratio | of two receivers in the same round: the median, and in brackets the least and the most. Compare ratios: microseconds depend on this machine, and on the load of its neighbors |
| rounds | receivers took turns, forth and back: %[3]d rounds of %[4]g s of load for each |

All of it is loopback. There the sender's CPU carries each datagram through the network stack into the socket's queue, which
an interrupt on the receiver's side does on a real network. So these figures show what reading, handling and writing cost.
They do not show the cost of a network card's driver and interrupts, which is the same for every receiver, nor how much a
machine can receive from a wire. The generator sends what is due about once a millisecond. Many independent senders come more
evenly, and cost every receiver more wake-ups.

`, time.Now().UTC().Format(time.DateOnly), shownArgs(args), l.pairs, l.seconds)
	fmt.Fprintf(&b, "## Machine and versions\n\n%s\n", table([]string{"", ""}, l.machine(ctx)))
	var goals [][]string
	for _, s := range sections {
		for _, g := range s.goals {
			verdict := "met"
			if !g.met {
				verdict = "**missed**"
			}
			goals = append(goals, []string{g.what, g.target, g.measured, verdict})
		}
	}
	fmt.Fprintf(&b, "## Targets\n\n%s\n", table([]string{"what", "target", "measured", ""}, goals))
	for _, s := range sections {
		if s.text != "" {
			fmt.Fprintf(&b, "%s\n", s)
		}
	}
	if len(l.skip) > 0 {
		fmt.Fprintf(&b, "## Not measured\n\n")
		for _, s := range l.skip {
			fmt.Fprintf(&b, "- %s\n", s)
		}
		b.WriteString("\n")
	}
	b.WriteString("## Inside one process\n\n" + `Go benchmarks measure decoding and encoding alone, with realistic lines, and the whole loop with its output. They report
allocations: no datagram costs one. The benchmark ` + "`Serve`" + ` sends datagrams through the very loop that ` + "`serve`" + ` runs, to a file;
its time includes the sender's.

` + "```console skip bench/run runs it\n$ go test -run '^$' -bench . -benchmem ./packet/syslog ./packet/record\n$ go test -run '^$' -bench Serve -benchmem ./internal/server\n```\n")
	return b.String()
}

func shownArgs(args []string) string {
	if len(args) == 0 {
		return ""
	}
	var shown []string
	for i, arg := range args {
		if i > 0 && strings.TrimLeft(args[i-1], "-") == "syslog-ng" {
			arg = "DIR" // without a path of this machine
		}
		shown = append(shown, arg)
	}
	return " " + strings.Join(shown, " ")
}

// machine describes the machine for comparison, without its name.
func (l *lab) machine(ctx context.Context) [][]string {
	var info unix.Sysinfo_t
	memory := "unknown"
	if unix.Sysinfo(&info) == nil {
		memory = fmt.Sprintf("%.1f GiB", float64(info.Totalram)*float64(info.Unit)/(1<<30))
	}
	kernel := "unknown"
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		kernel = "Linux " + unix.ByteSliceToString(name.Release[:]) + " " + unix.ByteSliceToString(name.Machine[:])
	}
	cpu := cpuInfo("model name")
	if strings.Contains(cpuInfo("flags")+" ", " hypervisor ") {
		cpu += " (in a virtual machine)"
	}
	rows := [][]string{
		{"CPU", cpu},
		{"CPUs used", fmt.Sprintf("%d; the sender on CPU %d, one-CPU receivers on CPU %d", len(l.cpus), l.senderCPU(), l.cpus[0])},
		{"memory", memory},
		{"kernel", kernel},
		{"net.core.rmem_max", firstLine(os.ReadFile("/proc/sys/net/core/rmem_max"))},
		{"net.core.rmem_default", firstLine(os.ReadFile("/proc/sys/net/core/rmem_default"))},
		{"udpshard", l.commit(ctx)},
		{"Go", runtime.Version()},
	}
	for _, v := range []struct{ name, flag string }{{"cc", "--version"}, {"rsyslogd", "-v"}, {"syslog-ng", "--version"}, {"knotd", "-V"}, {"nsd", "-v"}, {"dnsperf", "-h"}} {
		if path := l.has[v.name]; path != "" {
			cmd := exec.CommandContext(ctx, path, v.flag)
			if v.name == "syslog-ng" {
				cmd.Env = append(os.Environ(), l.ngSyslog().env...)
			}
			rows = append(rows, []string{v.name, version(cmd)})
		}
	}
	return rows
}

// version returns the first line of a program's version, or a line below in its help. Some programs
// print the version to standard error.
func version(cmd *exec.Cmd) string {
	out, err := cmd.CombinedOutput()
	if at := bytes.Index(out, []byte("\nVersion ")); at >= 0 {
		out = out[at+1:]
	}
	return strings.TrimSuffix(firstLine(out, err), " compiled with:")
}

// commit returns the commit that was measured.
func (l *lab) commit(ctx context.Context) string {
	head := firstLine(exec.CommandContext(ctx, "git", "rev-parse", "--short", "HEAD").Output())
	if exec.CommandContext(ctx, "git", "diff", "--quiet", "HEAD", "--", "*.go").Run() != nil {
		head += " with changes that are not committed"
	}
	return head
}

func firstLine(text []byte, err error) string {
	if err != nil {
		return "unknown"
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return strings.TrimSpace(line)
}

// cpuInfo is the first CPU's field of /proc/cpuinfo.
func cpuInfo(field string) string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(text)) {
		if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == field {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}
