// Package systemd is the protocol between a service and the service manager that started it:
// readiness, reloads and the watchdog (sd_notify(3)), sockets of a .socket unit
// (sd_listen_fds(3)), and the descriptor store (FileDescriptorStoreMax=, systemd.service(5)).
//
// A UDP socket, with its queue, lives as long as any process has the socket open. With a duplicate
// in the manager's store the socket outlives a restart, a crash and kill -9: datagrams wait in the
// kernel until the next process reads the same sockets. Unit.Store stores a handoff.State as:
//
//	udpshard-kept-socket-57bc6      a socket, by its cookie (SO_COOKIE)
//	udpshard-kept-socket-57bc7
//	udpshard-kept-counters-2057     a memory file, by its inode: the counters
//	udpshard-kept-counters-2058     likewise: the control memory
//	udpshard-kept-set-8123450066    the manifest, by its generation: listeners, their sockets in
//	                                the order of the shards, and the memory files
//
// Store sends sockets and memory first, the manifest next, and then removes descriptors that the
// manifest does not name. The manager handles messages in the order of sending. So wherever a
// process is killed, the store has a complete manifest: one whose descriptors are all stored.
// Restore returns the newest.
//
// Why a manifest, and not names alone: the manager ignores a duplicate of a stored descriptor,
// whatever its name (service_add_fd_store, src/core/service.c; tried with systemd 252). To rename a
// socket, a process would have to remove the socket from the store first, and a kill at this moment
// would lose the queue. Cookies never change, so a socket is stored once in its life. The manager
// keeps no order of descriptors, only their names.
package systemd
