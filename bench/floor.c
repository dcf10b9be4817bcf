//go:build ignore

// The floor: what a bare recvmmsg loop costs. It counts what it receives at
// 127.0.0.1:PORT and prints that on SIGTERM. bench/run compiles it.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { batch = 64, slot = 8192, queue = 32 << 20 };

static volatile unsigned long received, bytes, calls;

// The loop uses no stdio, so the handler may.
static void report(int signal) {
	(void)signal;
	printf("{\"received\":%lu,\"bytes\":%lu,\"calls\":%lu}\n", received, bytes, calls);
	fflush(stdout);
	_exit(0);
}

int main(int argc, char **argv) {
	static struct mmsghdr messages[batch];
	static struct iovec parts[batch];
	static struct sockaddr_in6 names[batch];
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(argc > 1 ? atoi(argv[1]) : 0), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	char *slab = malloc(batch * slot);
	int fd = socket(AF_INET, SOCK_DGRAM, 0), size = queue;

	signal(SIGTERM, report);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size))
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
	if (!slab || bind(fd, (struct sockaddr *)&at, sizeof at)) {
		perror("bind");
		return 1;
	}
	for (int i = 0; i < batch; i++) {
		parts[i] = (struct iovec){slab + i * slot, slot};
		messages[i].msg_hdr = (struct msghdr){.msg_name = &names[i], .msg_iov = &parts[i], .msg_iovlen = 1};
	}
	for (;;) {
		for (int i = 0; i < batch; i++)
			messages[i].msg_hdr.msg_namelen = sizeof names[i];
		int n = recvmmsg(fd, messages, batch, MSG_WAITFORONE, NULL);
		if (n < 0) {
			perror("recvmmsg");
			return 1;
		}
		calls++;
		received += n;
		for (int i = 0; i < n; i++)
			bytes += messages[i].msg_len;
	}
}
