package server

import (
	"encoding/json"

	"github.com/udpshard/udpshard/internal/handoff/takeover"
	"github.com/udpshard/udpshard/metrics"
)

// listStandbys returns a function that lists the standbys of a takeover path. A standby
// says itself which process it is: the PID that the kernel tells of one in another
// PID namespace is 0.
func listStandbys(server *takeover.Server) func() []metrics.StandbyStatus {
	return func() (list []metrics.StandbyStatus) {
		for _, hello := range server.Standbys() {
			var p metrics.ProcessStatus
			if json.Unmarshal(hello.Notes, &p) != nil || p.PID == 0 {
				p = metrics.ProcessStatus{PID: hello.PID} // of an older version
			}
			list = append(list, metrics.StandbyStatus{ProcessStatus: p, Version: hello.Version})
		}
		return list
	}
}
