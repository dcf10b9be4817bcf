// Package top shows running instances in a terminal: the rates of listeners, shards and targets, what
// was lost, and the remedy. Run shows a screen that goes on until a key ends it, and Once prints one
// table. Both ask each instance for its status, and at first for its history, so that the first
// screen has rates.
package top

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/client"
)

// Config is what to show.
type Config struct {
	Instances []client.Instance // at least one
	Interval  time.Duration     // between two requests to an instance
}

// ParseInterval parses a Config.Interval: at least 100 ms.
func ParseInterval(text string) (time.Duration, error) {
	d, err := cli.ParseDuration(text)
	if err == nil && d < leastInterval {
		err = fmt.Errorf("%s is less than %s", d, leastInterval)
	}
	return d, err
}

// leastInterval: with less, the answers take a noticeable part of a core of the instance.
const leastInterval = 100 * time.Millisecond

// framesPerSecond is how often the screen is drawn at most: a pressed key shows within 50 ms.
const framesPerSecond = 20

// Run shows a screen on the terminal w until the user quits or ctx ends.
func Run(ctx context.Context, w io.Writer, c Config) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p := tea.NewProgram(newModel(ctx, c), tea.WithOutput(w), tea.WithoutSignalHandler(), tea.WithFPS(framesPerSecond))
	defer context.AfterFunc(ctx, p.Quit)()
	_, err := p.Run()
	return err
}

// Once prints one table of each instance. The error is that no instance answers.
func Once(ctx context.Context, w io.Writer, c Config) error {
	instances := make([]*instance, len(c.Instances))
	for i, from := range c.Instances {
		instances[i] = newInstance(from.String())
	}
	askAll(ctx, c, instances, true)
	for _, i := range instances {
		if i.err == nil && !i.knowsRates() {
			select {
			case <-time.After(c.Interval):
				askAll(ctx, c, instances, false)
			case <-ctx.Done():
			}
			break
		}
	}
	var failed []error
	for _, i := range instances {
		if i.err != nil {
			failed = append(failed, i.err)
		}
	}
	if len(failed) == len(instances) {
		return errors.Join(failed...)
	}
	for n, i := range instances {
		if n > 0 {
			fmt.Fprintln(w)
		}
		i.print(w, time.Now())
	}
	return nil
}

// askAll asks all instances at the same time.
func askAll(ctx context.Context, c Config, instances []*instance, first bool) {
	answers := make([]answer, len(c.Instances))
	var all sync.WaitGroup
	for i, from := range c.Instances {
		all.Go(func() { answers[i] = ask(ctx, from, i, first) })
	}
	all.Wait()
	for i, a := range answers {
		instances[i].update(a)
	}
}

// print prints the tables of an instance.
func (i *instance) print(w io.Writer, now time.Time) {
	fmt.Fprintf(w, "%s  %s\n%s\n", i.name, i.headline(now), i.verdict(now))
	for _, l := range i.remedies() {
		fmt.Fprintln(w, l)
	}
	if i.err != nil {
		return
	}
	heading := make([]string, 0, len(columns)+1)
	for _, c := range columns {
		heading = append(heading, c.long)
	}
	table := cli.NewTable("lrrrrrrrrl", append(heading, "state")...)
	for _, l := range flatten(rows([]*instance{i}, false, now), true, 0, "") {
		var cells []string
		for n, c := range columns {
			cell := c.text(l.row, true)
			if n == 0 && l.depth > 0 {
				cell = "  " + cell
			}
			cells = append(cells, cell)
		}
		table.Row(append(cells, l.state)...)
	}
	fmt.Fprintln(w)
	_ = table.Print(w, "")
	if targets := targetRows([]*instance{i}); len(targets) > 0 {
		fmt.Fprintln(w)
		_ = targetTable(targets, now).Print(w, "")
	}
}
