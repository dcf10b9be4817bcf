package systemd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/sys"
)

// sendTimeout bounds a message to a manager that does not read: Alive must not hang. A running
// manager reads within well under a second, also during a daemon-reload.
const sendTimeout = 10 * time.Second

// notify sends assignments, and omits empty strings.
func (u *Unit) notify(assignments ...string) error {
	var lines []string
	for _, a := range assignments {
		if a = strings.TrimSuffix(a, "\n"); a != "" {
			lines = append(lines, a)
		}
	}
	if len(lines) == 0 {
		return nil
	}
	return u.send(context.Background(), strings.Join(lines, "\n"))
}

// send sends a message with duplicates of files. Each message has a socket of its own, as in
// libsystemd, because a re-executed manager listens at a new socket.
func (u *Unit) send(ctx context.Context, state string, files ...*os.File) error {
	if u == nil || u.socket == "" {
		return nil
	}
	err := context.Cause(ctx)
	if err == nil {
		err = sendTo(ctx, u.socket, state, files)
	}
	if err != nil {
		said, _, _ := strings.Cut(state, "\n")
		err = fmt.Errorf("send %s to the service manager: %w", said, err)
	}
	return err
}

func sendTo(ctx context.Context, socket, state string, files []*os.File) error {
	fds, err := sys.Descriptors(files...)
	if err != nil {
		return err
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetWriteDeadline(time.Now().Add(sendTimeout)); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { conn.SetWriteDeadline(time.Unix(1, 0)) })()
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	// WriteMsgUnix refuses a connected datagram socket. With an unconnected socket, the poller
	// does not know when the manager reads again.
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	err = raw.Write(func(fd uintptr) bool {
		for {
			sent = unix.Sendmsg(int(fd), []byte(state), rights, nil, 0)
			if !errors.Is(sent, unix.EINTR) {
				return !errors.Is(sent, unix.EAGAIN)
			}
		}
	})
	runtime.KeepAlive(files)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return context.Cause(ctx)
	default:
		return err
	}
	return os.NewSyscallError("sendmsg", sent)
}
