// Package takeover is the protocol by which processes of the same user take over sockets, and the
// memory of the counters, from the process that is active: the handoff.State. The package knows
// nothing of the use of sockets and memory.
//
// # Roles
//
// The active process reads the sockets, and listens at a path (a SOCK_SEQPACKET socket, unix(7)):
// see Server. Peers connect to the path: see Conn. A successor replaces the active process as soon
// as the successor is ready. A standby waits until the active process stops, dies or hangs.
//
// # Messages
//
// A message is one packet: a JSON object, with descriptors (SCM_RIGHTS). The names on the wire are
// older than the names here. In the order of a handover:
//
//	message    on the wire  from    when, and with                    next
//	hello      hello        peer    first: role, version, notes       offer or refused
//	offer      offer,       active  after hello: sockets in shard     a successor prepares, a
//	           listener,            order, memory of the counters,    standby waits in the queue;
//	           sockets              web socket, notes                 the active process reads on
//	prepare    ask          active  Server.HandOver chose a standby   ready within 2 s
//	ready      ready        peer    a successor is prepared, or a     Active.Quiesce: stop reading,
//	                                standby got prepare: with its     write out all that was read
//	                                own memory for the counters
//	grant      yours        active  quiesced: with the socket that    commit within 5 s
//	                                listens at the path
//	commit     mine         peer    after grant                       announce, Active.Committing
//	announce   heir         active  after commit, to all other        committed
//	                                peers: pid and memory of the
//	                                new active process
//	committed  left         active  after announce. The decision: a   the new process gets its
//	                                packet is sent whole or not       lease, and reads
//	redirect   moved        active  after committed, to all other     Active.Committed: release the
//	                                peers                             lease; peers dial again
//	refused    refused      active  on an error, with its text        the connection ends
//
// After redirect the old process closes its side of the connection, waits for up to a second until
// the new process reads, which Conn.Close says, and exits.
//
// # Failures
//
// Before committed the active process stays active, whatever fails. After committed the new process
// is responsible.
//
//	failure                                   consequence
//	a successor ends before ready             Active.SuccessorFailed
//	a standby ends, or is late with ready     it leaves the queue; HandOver asks the next
//	Active.Quiesce fails                      Active.Resume; a successor is refused, a standby
//	                                          stays in the queue
//	a peer ends, is late or sends nonsense    Active.Resume; announce without a pid withdraws
//	between ready and committed               the announcement; HandOver asks the next standby
//	the active process ends before committed  peers get ErrDisconnected, compete for the lease
//	the active process hangs                  standbys see that in the counters: see SeizeNow
//	the new process ends before it reads      peers, which have its memory by announce,
//	                                          compete for its lease
//
// The listening socket is handed over too, and not replaced at its path. So a peer that dials
// during a handover waits in the backlog for the new process, and is never refused.
//
// Messages do not decide which of several processes becomes active, because connections end for
// other reasons than death: see Lease. Nor do messages say how many processes have the memory of a
// process that has ended: see Register.
package takeover
