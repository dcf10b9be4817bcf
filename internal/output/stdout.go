package output

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/output/file"
	"github.com/udpshard/udpshard/metrics"
)

// stdout is the process's standard output, which is never opened or closed, and has no write log.
type stdout struct{}

// Write waits for a slow reader also where another process has made standard output
// non-blocking: O_NONBLOCK is a flag of the open file, which processes share (fcntl(2)).
func (stdout) Write(data []byte) (int, error) {
	n, err := os.Stdout.Write(data)
	if errors.Is(err, unix.EAGAIN) {
		const wait = 100 // ms, then the writer heeds Abort
		_, err = unix.Poll([]unix.PollFd{{Fd: int32(os.Stdout.Fd()), Events: unix.POLLOUT}}, wait)
		if errors.Is(err, unix.EINTR) {
			err = nil
		}
	}
	return n, file.WithoutPath(err)
}

func (stdout) NeedsReopen() bool              { return false }
func (stdout) Begin(*metrics.Shard, int, int) {}
func (stdout) End(int)                        {}
func (stdout) Abandon()                       {}
func (stdout) Reopen() (int, error)           { return 0, nil }
func (stdout) Close() error                   { return nil }
