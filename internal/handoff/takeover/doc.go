// Package takeover passes a running process's sockets, and the memory in which
// it counts, to another process of the same user: to a successor that replaces
// it, or to standbys that wait for its end. It is the protocol alone, and
// knows nothing of what the sockets and the memory are for.
//
// The active process listens at a path (a SOCK_SEQPACKET socket, unix(7)) and
// serves; the others dial. What they say, one message a packet:
//
//	successor            active
//	hello           →            who it is, and which listeners it is set up for
//	                ←  offer     every socket in order, the counters, the web socket; or refused
//	  prepares, as long as it likes; the active process reads on
//	ready           →            with its own memory
//	                   Yield     stops reading, and flushes what it had read
//	                ←  yours     with the socket that listens at the path
//	mine            →
//	                   heir      to the standbys: the process that takes over, with its memory
//	                ←  left      from here on there is no way back
//	                   Left      gives up its Claim; end of what it sends
//	  claims, and reads
//	(end)           →            it exits
//
// Whatever goes wrong before left is sent, the active process reads on: if
// Yield was called, Resume is called after it. What goes wrong afterwards is
// the successor's.
//
//	standby              active
//	hello           →
//	                ←  offer
//	  waits in the queue
//	                ←  ask       the active process stops (Server.Pass), and this is the first in the queue
//	ready           →            and on as above
//	                ←  heir      a successor or another standby is about to take over, with its
//	                             memory, in case both processes end before the heir answers
//	                ←  moved     the heir has taken over: dial again
//	                   (end)     or: the active process is no more
//
// The socket that listens is handed over too, rather than replaced at its
// path: whoever dials meanwhile waits in its backlog for the new process, and
// is never turned away.
//
// Which of several processes may become active is not settled by messages,
// since connections end for more reasons than death: see Claim. Likewise messages do not say how
// many processes have the memory of a process that has ended: see Register.
package takeover
