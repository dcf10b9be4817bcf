package main

import (
	"context"
	"fmt"
	"os"
)

// neighbours is how many busy threads share a CPU with a shard: the scheduler leaves the shard a
// ninth of the CPU. With one busy thread the shard has half of the CPU, which is enough for a rate
// that the second CPU, shared with the sender, can take over.
const neighbours = 8

// compareNeighbour measures the losses while other threads take most of a shard's CPU, with the
// kernel's hash and with steering.
func compareNeighbour(ctx context.Context, l *lab) (section, error) {
	s := section{title: "A noisy neighbour"}
	if len(l.cpus) < 2 {
		l.lacks("a noisy neighbour", "needs two CPUs")
		return s, nil
	}
	cpus := l.toFile()[:2]
	d := load{rate: 300_000, size: small, gso: 16, flows: 64}
	var entrants []*entrant
	for _, mode := range []string{"hash", "auto"} {
		c := l.udpshard("--steer "+mode, cpus, 2, "--steer", mode, "--receive-buffer", "4MiB", "--output", "file:"+l.path("records.json"))
		c.writes = true
		entrants = append(entrants, against(d, c)...)
	}
	var lost []float64 // auto's part of hash's
	for i := range l.pairs {
		for _, e := range entrants {
			t, err := l.beside(ctx, e.contender, d, cpus[0])
			if err != nil {
				return s, err
			}
			e.trials = append(e.trials, t)
		}
		l.progress(fmt.Sprintf("neighbour %d/%d:", i+1, l.pairs), entrants, i)
		lost = append(lost, float64(entrants[1].trials[i].lost())/float64(max(entrants[0].trials[i].lost(), 1)))
	}
	s.goal("lost beside a noisy neighbour, auto to hash", 0.10, newSpread(lost))
	var lines [][]string
	for _, e := range entrants {
		lines = append(lines, []string{e.name, percent(e.lost()), thousands(int(newSpread(e.each(func(t trial) float64 { return float64(t.lost()) })).median)),
			thousands(int(newSpread(e.each(func(t trial) float64 { return float64(t.sent) })).median))})
	}
	s.text = fmt.Sprintf(`%d busy threads on the CPU of one of two shards, from before the load to its end; syslog to a file, %s for %g s.
What auto loses is what comes until it has seen the queue fill and moved buckets away (docs/steering.md).

`, neighbours, d, l.seconds) + table([]string{"steering", "lost", "datagrams lost", "of"}, lines) + "\n" + l.commands(entrants)
	return s, nil
}

// beside measures a contender while busy threads use a CPU of the contender.
func (l *lab) beside(ctx context.Context, c contender, d load, cpu int) (t trial, err error) {
	r, err := l.launch(ctx, c)
	if err != nil {
		return t, err
	}
	defer os.Remove(r.file)
	defer r.kill()
	quiet, err := noise(cpu)
	if err != nil {
		return t, err
	}
	t.sent, t.rate, err = l.send(ctx, r.at, d)
	quiet()
	if err != nil {
		return t, err
	}
	if _, err = r.waitQuiet(ctx); err != nil {
		return t, err
	}
	if t.cpu, err = r.cpu(); err != nil {
		return t, err
	}
	if _, t.dropped, err = socketsAt(r.port); err != nil {
		return t, err
	}
	t.received, err = r.counted(c)
	return t, err
}

// noise starts busy threads on a CPU, and returns a function that ends the threads.
func noise(cpu int) (quiet func(), err error) {
	var busy []*process
	quiet = func() {
		for _, p := range busy {
			_ = p.kill() // an error of the killed process
		}
	}
	for range neighbours {
		p, err := start([]int{cpu}, nil, "sh", "-c", "while :; do :; done")
		if err != nil {
			quiet()
			return nil, err
		}
		busy = append(busy, p)
	}
	return quiet, nil
}
