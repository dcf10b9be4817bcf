package ship

import "time"

// Event is an event of a target or of the lock of the spool, for the log.
type Event struct {
	Listener  string
	Target    string
	Err       error         // why the target fails; nil with Failing: the target works again
	Failing   time.Duration // since the first failure; 0: now
	Waiting   uint64        // records
	Rejected  int           // records that the target has refused since the last event
	Reason    string        // of the last rejection
	Abandoned bool          // the target is no longer configured; Waiting were not acknowledged
	Seized    int           // PID of a process from which the spool's lock was taken
}
