// Command bench measures the cost of udpshard beside a bare C loop, beside usual Go programs, and
// beside rsyslog, syslog-ng, Knot and NSD, and writes docs/benchmarks.md. Run it as bench/run.
//
// Machines are noisy, so contenders take turns. The result is the ratio of two contenders that were
// measured within seconds: the median over all pairs, and the spread. The cost of a contender is
// the CPU time of the whole process divided by the datagrams that it received. The CPU time is that
// of the kernel's clock of the process (clock_getcpuclockid(3): the sum of
// /proc/PID/task/*/schedstat over all threads, also ended ones) and of its children, from before
// the load until the process is quiet after the load. The load generator is another process, on
// another CPU if the machine has two.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// comparison is a part of the report that can be run alone.
type comparison struct {
	name, about string
	run         func(context.Context, *lab) (section, error)
}

// comparisons are all comparisons, in the order of the report.
var comparisons = []comparison{
	{"floor", "discard beside a bare recvmmsg loop in C, x/net ReadBatch and net.UDPConn", compareFloor},
	{"gro", "--gro on GRO batches, and on single datagrams", compareGRO},
	{"syslog", "syslog to file, beside rsyslog and syslog-ng", compareSyslog},
	{"dns", "answering from a zone, beside Knot and NSD", compareDNS},
	{"neighbour", "losses while other threads have a CPU of a shard, by hash and by auto", compareNeighbour},
	{"spool", "a spool with a dead target, and with one that works, beside a file", compareSpool},
	{"tcp", "shipping by TCP, beside rsyslog", compareShipping("tcp")},
	{"tls", "shipping by TLS, beside rsyslog", compareShipping("tls")},
	{"relp", "shipping by RELP, beside rsyslog", compareShipping("relp")},
	{"kafka", "shipping to Kafka, beside rsyslog", compareShipping("kafka")},
	{"nats", "shipping to NATS JetStream, beside a file", compareShipping("nats")},
	{"drain", "how fast a spool is drained when its target comes back", measureDrain},
	{"targets", "memory with three targets", measureShippingMemory},
	{"binary", "the size of the program, beside that before shipping", measureBinary},
	{"idle", "the cost of an idle process", measureIdle},
	{"shards", "two shards beside one", compareShards},
	{"memory", "resident memory by shards", measureMemory},
	{"collection", "how long a garbage collection stops the world beside busy and idle shards", measureCollection},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench: error:", err)
		stop()
		os.Exit(1)
	}
}

type options struct {
	quick    bool
	only     string
	pairs    int
	seconds  float64
	write    string
	syslogNG string
}

func parse(args []string, out io.Writer) (options, error) {
	var o options
	set := flag.NewFlagSet("bench/run", flag.ContinueOnError)
	set.SetOutput(out)
	set.BoolVar(&o.quick, "quick", false, "3 pairs of 1 second, for a first look")
	set.StringVar(&o.only, "only", "", "`NAMES` of comparisons, with commas (default all)")
	set.IntVar(&o.pairs, "pairs", 5, "`N` measurements of each contender, in turns")
	set.Float64Var(&o.seconds, "seconds", 2, "`S` seconds of load for each")
	set.StringVar(&o.write, "write", "", "`FILE` for the report (default docs/benchmarks.md, or none with --quick or --only)")
	set.StringVar(&o.syslogNG, "syslog-ng", "", "`DIR` where the packages of syslog-ng were unpacked, beside an installed rsyslog")
	set.Usage = func() {
		fmt.Fprintf(out, "Compares udpshard with other receivers on this machine, and writes docs/benchmarks.md.\n\nUsage: bench/run [flags]\n\n")
		set.PrintDefaults()
		fmt.Fprintf(out, "\nComparisons:\n")
		for _, c := range comparisons {
			fmt.Fprintf(out, "  %-11s %s\n", c.name, c.about)
		}
		fmt.Fprintf(out, "\nExample:\n  bench/run --quick --only floor,gro\n")
	}
	if err := set.Parse(args); err != nil {
		return o, err
	}
	given := make(map[string]bool)
	set.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if o.quick {
		if !given["pairs"] {
			o.pairs = 3
		}
		if !given["seconds"] {
			o.seconds = 1
		}
	}
	if !given["write"] && !o.quick && o.only == "" {
		o.write = "docs/benchmarks.md"
	}
	switch {
	case set.NArg() > 0:
		return o, fmt.Errorf("%q is no flag: see bench/run --help", set.Arg(0))
	case o.pairs < 1 || o.seconds <= 0:
		return o, errors.New("--pairs and --seconds must be positive")
	}
	if o.only != "" {
		for name := range strings.SplitSeq(o.only, ",") {
			if !slices.ContainsFunc(comparisons, func(c comparison) bool { return c.name == name }) {
				return o, fmt.Errorf("--only: there is no comparison %q: see bench/run --help", name)
			}
		}
	}
	return o, nil
}

func (o options) selects(name string) bool {
	return o.only == "" || slices.Contains(strings.Split(o.only, ","), name)
}

func run(ctx context.Context, args []string, out io.Writer) error {
	o, err := parse(args, out)
	if err != nil {
		return err
	}
	l, err := newLab(ctx, o, out)
	if err != nil {
		return err
	}
	defer l.close()
	var sections []section
	for _, c := range comparisons {
		if !o.selects(c.name) {
			continue
		}
		s, err := c.run(ctx, l)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		fmt.Fprintf(out, "\n%s\n", s)
		sections = append(sections, s)
	}
	report := l.report(ctx, args, sections)
	if o.write == "" {
		return nil
	}
	fmt.Fprintf(out, "writing %s\n", o.write)
	return os.WriteFile(o.write, []byte(report), 0o644)
}
