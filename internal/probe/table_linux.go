package probe

import "golang.org/x/sys/unix"

// features are all kernel features that udpshard uses, in the order of a datagram's way. Versions
// are from manual pages: socket(7), udp(7), ip(7), ipv6(7), and those of the system calls.
var features = []Feature{
	{"SO_REUSEPORT", "one port for a socket of each shard", "3.9", true, sharePort},
	{"SO_ATTACH_REUSEPORT_CBPF", "steering other than by the kernel's hash", "4.5", false, attachProgram},
	{"SO_DETACH_REUSEPORT_BPF", "removing a steering program", "5.3", false, detachProgram},
	{"recvmmsg", "reading batches", "2.6.33", true, receiveBatch},
	{"sendmmsg", "sending batches of replies", "3.0", true, sendBatch},
	{"SO_MEMINFO", "the number of datagrams that a socket dropped", "4.12", true, socketMemory},
	{"IP_PKTINFO", "replies from the address that the datagram was sent to", "2.2", true, keepsOption(unix.AF_INET, unix.SOL_IP, unix.IP_PKTINFO, 1)},
	{"IPv6", "listening on IPv6 addresses", "2.2", false, ipv6},
	{"IPV6_RECVPKTINFO", "replies from the address that the datagram was sent to", "2.6.14", false, keepsOption(unix.AF_INET6, unix.SOL_IPV6, unix.IPV6_RECVPKTINFO, 1)},
	{"UDP_GRO", "several datagrams in one message (--gro)", "5.0", false, keepsOption(unix.AF_INET, unix.SOL_UDP, unix.UDP_GRO, 1)},
	{"UDP_SEGMENT", "sending several datagrams as one (send --gso)", "4.18", false, keepsOption(unix.AF_INET, unix.SOL_UDP, unix.UDP_SEGMENT, 1200)},
	{"SO_RCVBUFFORCE", "receive buffers above net.core.rmem_max (CAP_NET_ADMIN)", "2.6.14", false, forceBuffer},
	{"sched_setaffinity", "a CPU for each shard", "2.5.8", true, setAffinity},
	{"memfd_create", "counters that outlive a process", "3.17", false, createMemfd},
	{"membarrier", "ordering memory across all threads (MEMBARRIER_CMD_GLOBAL)", "4.3", false, membarrier},
	{"pidfd_open", "waiting for the end of another process", "5.3", false, openPidfd},
	{"schedstat", "how long a thread waited for its CPU", "2.6.9", false, readSchedstat},
}
