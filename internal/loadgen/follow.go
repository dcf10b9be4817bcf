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

// poll is how often a file or a status is looked at while something is
// awaited.
const poll = 20 * time.Millisecond

// Records are the files that receivers write records to, from their ends at the time of
// OpenRecords on. Files that come later, such as after a rotation, are read from their
// beginning.
type Records struct {
	pattern string
	begun   bool // what is found from now on is new
	files   []*recordFile
	others  map[string]bool // paths that are not of the pattern, though they look so
}

// recordFile is one of them; its name may be another file's by now.
type recordFile struct {
	*os.File
	read   int64 // up to here
	stream *Stream
}

// shardNumber stands in a path for the number of a shard, as in an output's.
const shardNumber = "{shard}"

// mostShards is one more than the largest number that a shard has (shard.Config).
const mostShards = 4096

// OpenRecords opens the files that a path names: itself, where there is a file of that
// name; else {shard} stands for the number of a shard, and the rest is a pattern (see
// filepath.Match). There may be none yet, but a file that can't be read, and a folder
// that is not there, are errors.
func OpenRecords(path string) (*Records, error) {
	r := &Records{pattern: path, others: make(map[string]bool)}
	if err := r.look(); err != nil {
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

// look opens the files that are not open yet.
func (r *Records) look() error {
	paths, err := r.paths()
	if err != nil {
		return err
	}
	for _, path := range paths {
		if err := r.open(path); err != nil && !errors.Is(err, fs.ErrNotExist) { // it may be renamed just now
			return err
		}
	}
	return nil
}

// paths returns the names that the pattern has now.
func (r *Records) paths() (paths []string, err error) {
	if _, err := os.Lstat(r.pattern); err == nil || !isPattern(r.pattern) {
		return []string{r.pattern}, nil
	}
	found, err := filepath.Glob(strings.ReplaceAll(r.pattern, shardNumber, "[0-9]*"))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.pattern, err)
	}
	for _, path := range found {
		if !r.others[path] && r.hasShard(path) {
			paths = append(paths, path)
		} else {
			r.others[path] = true
		}
	}
	return paths, nil
}

func isPattern(path string) bool {
	return strings.ContainsAny(path, `*?[\`) || strings.Contains(path, shardNumber)
}

// hasShard says whether {shard} stands for the number of a shard in a path, and not for
// something else that begins with a digit.
func (r *Records) hasShard(path string) bool {
	if !strings.Contains(r.pattern, shardNumber) {
		return true
	}
	for n := range mostShards {
		if ok, _ := filepath.Match(strings.ReplaceAll(r.pattern, shardNumber, strconv.Itoa(n)), path); ok {
			return true
		}
	}
	return false
}

// open opens a file unless it is open already.
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
	// Of a FIFO that nobody writes to open waits for ever otherwise (fifo(7)).
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

// checkFolder says what is wrong with the folder where there is no file yet.
func (r *Records) checkFolder() error {
	folder := filepath.Dir(r.pattern)
	if len(r.files) > 0 || isPattern(folder) {
		return nil
	}
	info, err := os.Stat(folder)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is no folder", folder)
	}
	if err == nil && isPattern(r.pattern) { // names in it are to be found
		var list *os.File
		if list, err = os.Open(folder); err == nil {
			list.Close()
		}
	}
	return err
}

// Follow reads files until everything that was sent has been found, nothing has been
// added to them for so long, or ctx is done.
func (c *Checker) Follow(ctx context.Context, records *Records, wait time.Duration) error {
	var sent uint64
	for i := range c.flows {
		sent += c.flows[i].Sent
	}
	moved := time.Now()
	for {
		if err := records.look(); err != nil {
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
		time.Sleep(poll)
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
	if info.Size() < f.read { // it was cut, and is written anew
		f.read = 0
	}
	n, err = f.stream.ReadFrom(io.NewSectionReader(f, f.read, info.Size()-f.read))
	f.read += n
	return n, err
}
