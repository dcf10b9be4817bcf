// Package systemd is what a service says to the manager that started it, and
// what the manager keeps for it: readiness, reloads and the watchdog
// (sd_notify(3)), sockets of a .socket unit (sd_listen_fds(3)), and the
// descriptor store (FileDescriptorStoreMax=, systemd.service(5)).
//
// A UDP socket's queue lives as long as any process has the socket open. With
// a duplicate in the manager's store it outlives a restart, a crash and
// kill -9: datagrams wait in the kernel until the next process reads the very
// same sockets on. So that this never goes half way, what is kept is a Set:
//
//	udpshard-kept-socket-57bc6          a socket, by its cookie (SO_COOKIE)
//	udpshard-kept-socket-57bc7
//	udpshard-kept-counters-2057         the counters' memory, by its inode
//	udpshard-kept-set-8123450066        a list: which sockets, in which order, and what for
//
// Unit.Put stores sockets and counters first and the list last, and removes
// what is of no more use after that. The manager takes messages in the order
// in which they were sent, so wherever a process is killed there is a list of
// which all is there; Sort finds the newest.
//
// Why a list, and not all in the names: the manager ignores a descriptor of
// which it has a duplicate, whatever its name (service_add_fd_store,
// src/core/service.c; tried with systemd 252). To rename a socket means to
// remove it first, and a process that is killed just then takes the queue with
// it. Cookies never change, so a socket is stored once in its life. Nor does
// the manager keep an order, but for what a name tells.
package systemd
