package client

import (
	"testing"

	"github.com/udpshard/udpshard/metrics"
)

// Two processes that both have PID 1, as in two containers, are told apart.
func TestRoleIn(t *testing.T) {
	process := func(pid int, namespace uint64) metrics.ProcessStatus {
		return metrics.ProcessStatus{PID: pid, PIDNamespace: namespace}
	}
	status := metrics.Status{ProcessStatus: process(1, 10), Role: metrics.Active,
		Standbys: []metrics.StandbyStatus{{ProcessStatus: process(1, 20)}, {ProcessStatus: process(7, 30)}, {ProcessStatus: process(8, 10)}}}
	for of, want := range map[metrics.ProcessStatus]string{
		process(1, 10): "active", process(0, 10): "active", process(8, 10): "standby", process(7, 10): "",
		process(1, 20): "standby", process(0, 20): "standby", process(7, 30): "standby", process(1, 30): "", process(0, 40): "",
	} {
		if got := RoleIn(status, of.PID, of.PIDNamespace); got != want {
			t.Errorf("%+v is %q, want %q", of, got, want)
		}
	}
}
