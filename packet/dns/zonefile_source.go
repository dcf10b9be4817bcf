package dns

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/miekg/dns"

	"github.com/udpshard/udpshard/internal/regular"
)

// sources are the files of a zone. They know the current line, which the parser's records do not
// have.
type sources struct {
	name, absolute string
	all            []*source
	bytesLeft      int64 // remaining of maxZoneBytes
}

// maxZoneBytes is the limit for the files of a zone together, where a file counts as often as it is
// included: some 25,000,000 records, for which loading takes 20 GiB. A file that includes itself
// reaches the limit.
const maxZoneBytes = 1 << 30

// sizeLimitedReader reads from a file, up to the limit for all files of the zone.
type sizeLimitedReader struct {
	io.Reader
	files *sources
}

func (m sizeLimitedReader) Read(p []byte) (int, error) {
	n, err := m.Reader.Read(p)
	if m.files.bytesLeft -= int64(n); m.files.bytesLeft < 0 {
		return 0, fmt.Errorf("the zone has more than %d bytes, including $INCLUDE files", maxZoneBytes)
	}
	return n, err
}

type source struct {
	fs.File   // nil after Close, and for a reader without a file
	reader    *bufio.Reader
	parser    string // name in the parser's errors
	name      string // name in errors of this package
	line      int
	lineEnded bool    // the last byte was a newline
	lineStart [9]byte // first bytes of the line
	column    int
	checker   textChecker
	err       error // with the position
}

// byteOrderMark is at the start of files by some editors. RFC 1035 has no such mark.
const byteOrderMark = "\xef\xbb\xbf"

// inGenerate reports whether the current line is $GENERATE. For such a line the parser makes text
// of its own, with line numbers of its own.
func (f *source) inGenerate() bool { return strings.EqualFold(string(f.lineStart[:]), "$GENERATE") }

func newSources(name string) (*sources, error) {
	absolute, err := filepath.Abs(name) // makes the names of included files absolute too
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &sources{name: name, absolute: absolute, bytesLeft: maxZoneBytes}, nil
}

func (s *sources) add(r io.Reader, file fs.File, parser, name string) *source {
	f := &source{File: file, reader: bufio.NewReaderSize(sizeLimitedReader{r, s}, 65536), parser: parser, name: name, line: 1}
	if begin, _ := f.reader.Peek(len(byteOrderMark)); string(begin) == byteOrderMark {
		f.reader.Discard(len(byteOrderMark))
	}
	s.all = append(s.all, f)
	return f
}

// Open implements fs.FS for $INCLUDE. The parser has made the path absolute, and removed the
// leading slash.
func (s *sources) Open(path string) (fs.File, error) {
	file, err := regular.Open("/" + path)
	if err != nil {
		return nil, err
	}
	name := "/" + path
	if relative, err := filepath.Rel(filepath.Dir(s.absolute), name); err == nil && filepath.IsLocal(relative) {
		name = filepath.Join(filepath.Dir(s.name), relative)
	}
	return s.add(file, file, path, name), nil
}

// position returns the end of the last record.
func (s *sources) position() position {
	f := s.currentFile()
	return position{f.name, f.line}
}

func (s *sources) currentFile() *source {
	last := len(s.all) - 1
	for last > 0 && s.all[last].File == nil {
		last--
	}
	return s.all[last]
}

// check returns the error in the text of the record that the parser has read. rr is nil after the
// last record.
func (s *sources) check(rr dns.RR) error {
	for _, f := range s.all {
		if f.err != nil {
			return f.err
		}
	}
	if f := s.currentFile(); rr != nil && (f.checker.long && splitsLongStrings(rr) || f.inGenerate() && hasSplitString(rr)) {
		return s.position().errorf("%s: a string of more than 255 octets (RFC 1035 section 3.3)", appendType(nil, rr.Header().Rrtype))
	}
	return nil
}

func (s *sources) close() {
	for _, f := range s.all {
		f.Close()
	}
}

var parseError = regexp.MustCompile(`(?s)^(?:(.*?): )?dns: (.*) at line: ([0-9]+):[0-9]+$`)

// withPosition puts the file and the line before the text of a parser's error.
func (s *sources) withPosition(err error) error {
	if m := parseError.FindStringSubmatch(err.Error()); m != nil {
		for _, f := range s.all {
			if f.parser == m[1] {
				if f.inGenerate() {
					m[3] = strconv.Itoa(f.line)
				}
				return fmt.Errorf("%s:%s: %s%s", f.name, m[3], m[2], parserHint(m[2]))
			}
		}
	}
	return s.position().errorf("%w", err)
}

const unknownType = " (an unknown type is written as TYPE and a number, RFC 3597)"

// parserHint adds a hint to some messages of the parser.
func parserHint(message string) string {
	for begin, hint := range map[string]string{
		"bad owner name":        " (a relative name needs $ORIGIN before it)",
		"not a TTL":             unknownType,
		"expecting RR type":     unknownType,
		"unknown RR type":       unknownType,
		"bad CAA Tag: \"\\\"\"": " (the tag is a word without quotes, RFC 8659 section 4.1.1)",
	} {
		if strings.HasPrefix(message, begin) {
			return hint
		}
	}
	return ""
}

// ReadByte implements io.ByteReader, which the parser uses.
func (f *source) ReadByte() (byte, error) {
	c, err := f.reader.ReadByte()
	if err != nil {
		if err != io.EOF {
			f.err = position{f.name, f.line}.errorf("%w", err)
		}
		return 0, err
	}
	if f.lineEnded {
		f.line++
		f.column = 0
	}
	if f.lineEnded = c == '\n'; f.column < len(f.lineStart) {
		f.lineStart[f.column] = c
		f.column++
	}
	if err := f.checker.add(c, f.inGenerate()); err != nil {
		f.err = position{f.name, f.line}.errorf("%w", err)
		return 0, f.err
	}
	return c, nil
}

func (f *source) Read(p []byte) (int, error) { return f.reader.Read(p) }

func (f *source) Close() error {
	if f.File == nil {
		return nil
	}
	file := f.File
	f.File = nil
	return file.Close()
}
