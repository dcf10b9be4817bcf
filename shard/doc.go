// Package shard receives UDP datagrams on one socket, one OS thread and one core per shard, with
// nothing shared between shards on the path of a datagram.
//
// A Group opens its sockets on one address with SO_REUSEPORT. The kernel chooses the socket of each
// datagram by a hash, or by a program of the group (Steering): the datagrams of one flow stay on
// one socket, in order. The group observes its shards, and corrects skew and stalls.
//
// Each socket belongs to one goroutine, which is locked to its thread for good
// (runtime.LockOSThread). The thread is pinned to a core (sched_setaffinity). The thread reads a
// batch with recvmmsg into memory that was laid out before, drops what the group's Policy forbids,
// passes the batch to the shard's own packet.Handler, sends the queued replies with one sendmmsg,
// and counts on the shard's own cache lines (package metrics). When the output falls behind, the
// thread waits, and the kernel's receive queue is the buffer. The drops of a full queue are counted
// too.
//
// Shard 0 alone handles broadcasts and multicasts, of which the kernel gives each socket a
// duplicate. Shards share the policy, which they only read, and its rate limits.
package shard
