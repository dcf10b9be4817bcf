// Package succession makes a process the active process of a takeover path, and keeps it there.
//
// A Predecessor is the process that was active before, or what is left of one: its sockets and its
// counters. A process becomes active in one of six ways:
//
//	method            state of the predecessor                      lost
//	Listen            none                                          -
//	Upgrade           active; stops reading when asked              nothing
//	TakeOverStopping  told to stop, with this process as standby    nothing
//	TakeOverDead      ended without a handover                      at most a batch for each shard
//	TakeOverStalled   alive, its shards do not read                 at most a batch for each shard
//	TakeOverStored    ended; the service manager has its sockets    as TakeOverDead
//
// The owner of the sockets is the process with the lease of the current epoch in the control memory
// (package takeover). Each takeover advances the epoch: the epoch is the fencing token by which a
// stalled process sees, when it wakes up, that it was replaced.
package succession
