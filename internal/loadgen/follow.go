package loadgen

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// pollInterval is the time between two looks at a file or a status.
const pollInterval = 20 * time.Millisecond

// Records are the files that receivers write records to, read from their ends at the time of
// OpenRecords. Files that appear later, such as after a rotation, are read from the begin.
type Records struct {
	pattern     string
	begun       bool // OpenRecords is done: further files are new
	files       []*recordFile
	nonMatching map[string]bool // paths that match the glob but not the pattern
}

// recordFile is an open file. The file may have been renamed since.
type recordFile struct {
	*os.File
	read   int64 // bytes
	stream *Stream
}

// shardNumber in a path stands for the number of a shard, as in the path of an output.
const shardNumber = "{shard}"

// maxShards is the most shards of a group (shard.Config).
const maxShards = 4096

// OpenRecords opens the files that a path names: the file of that name, or else the files that
// match, where {shard} stands for the number of a shard and the rest is a pattern (see
// filepath.Match). No file need exist yet, but an unreadable file and a missing folder are errors.
func OpenRecords(path string) (*Records, error) {
	r := &Records{pattern: path, nonMatching: make(map[string]bool)}
	if err := r.openNew(); err != nil {
		r.Close()
		return nil, err
	}
	if err := r.checkFolder(); err != nil {
		r.Close()
		return nil, err
	}
	r.begun = true
	return r, nil
}

// Close closes all files.
func (r *Records) Close() {
	for _, f := range r.files {
		f.Close()
	}
}

// openNew opens files that are not open yet.
func (r *Records) openNew() error {
	paths, err := r.paths()
	if err != nil {
		return err
	}
	for _, path := range paths {
		if err := r.open(path); err != nil && !errors.Is(err, fs.ErrNotExist) { // renamed just now
			return err
		}
	}
	return nil
}

// paths returns the paths that match the pattern now.
func (r *Records) paths() (paths []string, err error) {
	if _, err := os.Lstat(r.pattern); err == nil || !isPattern(r.pattern) {
		return []string{r.pattern}, nil
	}
	found, err := filepath.Glob(strings.ReplaceAll(r.pattern, shardNumber, "[0-9]*"))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.pattern, err)
	}
	for _, path := range found {
		if !r.nonMatching[path] && r.hasShard(path) {
			paths = append(paths, path)
		} else {
			r.nonMatching[path] = true
		}
	}
	return paths, nil
}

func isPattern(path string) bool {
	return strings.ContainsAny(path, `*?[\`) || strings.Contains(path, shardNumber)
}

// hasShard reports whether {shard} stands for the number of a shard in a path, and not for another
// text that begins with a digit.
func (r *Records) hasShard(path string) bool {
	if !strings.Contains(r.pattern, shardNumber) {
		return true
	}
	for n := range maxShards {
		if ok, _ := filepath.Match(strings.ReplaceAll(r.pattern, shardNumber, strconv.Itoa(n)), path); ok {
			return true
		}
	}
	return false
}

// open opens a file, if the file is not open already.
func (r *Records) open(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	for _, f := range r.files {
		if had, err := f.Stat(); err == nil && os.SameFile(had, info) {
			return nil
		}
	}
	// Without O_NONBLOCK, open of a FIFO waits for a writer (fifo(7)).
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	if info, err = file.Stat(); err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file", path)
	}
	if err != nil {
		file.Close()
		return err
	}
	f := &recordFile{File: file}
	if !r.begun {
		f.read = info.Size()
	}
	r.files = append(r.files, f)
	return nil
}

// checkFolder returns an error for a missing or unreadable folder, where no file exists yet.
func (r *Records) checkFolder() error {
	folder := filepath.Dir(r.pattern)
	if len(r.files) > 0 || isPattern(folder) {
		return nil
	}
	info, err := os.Stat(folder)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is no folder", folder)
	}
	if err == nil && isPattern(r.pattern) { // the pattern needs a folder that can be listed
		var list *os.File
		if list, err = os.Open(folder); err == nil {
			list.Close()
		}
	}
	return err
}

// Follow reads files until all datagrams are found, until the files have not grown for the time of
// wait, or until ctx is done.
func (c *Checker) Follow(ctx context.Context, records *Records, wait time.Duration) error {
	var sent uint64
	for i := range c.flows {
		sent += c.flows[i].Sent
	}
	moved := time.Now()
	for {
		if err := records.openNew(); err != nil {
			return err
		}
		for _, f := range records.files {
			n, err := f.readTo(c)
			if err != nil {
				return err
			}
			if n > 0 {
				moved = time.Now()
			}
		}
		if c.Arrived() >= sent || time.Since(moved) >= wait || ctx.Err() != nil {
			for _, f := range records.files {
				f.stream.Flush()
			}
			if len(records.files) == 0 {
				return fmt.Errorf("%s: %w", records.pattern, fs.ErrNotExist)
			}
			return nil
		}
		time.Sleep(pollInterval)
	}
}

// readTo reads to the end of the file.
func (f *recordFile) readTo(c *Checker) (n int64, err error) {
	if f.stream == nil {
		f.stream = c.NewStream()
	}
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if info.Size() < f.read { // truncated, and written anew
		f.read = 0
	}
	n, err = f.stream.ReadFrom(io.NewSectionReader(f, f.read, info.Size()-f.read))
	f.read += n
	return n, err
}
