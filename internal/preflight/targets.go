package preflight

import (
	"context"
	"fmt"
	"time"

	"github.com/udpshard/udpshard/internal/client"
	"github.com/udpshard/udpshard/internal/doctor"
	"github.com/udpshard/udpshard/metrics"
)

const targetCheck = "target"

// lateAfter is how old the oldest waiting record of a target may be: a target that works has a
// record within a second.
const lateAfter = 10 * time.Second

// checkTargets reports the targets of a running instance. The findings are warnings: records of a
// target that fails wait in the spool.
func checkTargets(ctx context.Context, instance client.Instance) (findings []doctor.Finding) {
	status, err := instance.Status(ctx)
	if err != nil {
		return []doctor.Finding{{Check: targetCheck, Level: doctor.Skip,
			Finding: fmt.Sprintf("the targets are not known: %v", err)}}
	}
	for _, l := range status.Listeners {
		for _, o := range l.Outputs {
			findings = append(findings, targetFinding(l.Name, o))
		}
	}
	return findings
}

func targetFinding(listener string, o metrics.Output) doctor.Finding {
	f := doctor.Finding{Check: targetCheck, Level: doctor.Warn}
	oldest := time.Duration(o.OldestWaiting * float64(time.Second)).Round(time.Second)
	of := fmt.Sprintf("listener %s: %s", listener, o.To)
	switch {
	case o.LastError != "":
		f.Finding = fmt.Sprintf("%s fails: %s; %d records wait", of, o.LastError, o.Waiting)
		f.Remedy = "repair the target: records are sent again by themselves"
	case oldest > lateAfter:
		f.Finding = fmt.Sprintf("%s is %s behind: %d records wait", of, oldest, o.Waiting)
		f.Remedy = "a target that takes records faster, or fewer records"
	case o.Expired > 0:
		f.Finding = fmt.Sprintf("%s has missed %d records: the spool was full or damaged", of, o.Expired)
		f.Remedy = "a larger spool.max_size; the log says what was damaged"
	case o.Rejected > 0:
		f.Finding = fmt.Sprintf("%s has refused %d records", of, o.Rejected)
		f.Remedy = "rejected.json in the spool has the records, with the reason"
	default:
		f.Level = doctor.OK
		f.Finding = fmt.Sprintf("%s has acknowledged %d of %d records", of, o.Acknowledged, o.Spooled)
	}
	return f
}
