package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

const (
	// drained is the number of records that wait while the target is away.
	drained = 1_000_000
	// drainPatience: how long the pause before the next attempt, and the drain, may take.
	drainPatience = 2 * time.Minute
)

// measureDrain measures how fast a spool is drained when its target comes back, while more datagrams
// arrive.
func measureDrain(ctx context.Context, l *lab) (section, error) {
	s := section{title: "A target that comes back"}
	reserved, err := listenLines(0, nil)
	if err != nil {
		return s, err
	}
	reserved.stop() // away, until the records wait
	c := l.udpshardTo("udpshard", 2, reserved, "tcp://127.0.0.1:@PORT@")
	first, meanwhile := load{rate: syslogRate, batch: 64, count: drained}, load{rate: messageRate, batch: 64}
	var rates []float64
	lost := uint64(0)
	for range l.pairs {
		rate, missing, err := l.drain(ctx, c, reserved.port(), first, meanwhile)
		if err != nil {
			return s, err
		}
		l.logf("drain: %s records/s, lost %d", thousands(int(rate)), missing)
		rates, lost = append(rates, rate), lost+missing
	}
	median := newSpread(rates)
	s.goals = append(s.goals, goal{fmt.Sprintf("drained beside %s, records a second", meanwhile), "at least 100,000",
		fmt.Sprintf("%s (%s–%s)", thousands(int(median.median)), thousands(int(median.least)), thousands(int(median.most))), median.median >= 100_000},
		goal{"lost while a spool is drained", "nothing", fmt.Sprint(lost), lost == 0})
	s.text = fmt.Sprintf(`%s records waited in the spool while the target was away. When it came back, %s more arrived.
The rate is from the first byte at the target to the last of the waiting records.

`, thousands(drained), meanwhile) + l.commands(append(against(first, c), against(meanwhile, c)...))
	return s, nil
}

// drain returns the records a second with which a spool is drained, and how many datagrams were lost.
func (l *lab) drain(ctx context.Context, c contender, port int, first, meanwhile load) (rate float64, lost uint64, err error) {
	r, err := l.launch(ctx, c)
	if err != nil {
		return 0, 0, err
	}
	defer r.kill()
	before, _, err := l.send(ctx, r.at, first)
	if err != nil {
		return 0, 0, err
	}
	to, err := listenLines(port, nil)
	if err != nil {
		return 0, 0, err
	}
	defer to.stop()
	deadline := time.Now().Add(drainPatience)
	for to.lines.Load() == 0 && time.Now().Before(deadline) {
		if err := sleep(ctx, time.Millisecond); err != nil {
			return 0, 0, err
		}
	}
	began := time.Unix(0, to.began.Load())
	type sent struct {
		n   uint64
		err error
	}
	during := make(chan sent, 1)
	go func() {
		n, _, err := l.send(ctx, r.at, meanwhile)
		during <- sent{n, err}
	}()
	var took time.Duration
	for to.lines.Load() < before {
		if time.Now().After(deadline) {
			return 0, 0, fmt.Errorf("%d of %d records arrived", to.lines.Load(), before)
		}
		if err := sleep(ctx, time.Millisecond); err != nil {
			return 0, 0, err
		}
	}
	took = time.Since(began)
	more := <-during
	if more.err != nil {
		return 0, 0, more.err
	}
	if _, err := r.waitQuiet(ctx); err != nil {
		return 0, 0, err
	}
	total, err := to.count()
	return float64(before) / took.Seconds(), before + more.n - min(total, before+more.n), errors.Join(err, r.stop())
}

// measureShippingMemory measures the memory of three targets.
func measureShippingMemory(ctx context.Context, l *lab) (section, error) {
	s := section{title: "Memory of shipping"}
	kafka, _, err := l.overKafka(ctx)
	if err != nil {
		return s, err
	}
	defer kafka.stop()
	jetStream, _, err := l.overNATS(ctx)
	if err != nil {
		return s, err
	}
	defer jetStream.stop()
	to, err := listenLines(0, nil)
	if err != nil {
		return s, err
	}
	defer to.stop()
	broker, stream := l.fill("kafka://127.0.0.1:@PORT@/logs", kafka), l.fill("nats://127.0.0.1:@PORT@/logs#create_stream=true", jetStream)
	file := l.udpshardToFile(shipShards)
	work := l.udpshardTo("three targets that work", shipShards, to, "tcp://127.0.0.1:@PORT@", broker, stream)
	dead := l.udpshardTo("three targets that are dead", shipShards, nil, "tcp://127.0.0.1:@PORT@", "kafka://127.0.0.1:@PORT@/logs", "nats://127.0.0.1:@PORT@/logs")
	mixed := l.udpshardTo("a dead target, and two that work", shipShards, nil, "tcp://127.0.0.1:@PORT@", broker, stream)
	d := load{rate: messageRate, batch: 64}
	var lines [][]string
	peak := make(map[string]float64)
	for _, c := range []contender{file, work, dead, mixed} {
		bytes, err := l.peakUnder(ctx, c, d)
		if err != nil {
			return s, fmt.Errorf("%s: %w", c.name, err)
		}
		peak[c.name] = float64(bytes) / (1 << 20)
		more := peak[c.name] - peak[file.name]
		l.logf("memory, %s: %.1f MiB, %.1f MiB more", c.name, peak[c.name], more)
		lines = append(lines, []string{c.name, fmt.Sprintf("%.1f MiB", peak[c.name]), fmt.Sprintf("%.1f MiB", more)})
		if c.name == work.name || c.name == dead.name || c.name == mixed.name {
			s.goals = append(s.goals, goal{"memory of " + c.name, "at most 24 MiB above a file", fmt.Sprintf("%.1f MiB", more), more <= 24})
		}
	}
	s.text = fmt.Sprintf("VmHWM after %s for %g s, and a pause. The targets are TCP, Kafka and NATS JetStream, both with a message a record.\n\n", d, 3*l.seconds) +
		table([]string{"output", "at its most", "above a file"}, lines) + "\n" + l.commands(against(d, file, work))
	return s, nil
}

// peakUnder returns the most memory that a contender has had, in bytes.
func (l *lab) peakUnder(ctx context.Context, c contender, d load) (uint64, error) {
	r, err := l.launch(ctx, c)
	if err != nil {
		return 0, err
	}
	defer os.Remove(r.file)
	defer r.kill()
	for range 3 {
		if _, err := l.measure(ctx, r, d); err != nil {
			return 0, err
		}
	}
	bytes, err := r.memory("VmHWM")
	return bytes, errors.Join(err, r.stop())
}

// beforeShipping is the last commit without shipping.
const beforeShipping = "deec36b"

// measureBinary compares the size of the program with that before shipping.
func measureBinary(ctx context.Context, l *lab) (section, error) {
	s := section{title: "Size of the program"}
	source := l.path("before")
	if err := os.Mkdir(source, 0o700); err != nil {
		return s, err
	}
	archive := exec.CommandContext(ctx, "git", "archive", beforeShipping)
	tar := exec.CommandContext(ctx, "tar", "-x", "-C", source)
	var err error
	if tar.Stdin, err = archive.StdoutPipe(); err != nil {
		return s, err
	}
	if err := archive.Start(); err != nil {
		return s, err
	}
	tarErr := tar.Run()
	_, _ = io.Copy(io.Discard, tar.Stdin) // the rest, if tar has failed
	if err := archive.Wait(); err != nil || tarErr != nil {
		l.lacks("the size of the program", "a clone with the commit "+beforeShipping)
		return s, nil
	}
	var sizes []float64
	for _, at := range []string{source, "."} {
		program := l.path("sized")
		cmd := exec.CommandContext(ctx, "go", "build", "-C", at, "-trimpath", "-buildvcs=false", "-tags", "timetzdata", "-ldflags", "-s -w", "-o", program, "./cmd/udpshard")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if err := output(cmd); err != nil {
			return s, err
		}
		info, err := os.Stat(program)
		if err != nil {
			return s, err
		}
		sizes = append(sizes, float64(info.Size())/1e6)
		s.text = "Built as for the image: `" + strings.Join(cmd.Args[4:len(cmd.Args)-3], " ") + "`. "
	}
	more := sizes[1] - sizes[0]
	l.logf("program: %.1f MB before shipping, %.1f MB now", sizes[0], sizes[1])
	s.text += fmt.Sprintf("%.1f MB before shipping (commit %s), and %.1f MB now.\n", sizes[0], beforeShipping, sizes[1])
	s.goals = append(s.goals, goal{"growth of the program by shipping", "at most 9 MB", fmt.Sprintf("%.1f MB", more), more <= 9})
	return s, nil
}
