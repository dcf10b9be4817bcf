// Package succession makes a process the active process of a takeover path, and keeps the path.
//
// A Predecessor is the process that was active before, or only the sockets and counters of an ended
// process. A process becomes active in one of six ways:
//
//	method            state of the predecessor                      lost
//	Listen            none                                          -
//	Upgrade           active; stops reading when asked              nothing
//	TakeOverStopping  told to stop, with this process as standby    nothing
//	TakeOverDead      ended without a handover                      at most a batch for each shard
//	TakeOverStalled   alive; a shard does not read                  at most a batch for each shard
//	TakeOverStored    ended; the service manager has its sockets    as TakeOverDead
//
// The owner of the sockets is the process with the lease of the current epoch in the control memory
// (package takeover). Each takeover advances the epoch. The epoch is the fencing token: a stalled
// process that wakes up sees a later epoch, and so knows of its replacement.
package succession
