package output

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/output/file"
	"github.com/udpshard/udpshard/metrics"
)

// stdout is the process's standard output, which is never closed or opened.
type stdout struct{}

// write waits for a while where others have made standard output non-blocking: that
// is a flag of the open file, which processes share (fcntl(2)), and no failure.
func (stdout) Write(data []byte) (int, error) {
	n, err := os.Stdout.Write(data)
	if errors.Is(err, unix.EAGAIN) {
		const heed = 100 // ms, and whoever gives up is heard
		_, err = unix.Poll([]unix.PollFd{{Fd: int32(os.Stdout.Fd()), Events: unix.POLLOUT}}, heed)
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
