package sys

import "os"

// Descriptors returns the descriptors of files, which the caller keeps alive.
// File.Fd would do too, but it makes a file that does not block a blocking one,
// in every process that has a duplicate: O_NONBLOCK is of the open file.
func Descriptors(files ...*os.File) ([]int, error) {
	fds := make([]int, 0, len(files))
	for _, f := range files {
		raw, err := f.SyscallConn()
		if err == nil {
			err = raw.Control(func(fd uintptr) { fds = append(fds, int(fd)) })
		}
		if err != nil {
			return nil, err
		}
	}
	return fds, nil
}
