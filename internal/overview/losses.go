package overview

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/udpshard/udpshard/internal/doctor"
	"github.com/udpshard/udpshard/internal/format"
	"github.com/udpshard/udpshard/metrics"
)

// datagramLosses returns a Loss for each reason for which a listener has lost datagrams.
func datagramLosses(l metrics.ListenerStatus, now time.Time) (losses []Loss) {
	for _, reason := range metrics.DropReasons() {
		if !reason.IsLoss() {
			continue
		}
		sum := metrics.Sum(l.Shards)
		if reason.Value(sum) == 0 {
			continue
		}
		lost := slices.DeleteFunc(slices.Clone(l.Shards), func(r metrics.Reading) bool { return reason.Value(r) == 0 })
		slices.SortStableFunc(lost, func(a, b metrics.Reading) int {
			return cmp.Or(reason.LastDrop(b.LastDropped).Compare(reason.LastDrop(a.LastDropped)),
				cmp.Compare(reason.Value(b), reason.Value(a)))
		})
		loss := Loss{Listener: l.Name, Reason: reason.Name, Count: reason.Value(sum), Last: reason.LastDrop(sum.LastDropped)}
		for _, r := range lost {
			loss.Shards = append(loss.Shards, r.Shard)
		}
		loss.Cause, loss.Remedy = explain(reason.Name, l, lost[0], loss.isRecent(now))
		losses = append(losses, loss)
	}
	return losses
}

// explain returns the cause of a loss and its remedy, from the settings of the listener, and from the
// state of the shard with the latest loss. The present state explains recent losses only.
func explain(reason string, l metrics.ListenerStatus, r metrics.Reading, recent bool) (cause, remedy string) {
	switch reason {
	case "output":
		return "the output accepted no records", repairOutput
	case "lost_in_crash":
		return "a process died before it had written these records",
			"read the log of the process that died; with serve --standby, a crash loses less"
	}
	const full = "the receive buffer was full"
	asked, granted := uint64(l.ReceiveBuffer), r.BufferBytes/2 // the kernel doubles what is asked (socket(7))
	switch {
	case recent && r.WaitsForOutput:
		return full + ", because the output accepts no records", repairOutput
	case recent && slices.Contains(l.Steering.StalledShards, r.Shard):
		return full + ", because the shard does not read", "udpshard doctor"
	case recent && l.Skew != "" && l.Steer != "auto":
		return full + ": " + l.Skew, "serve --steer auto"
	case recent && l.Skew != "":
		return full + ": " + l.Skew, "udpshard doctor"
	case granted > 0 && granted < asked:
		return full + fmt.Sprintf(", with %s of the %s that serve asks for", format.Size(granted), format.Size(asked)),
			doctor.EnlargeBuffers(asked) + ", and restart udpshard"
	}
	return full, "udpshard selftest, then set more shards or a larger receive_buffer"
}

// recordLosses returns a Loss for each reason for which a target of a listener has lost records.
func recordLosses(l metrics.ListenerStatus) (losses []Loss) {
	add := func(o metrics.Output, reason string, n uint64, last time.Time, cause, remedy string) {
		if n > 0 {
			losses = append(losses, Loss{Listener: l.Name, Target: o.To, Reason: reason, Count: n, Last: last,
				Cause: cause, Remedy: remedy})
		}
	}
	for _, o := range l.Outputs {
		add(o, "rejected", o.Rejected, o.LastRejected, "the target refused these records for good",
			"rejected.json in the spool has the records and the reasons")
		add(o, "expired", o.Expired, o.LastExpired, "the spool was full or damaged",
			"repair the target, or raise spool.max_size")
	}
	return losses
}

// ShardState returns the worst that a status says of a shard: it waits for its output, it is stalled,
// or steering avoids it; "": the shard reads.
func ShardState(l metrics.ListenerStatus, r metrics.Reading) string {
	switch {
	case r.WaitsForOutput:
		return "waits"
	case slices.Contains(l.Steering.StalledShards, r.Shard):
		return "stalled"
	case slices.Contains(l.Steering.AvoidedShards, r.Shard):
		return "avoided"
	}
	return ""
}

// warnings returns what may lead to losses of a listener.
func warnings(l metrics.ListenerStatus, now time.Time) (list []Warning) {
	add := func(remedy, format string, args ...any) {
		list = append(list, Warning{l.Name, fmt.Sprintf(format, args...), remedy})
	}
	for _, r := range l.Shards {
		switch {
		case r.WaitsForOutput:
			add(repairOutput, "shard %d of %s does not read: its output accepts no records", r.Shard, l.Name)
		case slices.Contains(l.Steering.StalledShards, r.Shard):
			add("udpshard doctor", "shard %d of %s does not read its queue", r.Shard, l.Name)
		}
	}
	for _, o := range l.Outputs {
		if o.LastError != "" {
			oldest := now.Add(-time.Duration(o.OldestWaiting * float64(time.Second)))
			add("repair the target; until then, the spool keeps the records", "%s fails: %s; waiting: %s, the oldest came %s",
				o.To, o.LastError, format.Plural(int(o.Waiting), "record"), format.Ago(oldest, now))
		}
	}
	for i, zone := range l.FailedZones {
		switch {
		case i == maxZoneWarnings:
			add(repairZone, "%d more zone files of %s can't be loaded", len(l.FailedZones)-i, l.Name)
			return list
		case zone.Zone == "":
			add(repairZone, "a zone of %s is not served: %s", l.Name, zone.Error)
		default:
			add(repairZone, "%s is served as before, with serial %d: %s", zone.Zone, zone.Serial, zone.Error)
		}
	}
	return list
}

// maxZoneWarnings limits the warnings about zones of a listener.
const maxZoneWarnings = 3

// repairZone is the remedy for a zone that can't be loaded.
const repairZone = "repair the file (udpshard zone FILE checks it), and reload with SIGHUP"

// repairOutput is the remedy for an output that accepts no records.
const repairOutput = "free the disk, or repair the output: the log has its error as output failing"
