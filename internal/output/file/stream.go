package file

import (
	"bytes"
	"errors"
	"io"
	"os"

	"github.com/udpshard/udpshard/internal/dnstap"
)

// stream is the state of a File with frames of dnstap instead of lines. The zero stream is that of a
// File with lines.
type stream struct {
	enabled   bool
	end       int64  // of the last complete frame, when the file was opened
	continued bool   // this process writes behind a complete frame
	partial   []byte // the incomplete frame at the end
	completed int    // records of the last Write
}

var (
	errNoStream      = errors.New("the file has something else than dnstap messages: move it away")
	errStreamRegular = errors.New("only a regular file can have dnstap messages")
)

// open finds the frames of a file that was opened. Another process may still write to the file.
func (s *stream) open(file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return WithoutPath(err)
	}
	if !info.Mode().IsRegular() {
		return errStreamRegular
	}
	start := make([]byte, len(dnstap.StreamStart))
	n, err := file.ReadAt(start, 0)
	if err != nil && err != io.EOF {
		return WithoutPath(err)
	}
	if !bytes.HasPrefix(dnstap.StreamStart, start[:n]) {
		return errNoStream
	}
	if _, s.end, err = dnstap.Scan(io.NewSectionReader(file, 0, info.Size())); err != nil {
		return WithoutPath(err)
	}
	s.continued = false
	return nil
}

// prepare makes the file end in a complete frame other than STOP, before the first write of this
// process, and begin in START. size is the size of the file, and the result is the new size.
func (s *stream) prepare(file *os.File, size int64) (int64, error) {
	if !s.continued {
		_, more, err := dnstap.Scan(io.NewSectionReader(file, s.end, max(0, size-s.end)))
		if err != nil {
			return size, err
		}
		end := min(s.end, size) + more
		last := make([]byte, len(dnstap.StreamEnd))
		from := end - int64(len(last))
		if n, _ := file.ReadAt(last, max(0, from)); n == len(last) && bytes.Equal(last, dnstap.StreamEnd) {
			end = from
		}
		if end < size {
			if err := file.Truncate(end); err != nil {
				return size, err
			}
		}
		size, s.continued = end, true
	}
	if size > 0 {
		return size, nil
	}
	n, err := file.Write(dnstap.StreamStart)
	if err != nil {
		s.continued = false
		s.end = 0
		return int64(n), err
	}
	return int64(n), nil
}

// wrote updates the state after a write of data[:n], where data ends in a complete frame, and
// returns the length of the incomplete frame at the end.
func (s *stream) wrote(data []byte, n int) int {
	if n == len(data) {
		s.partial = s.partial[:0]
		return 0
	}
	all := append(s.partial, data[:n]...)
	queries, end, _ := dnstap.Scan(bytes.NewReader(all)) // memory has no errors
	s.completed = queries
	s.partial = append([]byte(nil), all[end:]...)
	return len(s.partial)
}

// finish ends the stream of a file that this process closes, and that no process continues.
func (s *stream) finish(file *os.File) {
	_, _ = file.Write(dnstap.StreamEnd) // readers also end at the end of the file
}

// isStream reports whether a file has frames of dnstap.
func isStream(file io.ReaderAt) bool {
	start := make([]byte, len(dnstap.StreamStart))
	_, err := file.ReadAt(start, 0)
	return err == nil && bytes.Equal(start, dnstap.StreamStart)
}
