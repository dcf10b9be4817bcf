package load

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"
)

// poll is how often a file or a status is looked at while something is
// awaited.
const poll = 20 * time.Millisecond

// EndOf returns a file's length: where records of a run that has yet to begin
// will be. A file that does not exist yet has length 0.
func EndOf(path string) (int64, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if !info.Mode().IsRegular() {
		return 0, nil
	}
	return info.Size(), nil
}

// Follow reads a file from an offset on until everything that was sent has
// been found, nothing has been added to it for so long, or ctx is done.
func (c *Checker) Follow(ctx context.Context, path string, from int64, wait time.Duration) error {
	var sent uint64
	for i := range c.flows {
		sent += c.flows[i].Sent
	}
	var file *os.File
	moved := time.Now()
	for {
		if file == nil {
			var err error
			if file, err = os.Open(path); err == nil {
				defer file.Close()
				if info, statErr := file.Stat(); statErr == nil && info.Size() >= from {
					_, err = file.Seek(from, 0)
				} // else it is a new one
			}
			if err != nil && (!errors.Is(err, fs.ErrNotExist) || time.Since(moved) >= wait) {
				return err
			}
		}
		if file != nil {
			n, err := c.ReadFrom(file)
			if err != nil {
				return err
			}
			if n > 0 {
				moved = time.Now()
			}
		}
		if c.Arrived() >= sent || time.Since(moved) >= wait || ctx.Err() != nil {
			c.Flush()
			return nil
		}
		time.Sleep(poll)
	}
}
