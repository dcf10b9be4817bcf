package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/udpshard/udpshard/internal/checkup"
	"github.com/udpshard/udpshard/metrics"
)

const readyCheck = "ready"

// readyPatience is how long a running instance may take to answer.
const readyPatience = 2 * time.Second

// ready returns what a running instance says of its shards: whether they read, and whether
// somebody has attached a socket filter, which nobody else can see. running are the pids of the
// instances that have the listeners' ports.
func (d *doctor) ready(ctx context.Context, c *config, running []int) []checkup.Finding {
	finding := func(level checkup.Level, remedy, format string, args ...any) checkup.Finding {
		text := fmt.Sprintf(format, args...)
		return checkup.Finding{Check: readyCheck, Level: level, Finding: text, Remedy: remedy}
	}
	if len(running) == 0 || c.http == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, readyPatience)
	defer cancel()
	i := instance{"--http", c.http}
	pid, err := i.pid(ctx)
	if err == nil && !slices.Contains(running, pid) {
		err = fmt.Errorf("another instance answers at %s", c.http)
	}
	var code int
	var answer []byte
	if err == nil {
		code, answer, err = i.ask(ctx, "/readyz")
	}
	switch {
	case err != nil:
		return []checkup.Finding{finding(checkup.Skip, "", "pid %d can't be asked whether every shard "+
			"reads (--http ADDR says where it answers): %v", running[0], err)}
	case code == http.StatusOK:
		return []checkup.Finding{finding(checkup.OK, "", "pid %d says that every shard reads", pid)}
	}
	var findings []checkup.Finding
	for why := range strings.Lines(string(answer)) {
		// Whether datagrams wait for a shard that has not read for a while, the sockets tell.
		level, remedy := checkup.Warn, "udpshard health --http "+c.http
		if strings.Contains(why, metrics.FilterReason) {
			level = checkup.Fail
			remedy = fmt.Sprintf("stop pid %d and start it again: "+
				"a filter that it can't detach goes with its sockets", pid)
		}
		findings = append(findings,
			finding(level, remedy, "pid %d is not ready: %s", pid, strings.TrimSpace(why)))
	}
	return findings
}

// pid returns the process that answers, or an error if it is of another PID namespace.
func (i instance) pid(ctx context.Context) (int, error) {
	status, err := i.status(ctx)
	if err != nil {
		return 0, err
	}
	if here := thisProcess().PIDNamespace; status.PIDNamespace != here {
		return 0, fmt.Errorf("the instance at %s is of another PID namespace: run doctor there",
			i.address)
	}
	return status.PID, nil
}
