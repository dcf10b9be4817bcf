package probe

import "golang.org/x/sys/unix"

// features are all that udpshard asks of the kernel, in the order of a
// datagram's way. Versions are those of the manual pages: socket(7), udp(7),
// ip(7), ipv6(7), and the system calls' own.
var features = []Feature{
	{"SO_REUSEPORT", "one port for a socket of each shard", "3.9", true, reusePort},
	{"SO_ATTACH_REUSEPORT_CBPF", "steering other than by the kernel's hash", "4.5", false, steering},
	{"SO_DETACH_REUSEPORT_BPF", "taking a steering program away again", "5.3", false, unsteering},
	{"recvmmsg", "reading batches", "2.6.33", true, receiveBatch},
	{"sendmmsg", "answering batches", "3.0", true, sendBatch},
	{"SO_MEMINFO", "counting what a socket dropped", "4.12", true, socketMemory},
	{"IP_PKTINFO", "answering from the address that was asked", "2.2", true, option(unix.AF_INET, unix.SOL_IP, unix.IP_PKTINFO, 1)},
	{"IPv6", "listening on IPv6 addresses", "2.2", false, ipv6},
	{"IPV6_RECVPKTINFO", "answering from the address that was asked", "2.6.14", false, option(unix.AF_INET6, unix.SOL_IPV6, unix.IPV6_RECVPKTINFO, 1)},
	{"UDP_GRO", "trains of datagrams in one copy (--gro)", "5.0", false, option(unix.AF_INET, unix.SOL_UDP, unix.UDP_GRO, 1)},
	{"UDP_SEGMENT", "sending trains (send --gso)", "4.18", false, option(unix.AF_INET, unix.SOL_UDP, unix.UDP_SEGMENT, 1200)},
	{"SO_RCVBUFFORCE", "receive buffers above net.core.rmem_max (CAP_NET_ADMIN)", "2.6.14", false, forceBuffer},
	{"sched_setaffinity", "a core for each shard", "2.5.8", true, affinity},
	{"memfd_create", "counters that outlive a process", "3.17", false, memoryFile},
	{"membarrier", "ordering memory across all threads (MEMBARRIER_CMD_GLOBAL)", "4.3", false, barrier},
	{"pidfd_open", "waiting for another process's end", "5.3", false, processFile},
	{"schedstat", "telling how long a thread waited for its core", "2.6.9", false, threadWaits},
}
