package preflight

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/udpshard/udpshard/internal/client"
	"github.com/udpshard/udpshard/internal/config"
	"github.com/udpshard/udpshard/internal/doctor"
	"github.com/udpshard/udpshard/metrics"
)

const readyCheck = "ready"

// readyTimeout limits each request to a running instance.
const readyTimeout = 2 * time.Second

// checkReadiness asks a running instance at --http whether every shard reads. Only the instance can
// see socket filters on its sockets. running are the PIDs of the instances that have the ports of
// the listeners.
func checkReadiness(ctx context.Context, c *config.Config, running []int) []doctor.Finding {
	finding := func(level doctor.Level, remedy, format string, args ...any) doctor.Finding {
		text := fmt.Sprintf(format, args...)
		return doctor.Finding{Check: readyCheck, Level: level, Finding: text, Remedy: remedy}
	}
	if len(running) == 0 || c.HTTP == "" {
		return nil
	}
	instance, err := client.New("--http", c.HTTP, readyTimeout)
	var pid int
	if err == nil {
		instance = instance.WithToken(c.HTTPToken)
		pid, err = instance.PID(ctx)
	}
	if err == nil && !slices.Contains(running, pid) {
		err = fmt.Errorf("another instance answers at %s", c.HTTP)
	}
	var code int
	var answer []byte
	if err == nil {
		code, answer, err = instance.Readiness(ctx)
	}
	switch {
	case err != nil:
		return []doctor.Finding{finding(doctor.Skip, "", "pid %d was not asked whether every shard "+
			"reads: %v; --http ADDR sets the address of its HTTP server, --http-token-file FILE its token",
			running[0], err)}
	case code == http.StatusOK:
		ready := finding(doctor.OK, "", "pid %d says that every shard reads", pid)
		return append([]doctor.Finding{ready}, checkTargets(ctx, instance)...)
	}
	findings := checkTargets(ctx, instance)
	for reason := range strings.Lines(string(answer)) {
		// A shard that does not read is a warning: if datagrams wait, the check of the port fails.
		level, remedy := doctor.Warn, "udpshard health --http "+c.HTTP
		if strings.Contains(reason, metrics.FilterReason) {
			level = doctor.Fail
			remedy = fmt.Sprintf("stop pid %d and start udpshard again: "+
				"the filter ends with the sockets", pid)
		}
		findings = append(findings,
			finding(level, remedy, "pid %d is not ready: %s", pid, strings.TrimSpace(reason)))
	}
	return findings
}
